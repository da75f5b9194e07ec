"""From a path to a voice's config: what is there, what was assumed, and nothing invented.

    imported = import_source(project, Path("~/Recordings"), "anna")
    imported.path, imported.assumptions

Nobody's consent is assumed: a person's is written as ``missing``, and the config says what to fill in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from voice_pipeline import consent
from voice_pipeline.atomic import write_text
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.project import VOICES_FOLDER
from voice_pipeline.recordings.config_text import config_text
from voice_pipeline.recordings.detection import Kind
from voice_pipeline.recordings.source import Recordings, find_recordings
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.transcripts import read_source_text
from voice_pipeline.store import profile_id, sha256_file
from voice_pipeline.voice import DEFAULT_MIN_BYTES, TextKind, Voice, load_voice

RECIPES_FOLDER = Path("configs/recipes")
UNNAMED = "unnamed speaker"
OWN_RECORDING = "LicenseRef-Proprietary-Own-Recording"


@dataclass(frozen=True)
class Agreement:
    """What a person signed. ``Consent`` in ``voice`` has the meaning of each field; what was not said stays empty."""

    granted_on: date
    evidence: str  # the signed file, or in words where it is kept
    commercial_use: bool
    purposes: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    territories: tuple[str, ...] = ()
    expires_on: date | None = None
    how: str | None = None
    evidence_sha256: str | None = None  # computed where the evidence is a file at hand
    pseudonymous: bool = False


@dataclass(frozen=True)
class Imported:
    """The config that was written, and in short sentences what it takes for granted."""

    path: Path
    assumptions: tuple[str, ...]
    voice: Voice
    consent_problem: str | None  # what the consent still lacks for a production lane


def import_source(
    project: Path,
    source: Path,
    voice_id: str,
    *,
    language: str = "en-US",
    speaker: str | None = None,
    synthetic: bool = False,
    agreement: Agreement | None = None,
    license: str | None = None,
    recipe: str = "cpu_small",
    kind: Kind | None = None,
    text: TextKind | None = None,
    text_path: Path | None = None,
    overwrite: bool = False,
) -> Imported:
    """Write ``configs/voices/<voice_id>.yaml`` for the recordings at ``source`` (relative to the working folder).

    Raises ConfigError for a wrong argument and for a config that exists already unless ``overwrite``; VoiceFailure
    ``missing_audio_path``, ``lfs_pointer`` or ``audio_undecodable`` when there is nothing to import.
    """
    if synthetic and agreement is not None:
        raise ConfigError("a program cannot agree: leave out either --synthetic or the consent")
    path = project / VOICES_FOLDER / f"{profile_id(voice_id)}.yaml"
    if path.exists() and not overwrite:
        raise ConfigError(f"{path}: exists already; choose another id, or overwrite it")
    if not (project / RECIPES_FOLDER / f"{recipe}.yaml").is_file():
        raise ConfigError(f"no recipe {recipe!r}: {RECIPES_FOLDER / recipe}.yaml does not exist")
    where = _path_in(project, source.expanduser())
    assumptions: list[str] = []
    fields: dict[str, Any] = {
        "voice_profile_id": voice_id,
        "display_name": voice_id.replace("_", " ").replace("-", " ").strip().title() or voice_id,
        "language": language,
        "recipe": recipe,
        "source": {"path": where, "min_bytes": 1, "kind": kind, "text": text},
        "consent": _consent(project, speaker, synthetic, agreement, license, assumptions),
    }
    if text_path is not None:
        if not text_path.expanduser().exists():
            raise ConfigError(f"{text_path}: there is no such file or folder")
        fields["source"]["text_path"] = _path_in(project, text_path.expanduser())
    if license is not None:
        fields["source"]["license"] = license
    elif not synthetic:
        assumptions.append(
            "The recordings' licence is not known, so no voice of them is promoted yet: set source.license. "
            f"One's own are {OWN_RECORDING}."
        )
    draft = _checked(fields)
    recordings = find_recordings(project, draft)
    fields["source"] |= {"kind": recordings.kind, "text": recordings.text}
    fields["source"]["min_bytes"] = _least_bytes(recordings, assumptions)
    assumptions[:0] = [f"The language is {language}.", *_found(project, draft, recordings)]
    checked = _checked(fields)
    problem = consent.problem(checked, _first_day(agreement), project=project, revocation=None)
    if problem is not None and agreement is not None:
        assumptions.append(f"Training waits until this is recorded: {problem}.")
    write_text(path, config_text(checked, recordings.because))
    return Imported(path, tuple(assumptions), load_voice(path), problem)


def _path_in(project: Path, source: Path) -> str:
    """Relative to the project where the source is inside of it, else absolute. Raises ConfigError."""
    whole = Path.cwd() / source
    for root, one in ((project.absolute(), whole), (project.resolve(), whole.resolve())):
        if one.is_relative_to(root) and ".." not in one.parts:
            whole = one.relative_to(root)
            break
    else:
        whole = whole.resolve()
    try:
        whole.as_posix().encode()
    except UnicodeEncodeError:
        raise ConfigError("the path of the recordings is not UTF-8; give it another name") from None
    return whole.as_posix()


def _consent(
    project: Path,
    speaker: str | None,
    synthetic: bool,
    agreement: Agreement | None,
    license: str | None,
    assumptions: list[str],
) -> dict[str, Any]:
    name = (speaker or "").strip() or UNNAMED
    if name == UNNAMED:
        assumptions.append("The speaker has no name yet: write it to consent.speaker.")
    if agreement is not None:
        found = _with_evidence(project, agreement)
        if found.evidence_sha256 is not None and agreement.evidence_sha256 is None:
            assumptions.append(f"The signed consent is the file {found.evidence} as it is now.")
        return {"speaker_type": "human", "speaker": name, "status": "granted", **asdict(found)}
    if not synthetic:
        assumptions.append(f"No consent of {name} is recorded: training waits until consent.status says granted.")
        return {"speaker_type": "human", "speaker": name, "status": "missing"}
    if license is None:
        assumptions.append("The speaker's licence is not known: set source.license and consent.commercial_use.")
    else:
        assumptions.append(f"No person spoke, so no consent is needed; {license} is taken to allow commercial use.")
    return {
        "speaker_type": "synthetic", "speaker": name, "status": "not_applicable",
        "commercial_use": license is not None,
    }  # fmt: skip


def _with_evidence(project: Path, agreement: Agreement) -> Agreement:
    """The agreement with its file's path in the project and digest; as it is, where the evidence is kept elsewhere."""
    try:
        named = Path(agreement.evidence).expanduser()
        file = named if named.is_file() else consent.evidence_file(project, agreement.evidence)
    except (OSError, ValueError, RuntimeError):  # words that are no path
        return agreement
    if file is None:
        return agreement
    try:
        digest, size = sha256_file(file), file.stat().st_size
    except OSError as error:
        raise ConfigError(f"{agreement.evidence}: the signed consent cannot be read: {error.strerror}") from error
    if size == 0:
        raise ConfigError(f"{agreement.evidence}: the signed consent is an empty file")
    if agreement.evidence_sha256 not in (None, digest):
        raise ConfigError(f"{agreement.evidence}: has sha256 {digest}, not {agreement.evidence_sha256}")
    return replace(agreement, evidence=_path_in(project, file), evidence_sha256=digest)


