"""The body of POST /speak, read strictly: untrusted bytes in, a checked request or a refusal out.

    value = parse_object(data)
    request = read_speak_request(value)

Every field of the contract has a meaning here or is refused; a field that the contract does not name is refused
too, so that a misspelt one is not taken for absent.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_pipeline.failures import ConfigError
from voice_pipeline.serving.errors import ServingError
from voice_pipeline.store import profile_id
from voice_pipeline.strict_json import parse_json

MAX_BODY_BYTES = 512 << 10  # of /speak: 20,000 characters, each written as two \uXXXX, and the rest of the fields
_ID = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"  # no spaces: an id goes to the log, a sentence must not
_TRACE_ID = re.compile(_ID)
_ALLOWED_CONTROLS = "\t\n\r"

Mode = Literal["callout", "briefing", "debrief"]
Priority = Literal["info", "warn", "critical", "action"]

# How fast each mode speaks, relative to the voice's own pace: a callout is short and known, a debrief is taken in.
PACE_OF: Mapping[str, float] = MappingProxyType({"callout": 1.1, "briefing": 1.0, "debrief": 0.95})
# Who goes first when requests wait: the lower number. A request without priority is an info.
RANK_OF: Mapping[str, int] = MappingProxyType({"critical": 0, "action": 1, "warn": 2, "info": 3})


class SpeakRequest(BaseModel):
    """The body of POST /speak, by the contract's names."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str = Field(min_length=1)
    mode: Mode | None = None
    priority: Priority | None = None
    voice_profile_camel: str | None = Field(None, alias="voiceProfile")
    voice_profile_id: str | None = None
    format: Literal["wav"] | None = None
    consent_asserted: bool | None = None
    watermark_mode: str | None = None
    trace_id: str | None = Field(None, alias="traceId", pattern=_ID)
    mission_id: str | None = Field(None, alias="missionId", pattern=_ID)
    event_id: str | None = Field(None, alias="eventId", pattern=_ID)
    reference_audio_hash: str | None = Field(None, alias="referenceAudioHash", pattern=r"^(sha256:)?[0-9a-fA-F]{64}$")

    @property
    def voice(self) -> str | None:
        """The profile that was asked for, by whichever of its two names."""
        return self.voice_profile_id if self.voice_profile_camel is None else self.voice_profile_camel

    @property
    def pace(self) -> float:
        """The pace of its mode; 1.0 without one."""
        return 1.0 if self.mode is None else PACE_OF[self.mode]

    @property
    def rank(self) -> int:
        """Its place among those that wait; see RANK_OF."""
        return RANK_OF[self.priority or "info"]


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object: UTF-8, no key twice, no NaN. Raises ServingError ``voice_invalid_request``."""
    try:
        value = parse_json(data)
    except UnicodeDecodeError:
        raise ServingError("voice_invalid_request", "the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ServingError("voice_invalid_request", f"the body is not JSON: {error.msg} at {where}") from None
    except ValueError as error:
        raise ServingError("voice_invalid_request", f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise ServingError("voice_invalid_request", "the body must be a JSON object")
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ServingError("voice_invalid_request", "the body holds half of a surrogate pair") from None
    return value


def trace_id_of(value: Mapping[str, Any]) -> str | None:
    """The request's own trace id, where it has a usable one."""
    found = value.get("traceId")
    return found if isinstance(found, str) and _TRACE_ID.fullmatch(found) else None


def read_speak_request(value: Mapping[str, Any]) -> SpeakRequest:
    """Check a body. Raises ServingError ``voice_invalid_request`` or ``voice_consent_required``, naming the field."""
    try:
        request = SpeakRequest.model_validate(value)
    except ValidationError as error:
        items = error.errors(include_url=False, include_context=False, include_input=False)
        fields = [(".".join(str(part) for part in item["loc"])[:64] or "body", item["msg"]) for item in items[:5]]
        message = "; ".join(f"{name}: {_explained(text)}" for name, text in fields)
        raise ServingError("voice_invalid_request", message, fields=[name for name, _ in fields]) from None
    _check_text(request.text)
    _check_consent(request)
    _check_voice(request)
    if request.watermark_mode not in (None, "none"):
        message = "watermark_mode: this version puts no watermark into its speech; send none or leave it out"
        raise ServingError("voice_invalid_request", message, fields=["watermark_mode"])
    return request


def _check_text(text: str) -> None:
    if any(unicodedata.category(char) == "Cc" and char not in _ALLOWED_CONTROLS for char in text):
        raise ServingError("voice_invalid_request", "text: holds control characters", fields=["text"])
    if not text.strip():
        raise ServingError("voice_invalid_request", "text: there is nothing to say", fields=["text"])


def _check_voice(request: SpeakRequest) -> None:
    names = {"voiceProfile": request.voice_profile_camel, "voice_profile_id": request.voice_profile_id}
    given = {name: value for name, value in names.items() if value is not None}
    if len(set(given.values())) > 1:
        message = "voiceProfile and voice_profile_id name two voices; send one of them"
        raise ServingError("voice_invalid_request", message, fields=list(given))
    for name, value in given.items():
        try:
            profile_id(value)
        except ConfigError:
            message = f"{name}: no voice id; use 1-64 of a-z, 0-9, _ and -, starting with a letter or digit"
            raise ServingError("voice_invalid_request", message, fields=[name]) from None


def _check_consent(request: SpeakRequest) -> None:
    """A voice made after somebody's recording is only asked for with that person's consent."""
    custom = re.fullmatch(r"custom([:_-].*)?", request.voice or "", re.DOTALL) is not None
    if (custom or request.reference_audio_hash is not None) and not request.consent_asserted:
        asked = "referenceAudioHash" if request.reference_audio_hash is not None else "a custom profile"
        message = f"{asked} needs consent_asserted: true, from whoever holds the speaker's consent"
        raise ServingError("voice_consent_required", message, fields=["consent_asserted"])


def _explained(message: str) -> str:
    return "not a field of this request" if message.startswith("Extra inputs") else message
