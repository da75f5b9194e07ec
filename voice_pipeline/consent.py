"""Whether a speaker agreed to what a voice is for, on a given day. docs/consent.md says the same for people.

    mark = read_revocation(store, voice.voice_profile_id)
    problem(voice, today, project=project, revocation=mark)       # None: the voice may be shipped
    public_record(voice)                                          # consent.json of a bundle: no name that is not wanted
    record_problem(record, today, revocation=mark)                # what a server asks of it

The rules ask no clock: the day is given. Two records are untrusted when read, a bundle's consent.json and the store's
revocation mark: what cannot be read is no consent, and a mark that cannot be read is a revocation.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_pipeline.failures import Blocker
from voice_pipeline.store import Store, canonical_json, inside, sha256_file
from voice_pipeline.voice import WORLDWIDE, Consent, Voice

RECORD_SCHEMA = "voice_consent/1"
MARK_SCHEMA = "voice_revocation/1"
PURPOSE = "text_to_speech"  # what a voice of this pipeline is for
MAX_BYTES = 64 << 10  # of a mark or a record; they have some 400
_SHA256 = r"^[0-9a-f]{64}$"
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # sha256 of no bytes


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Mark(_Strict):
    """The revocation mark as it is stored. ``promotion.revoke`` writes it."""

    schema_name: Literal["voice_revocation/1"] = Field(alias="schema")
    voice_profile_id: str
    revoked_on: date
    at: str = Field(max_length=40, description="RFC 3339: when it was marked.")
    by: str = Field(max_length=200)
    reason: str = Field(max_length=2000)
    evidence_known: bool = Field(description="Whether it is known with which evidence the revoked consent was given.")
    evidence_sha256: tuple[str, ...] = Field(description="Evidence that was revoked, and cannot be a new consent's.")


@dataclass(frozen=True)
class Revocation:
    """That a consent is revoked. ``fault``: why the mark cannot be read; then nothing else is known, and it holds."""

    mark: Mark | None
    fault: str | None = None

    def lifted_by(self, granted_on: date | None, evidence_sha256: str | None) -> bool:
        """Whether such a consent was given anew, after the revocation."""
        return (
            self.mark is not None
            and self.mark.evidence_known
            and granted_on is not None
            and granted_on >= self.mark.revoked_on
            and evidence_sha256 is not None
            and evidence_sha256 not in self.mark.evidence_sha256
        )


def read_revocation(store: Store, voice_id: str) -> Revocation | None:
    """The mark that the consent of a voice is revoked; None where there is none. Never raises for a wrong mark."""
    path = store.revocation(voice_id)
    try:
        mark = Mark.model_validate_json(_bounded(path))
    except FileNotFoundError:
        return None  # a link that leads nowhere is not this: it is not followed
    except ValidationError as error:
        return Revocation(None, _fault(error))
    except (OSError, ValueError) as error:
        return Revocation(None, getattr(error, "strerror", None) or str(error))
    if mark.voice_profile_id != voice_id:
        return Revocation(None, f"it is of the voice {mark.voice_profile_id!r}")
    return Revocation(mark)


def blockers(project: Path, voice: Voice, store: Store, today: date) -> tuple[Blocker, ...]:
    """``problem`` as a gate says it: ``consent_missing``, or nothing. It looks for the store's revocation mark."""
    mark = read_revocation(store, voice.voice_profile_id)
    found = problem(voice, today, project=project, revocation=mark)
    return () if found is None else (Blocker("consent_missing", found),)


def problem(voice: Voice, today: date, *, project: Path | None, revocation: Revocation | None) -> str | None:
    """Why ``voice`` may not be trained for production, or shipped, ``today``; None when its speaker agreed to it.

    ``project`` is where the evidence is looked for, to compare its digest; None looks for none.
    """
    found = _problem(_record_of(voice), voice.consent.speaker, today, revocation)
    return found or _evidence_problem(voice.consent, project)


def revoked(voice: Voice, today: date, revocation: Revocation | None) -> str | None:
    """Why nothing at all may be done with ``voice`` any more, in any lane; None when nothing was revoked."""
    return _revoked(_record_of(voice), voice.consent.speaker, today, revocation)


