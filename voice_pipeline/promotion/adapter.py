"""The verification adapter: a client posts a constraint pack, and gets the result of a verification.

    answer(project, store, {"mode": "constraint-pack", "pack": {"id": "voice-promotion", "voice_profile_id": "dottie"}})
    ask("https://checks.example/", "dottie", certificate)          # the other way round: see ``asking``

What a client posts is untrusted: checked, capped, and never evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voice_pipeline.failures import ConfigError
from voice_pipeline.promotion.asking import ADAPTER_ROUTE, AdapterUnreachable, ask
from voice_pipeline.promotion.constraints import PACK_ID
from voice_pipeline.promotion.verification import verify
from voice_pipeline.status import read_status
from voice_pipeline.store import Store
from voice_pipeline.voice import load_voice_by_id

__all__ = ["ADAPTER_ROUTE", "AdapterUnreachable", "answer", "ask"]

MAX_METRICS = 200  # names that one request may claim figures for
_Figure = bool | int | float | str | None


class _Lenient(BaseModel):
    # Keys that are not known are left out: the same client speaks to adapters of other kinds.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class _Pack(_Lenient):
    id: Literal["voice-promotion"]
    voice_profile_id: str | None = Field(None, max_length=64)
    voiceProfile: str | None = Field(None, max_length=64)  # noqa: N815 - the contract's other spelling
    metrics: dict[str, _Figure] = Field(default_factory=dict, max_length=MAX_METRICS)

    @model_validator(mode="after")
    def _one_voice(self) -> _Pack:
        if None not in (self.voice_profile_id, self.voiceProfile) and self.voice_profile_id != self.voiceProfile:
            raise ValueError("voice_profile_id and voiceProfile name two voices")
        long = [key for key, value in self.metrics.items() if len(key) > 100 or len(str(value)) > 200]
        if long:
            raise ValueError(f"metrics: {long[0][:40]!r} is too long")
        return self


class _Request(_Lenient):
    traceId: str | None = Field(None, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")  # noqa: N815
    mode: Literal["constraint-pack"]
    pack: _Pack


def answer(project: Path, store: Store, body: Mapping[str, Any]) -> dict[str, Any]:
    """The result (CONTRACTS 10) for the body of ``POST /api/agi/adapter/run``.

    The voice is the pack's ``voice_profile_id`` or ``voiceProfile``, else that of the latest training. Raises
    ConfigError for a wrong body or an unknown voice, VoiceFailure as ``verification.verify`` does.
    """
    request = _request(body)
    name = request.pack.voice_profile_id or request.pack.voiceProfile or _latest_voice(store)
    voice = load_voice_by_id(project, name)
    found = verify(project, voice, store, trace_id=request.traceId, source="adapter", given=request.pack.metrics)
    return dict(found.result)


def _request(body: Mapping[str, Any]) -> _Request:
    try:
        return _Request.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"]) or "body"
        raise ConfigError(f"the adapter's request: {where}: {first['msg']}") from None


def _latest_voice(store: Store) -> str:
    """The voice of the latest training of any."""
    path = store.latest_train_status()
    try:
        status = read_status(path)
    except (OSError, ValueError):
        status = None
    if status is None:
        raise ConfigError(f"the pack {PACK_ID} names no voice_profile_id, and no training tells which is the latest")
    return status.voice_profile_id