def _first_day(agreement: Agreement | None) -> date:
    return agreement.granted_on if agreement is not None else date.min


def _checked(fields: dict[str, Any]) -> Voice:
    try:
        return Voice.model_validate(fields)
    except ValidationError as error:
        faults = (f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors())
        raise ConfigError("; ".join(faults)) from error


def _least_bytes(recordings: Recordings, assumptions: list[str]) -> int:
    if recordings.bytes > DEFAULT_MIN_BYTES:
        return DEFAULT_MIN_BYTES
    least = max(1, recordings.bytes // 2)
    assumptions.append(
        f"The source has {recordings.bytes} bytes, fewer than the usual minimum of {DEFAULT_MIN_BYTES}: "
        f"source.min_bytes is {least}. A good voice needs more speech."
    )
    return least


def _found(project: Path, draft: Voice, recordings: Recordings) -> list[str]:
    """What was found, and why it was taken for what it is."""
    usable = recordings.usable
    said = [f"The source is of kind {recordings.kind}, its text {recordings.text}."]
    said += [f"{reason[0].upper()}{reason[1:]}." for reason in recordings.because]
    if bad := [file for file in recordings.files if file.problem is not None]:
        first = f"{recordings.shown_name(bad[0].name)} {bad[0].detail}"
        said.append(f"{len(bad)} of {len(recordings.files)} files cannot be used; the first: {first}.")
    channels = _channels(usable[0].path)
    if channels > 1:
        said.append(f"The {channels} channels are mixed evenly; source.channel takes one of them.")
    if recordings.kind != "parquet" and recordings.text != "none":
        said += _text_found(project, draft, recordings)
    return said


def _text_found(project: Path, draft: Voice, recordings: Recordings) -> list[str]:
    files = [AudioFile(file.name, "", file.bytes, seconds=1e9) for file in recordings.usable]
    try:
        found = read_source_text(project, draft, recordings, files)
    except VoiceFailure as failure:
        return [f"Its text cannot be read yet: {failure.file}: {failure.detail}."]
    count = len(set(found.clips) | set(found.cues) | {name for whole in found.whole for name in whole.files})
    said = [f"{count} of {len(files)} audio files have text."]
    if found.unmatched:
        said.append(f"Texts without audio: {len(found.unmatched)}; the first is in {found.unmatched[0].source}.")
    return [*said, *(f"{note[0].upper()}{note[1:]}." for note in found.notes)]


def _channels(path: Path) -> int:
    import soundfile

    try:
        return int(soundfile.info(str(path)).channels)
    except (soundfile.SoundFileError, OSError, TypeError):
        return 1