def public_record(voice: Voice) -> dict[str, Any]:
    """The consent as a bundle carries it: no place of evidence, and of a person who wants no name, no words either."""
    consent = voice.consent
    return {
        "schema": RECORD_SCHEMA,
        "voice_profile_id": voice.voice_profile_id,
        "synthetic": consent.speaker_type == "synthetic",
        "pseudonymous": consent.pseudonymous,
        "speaker": None if consent.pseudonymous else consent.speaker,
        "status": consent.status,
        "commercial_use": consent.commercial_use,
        "purposes": list(consent.purposes),
        "language": voice.language,
        "languages": list(consent.languages),
        "territories": list(consent.territories),
        "distribution": list(voice.distribution),
        "granted_on": _iso(consent.granted_on),
        "expires_on": _iso(consent.expires_on),
        "revoked_on": _iso(consent.revoked_on),
        "how": None if consent.pseudonymous else consent.how,
        "evidence_sha256": consent.evidence_sha256,
    }


def record_problem(
    record: Mapping[str, Any], today: date, *, voice_id: str | None = None, revocation: Revocation | None = None
) -> str | None:
    """Why a bundle with this consent.json may not speak ``today``; None when it may. The record is untrusted.

    ``voice_id`` is the voice that it must be about; ``revocation`` is the mark of the store that the bundle lies in.
    """
    try:
        found = _Record.model_validate_json(canonical_json(record))
    except ValidationError as error:
        return f"consent.json: {_fault(error)}"
    except (ValueError, TypeError, RecursionError) as error:
        return f"consent.json: not JSON: {error}"
    if voice_id is not None and found.voice_profile_id != voice_id:
        return f"consent.json is of the voice {found.voice_profile_id!r}"
    return _problem(found, found.speaker or "the speaker", today, revocation)


def carried_problem(path: Path, today: date, *, voice_id: str, revocation: Revocation | None) -> str | None:
    """``record_problem`` of the consent.json at ``path``, in the bundle that is about to be used again."""
    try:
        value = json.loads(_bounded(path))
    except (OSError, ValueError, RecursionError) as error:
        return f"consent.json cannot be read: {getattr(error, 'strerror', None) or error}"
    if not isinstance(value, dict):
        return "consent.json is no record"
    return record_problem(value, today, voice_id=voice_id, revocation=revocation)


def evidence_file(project: Path, evidence: str) -> Path | None:
    """The file that ``evidence`` names, below the project or absolute; None where it is kept elsewhere."""
    try:
        path = Path(evidence) if Path(evidence).is_absolute() else inside(project, evidence)
        return path if path.is_file() else None
    except (OSError, ValueError):  # "drawer 3, top" is no path, and some words are too long for one
        return None


# -- the rules -------------------------------------------------------------------------------------


class _Record(_Strict):
    """A bundle's consent.json, as ``public_record`` makes it: what the rules look at."""

    schema_name: Literal["voice_consent/1"] = Field(alias="schema")
    voice_profile_id: str
    synthetic: bool
    pseudonymous: bool
    speaker: str | None
    status: Literal["granted", "missing", "revoked", "not_applicable"]
    commercial_use: bool
    purposes: tuple[str, ...]
    language: str
    languages: tuple[str, ...]
    territories: tuple[str, ...]
    distribution: tuple[str, ...] = Field(min_length=1)
    granted_on: date | None
    expires_on: date | None
    revoked_on: date | None
    how: str | None
    evidence_sha256: str | None = Field(pattern=_SHA256)


def _record_of(voice: Voice) -> _Record:
    return _Record.model_validate_json(canonical_json(public_record(voice)))


def _problem(record: _Record, who: str, today: date, revocation: Revocation | None) -> str | None:
    stopped = _revoked(record, who, today, revocation)
    if stopped is not None:
        return stopped
    if record.synthetic:
        return _synthetic_problem(record, who)
    if record.status != "granted":
        return f"no consent of {who} is recorded"
    if record.granted_on is None:
        return f"the consent of {who} does not say since when it holds: add granted_on"
    if record.granted_on > today:
        return f"the consent of {who} begins on {record.granted_on}, which is not yet"
    if record.expires_on is not None and record.expires_on < today:
        return f"the consent of {who} expired on {record.expires_on}"
    found = "; ".join(_gaps(record))
    return f"the consent of {who} {found}" if found else None


