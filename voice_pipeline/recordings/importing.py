"""From a path to a voice's config: what is there, what was assumed, and nothing invented.

    imported = import_source(project, Path("~/Recordings"), "anna")
    imported.path, imported.assumptions

Nobody's consent is assumed: a person's is written as ``missing``, and the config says what to fill in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from voice_pipeline.atomic import write_text
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.project import VOICES_FOLDER
from voice_pipeline.recordings.detection import Kind
from voice_pipeline.recordings.source import Recordings, find_recordings
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.transcripts import read_source_text
from voice_pipeline.store import profile_id
from voice_pipeline.voice import DEFAULT_MIN_BYTES, Source, TextKind, Voice, load_voice

RECIPES_FOLDER = Path("configs/recipes")
UNNAMED = "unnamed speaker"


@dataclass(frozen=True)
class Agreement:
    """What a person signed: since when, where the signed paper is kept, and whether the voice may be sold."""

    granted_on: date
    evidence: str
    commercial_use: bool


@dataclass(frozen=True)
class Imported:
    """The config that was written, and in short sentences what it takes for granted."""

    path: Path
    assumptions: tuple[str, ...]
    voice: Voice


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
        "consent": _consent(speaker, synthetic, agreement, license, assumptions),
    }
    if text_path is not None:
        if not text_path.expanduser().exists():
            raise ConfigError(f"{text_path}: there is no such file or folder")
        fields["source"]["text_path"] = _path_in(project, text_path.expanduser())
    if license is not None:
        fields["source"]["license"] = license
    elif not synthetic:
        assumptions.append(f"The recordings are yours: source.license is {_default_license()}.")
    draft = _checked(fields)
    recordings = find_recordings(project, draft)
    fields["source"] |= {"kind": recordings.kind, "text": recordings.text}
    fields["source"]["min_bytes"] = _least_bytes(recordings, assumptions)
    assumptions[:0] = [f"The language is {language}.", *_found(project, draft, recordings)]
    write_text(path, _yaml(_checked(fields), recordings))
    return Imported(path, tuple(assumptions), load_voice(path))


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
    speaker: str | None, synthetic: bool, agreement: Agreement | None, license: str | None, assumptions: list[str]
) -> dict[str, Any]:
    name = (speaker or "").strip() or UNNAMED
    if name == UNNAMED:
        assumptions.append("The speaker has no name yet: write it to consent.speaker.")
    if agreement is not None:
        return {"speaker_type": "human", "speaker": name, "status": "granted", **asdict(agreement)}
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


def _default_license() -> str:
    return str(Source.model_fields["license"].default)


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


def _yaml(voice: Voice, recordings: Recordings) -> str:
    """The config as a person would write it."""
    source, consent = voice.source, voice.consent
    why = "".join(f"  # {reason}\n" for reason in recordings.because)
    person = """\
  # Nothing is trained before the speaker agreed. Then write:
  #   status: granted
  #   commercial_use: true
  #   granted_on: 2026-01-31
  #   evidence: where the signed consent is kept
  # and expires_on, if it ends.
"""
    if consent.status == "granted":
        person = ""
    more = "" if consent.status == "missing" else f"  commercial_use: {str(consent.commercial_use).lower()}\n"
    if consent.granted_on is not None and consent.evidence is not None:
        more += f"  granted_on: {consent.granted_on}\n  evidence: {_scalar(consent.evidence)}\n"
    human = consent.speaker_type == "human"
    beside = "" if source.text_path is None else f"  text_path: {_scalar(source.text_path.as_posix())}\n"
    return f"""\
voice_profile_id: {_scalar(voice.voice_profile_id)}
display_name: {_scalar(voice.display_name)}
language: {_scalar(voice.language)}
lane: production
recipe: {_scalar(voice.recipe)}
source:
  path: {_scalar(source.path.as_posix())}  # relative to the project's root, or absolute
{why}  kind: {source.kind}
  text: {source.text}
{beside}  channel: {source.channel}
  min_bytes: {source.min_bytes}
  license: {_scalar(source.license)}
consent:
  speaker_type: {consent.speaker_type}
  speaker: {_scalar(consent.speaker)}
{person if human else ""}  status: {consent.status}
{more}gates: {{}}
"""


def _scalar(value: str) -> str:
    """A string as YAML reads it back."""
    return yaml.safe_dump(value, allow_unicode=True, width=10_000).removesuffix("...\n").strip()