def _revoked(record: _Record, who: str, today: date, revocation: Revocation | None) -> str | None:
    if record.status == "revoked" or (record.revoked_on is not None and record.revoked_on <= today):
        since = f" on {record.revoked_on}" if record.revoked_on is not None else ""
        return f"this voice was revoked{since}" if record.synthetic else f"{who} has revoked the consent{since}"
    if revocation is None:
        return None
    if revocation.mark is None:
        return f"the mark of a revocation cannot be read, so it holds: {revocation.fault}; run revoke again"
    said = f"this voice was revoked on {revocation.mark.revoked_on}"
    if record.synthetic:
        return f"{said}; no config lifts that"
    if record.status == "granted" and revocation.lifted_by(record.granted_on, record.evidence_sha256):
        return None
    if not revocation.mark.evidence_known:
        return f"{said}, and with which evidence the consent had been given is not known: see docs/consent.md"
    return f"{said}; a consent given anew has a granted_on not before that day and another evidence_sha256"


def _synthetic_problem(record: _Record, who: str) -> str | None:
    """A program cannot agree; its licence, which the licence gate asks about, does."""
    if record.status != "not_applicable":
        return f"{who} is synthetic, but its consent is {record.status}, not not_applicable"
    if not record.commercial_use:
        return f"{who} is synthetic, and nobody said that its licence allows commercial use: set commercial_use"
    return None


def _gaps(record: _Record) -> Iterator[str]:
    """What the consent does not cover, all of it: one visit to the person should do."""
    if record.evidence_sha256 is None:
        yield "names no evidence_sha256: add the sha256 of the signed paper's file (sha256sum FILE prints it)"
    elif record.evidence_sha256 == _EMPTY:
        yield "has an empty file as its evidence"
    if not record.commercial_use:
        yield "does not cover commercial use, which the production lane needs"
    if not record.purposes:
        yield f"names no purposes: add those that were agreed to, such as purposes: [{PURPOSE}]"
    elif PURPOSE not in record.purposes:
        yield f"covers {_listed(record.purposes)}, not {PURPOSE}"
    if record.languages and not any(_speaks(one, record.language) for one in record.languages):
        yield f"covers the languages {_listed(record.languages)}, not {record.language}"
    if not record.territories:
        yield f"names no territories: add those that were agreed to, such as territories: [{WORLDWIDE}]"
    elif WORLDWIDE not in record.territories:
        beyond = [one for one in record.distribution if one not in record.territories]
        if beyond:
            covered = _listed(record.territories)
            yield f"covers {covered}, but the voice's distribution names {_listed(beyond)}: set it to what is covered"


def _speaks(agreed: str, language: str) -> bool:
    """en covers en-US; en-US does not cover en."""
    return language == agreed or language.startswith(f"{agreed}-")


def _evidence_problem(consent: Consent, project: Path | None) -> str | None:
    """The paper is the one that was signed, where it can be looked at."""
    if project is None or consent.speaker_type == "synthetic" or consent.evidence is None:
        return None
    path = evidence_file(project, consent.evidence)
    if path is None:
        return None
    try:
        found = sha256_file(path)
    except OSError as error:
        return f"the evidence of {consent.speaker}'s consent, {consent.evidence}, cannot be read: {error.strerror}"
    if found != consent.evidence_sha256:
        return (
            f"the evidence of {consent.speaker}'s consent, {consent.evidence}, has sha256 {found}, but "
            f"evidence_sha256 is {consent.evidence_sha256}: put the signed file back, or record what was signed anew"
        )
    return None


# -- reading ---------------------------------------------------------------------------------------


def _bounded(path: Path) -> bytes:
    """The bytes of a small regular file; no link is followed. Raises OSError, ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return data


def _fault(error: ValidationError) -> str:
    item = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}"


def _listed(values: tuple[str, ...] | list[str]) -> str:
    return ", ".join(values) or "nothing"


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
