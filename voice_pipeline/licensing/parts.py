"""Everything with weights that has a part in a voice, found from what was really used.

    parts = parts_of(project, voice, store)
    weights_manifests(parts)             # name -> path: what the bundle carries

Sources of the truth: the training's own spec (base weights), the text frontend's sources (lexicon, pronunciation
model), the recordings' about.json and the consent record (a synthetic speaker), the records of the stages that made the
dataset (the models that listened to the recordings), the evaluation (its judges).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import ConfigError
from voice_pipeline.licensing.allowlist import MANIFESTS_PATH, Allowlist, KnownWeights, load_allowlist, manifest_name
from voice_pipeline.licensing.weights_manifest import InvalidManifestError, read_weights_manifest
from voice_pipeline.recognition.listeners import ListeningModel
from voice_pipeline.recognition.recognizer import manifest_model_id, weights_file
from voice_pipeline.recognition.whisper import MODEL_ID as WHISPER
from voice_pipeline.recordings.sample_speaker import ENGINE
from voice_pipeline.store import Store
from voice_pipeline.strict_json import parse_json
from voice_pipeline.text.spelling.writing import writing
from voice_pipeline.training.spec import TrainingSpec, read_spec
from voice_pipeline.voice import Voice

RECOGNISER = WHISPER  # the judge of every English voice
_ABOUT_MAX_BYTES = 65_536
_ABOUT_LEVELS = 3  # folders above the recordings that may speak about them
_SAMPLE_SPEAKER = ("hibari-tts/heart", "hibari-tts/oov")  # its voice, and its pronunciations of unknown words


@dataclass(frozen=True)
class Judge:
    """A model that judges the voice. ``sha256`` is of the weights that judged; None before the evaluation."""

    model_id: str
    sha256: str | None


# The stages whose records name the models that listened to the recordings.
LISTENING_STAGES = ("utterance_segments", "utterance_texts", "clean_utterances", "dataset_manifest")


@dataclass(frozen=True)
class Part:
    """One set of weights with a part in the voice."""

    role: str
    model_id: str
    manifest: Path | None  # its weights manifest; None where there is none
    file: Path | None  # the real weights; None where they are not on this machine
    used_sha256: str | None = None  # of the bytes that were used, where the evidence names them
    shipped: bool = False  # whether the bundle holds them, or what was trained from them

    @property
    def name(self) -> str:
        """Its short name in the bundle: ``whisper/tiny.en`` -> ``whisper-tiny.en``."""
        return manifest_name(self.model_id).removesuffix(".weights-manifest.json")


def parts_of(project: Path, voice: Voice, store: Store, *, judges: Sequence[Judge] | None = None) -> tuple[Part, ...]:
    """All parts of ``voice``, sorted by role and id; ``judges`` None means those that will judge it.

    Raises ConfigError for a wrong allowlist.
    """
    allowlist = load_allowlist(project)
    judges = planned_judges(project, voice) if judges is None else judges
    found = [
        *_base_parts(project, voice, store),
        *_frontend_parts(project, voice, allowlist),
        *_speaker_parts(project, voice, allowlist),
        *_listening_parts(project, voice, store, allowlist),
        *(_listener(project, voice, allowlist, "judge", judge.model_id, judge.sha256) for judge in judges),
    ]
    return tuple(sorted(found, key=lambda part: (part.role, part.model_id)))


def planned_judges(project: Path, voice: Voice) -> tuple[Judge, ...]:
    """What the bundle names before anything has judged it. The gate asks the evaluation who really did."""
    if voice.language.startswith("en"):
        return (Judge(RECOGNISER, None),)
    settings = voice.recognizer
    if settings is None or settings.path is None:
        return ()  # no recogniser that we know hears this language: the evaluation will say so
    return (Judge(manifest_model_id(project, settings), None),)


def weights_manifests(parts: Sequence[Part]) -> dict[str, Path]:
    """Short name -> weights manifest, for the bundle. Parts without one are left to the gate, which refuses."""
    return {part.name: part.manifest for part in parts if part.manifest is not None}


def _base_parts(project: Path, voice: Voice, store: Store) -> Iterator[Part]:
    """The bases that the training's spec names, and those of the config, which a next training would use."""
    spec = _spec(store, voice)
    used = {} if spec is None else dict(spec.base)
    for model in sorted({*used, *voice.base}):
        role, config = f"{model} base", voice.base.get(model)
        if config is None:  # the config forgot what the training began from
            yield Part(role, f"unknown/{used[model].path.name}", None, used[model].path, shipped=True)
            continue
        manifest = project / config.manifest
        yield Part(
            role,
            _model_id(manifest) or f"unknown/{config.path.name}",
            manifest,
            project / config.path,
            used_sha256=used[model].sha256 if model in used else None,
            shipped=True,
        )


def _spec(store: Store, voice: Voice) -> TrainingSpec | None:
    """The spec of the training that the voice's checkpoint came from; None before a training."""
    try:
        record = read_json(store.record(voice.voice_profile_id, "nemo_checkpoint"))
        return read_spec(store.resolve(record["work_dir"]) / "spec.json")
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return None


def _frontend_parts(project: Path, voice: Voice, allowlist: Allowlist) -> Iterator[Part]:
    if writing(voice.language) is not None:
        return  # read by its letters: code alone, no weights
    if not voice.language.startswith("en"):
        yield Part("text frontend", f"unknown/{voice.language}", None, None, shipped=True)
        return
    from voice_pipeline.text.english.resources import SOURCES

    for source in SOURCES:
        entry = _packaged(allowlist, source.package, source.file)
        if entry is None:
            yield Part("text frontend", f"unknown/{source.package}/{source.file}", None, None, shipped=True)
        else:
            yield _known(project, allowlist, "text frontend", entry.id, used_sha256=source.sha256, shipped=True)


def _speaker_parts(project: Path, voice: Voice, allowlist: Allowlist) -> Iterator[Part]:
    """The weights of a synthetic speaker, whoever says that it is one: the config or the recordings."""
    abouts = [_about(path) for path in _about_files(project, project / voice.source.path)]
    synthetic = [about for about in abouts if about is not None and about["synthetic"]]
    speakers = [str(about["speaker"]) for about in synthetic if "speaker" in about]
    if voice.consent.speaker_type == "synthetic":
        speakers.append(voice.consent.speaker)
    if None in abouts or (synthetic and not speakers):
        yield Part("synthetic speaker", "unknown", None, None)
    for speaker in speakers:
        if not speaker.startswith(f"{ENGINE} "):
            yield Part("synthetic speaker", f"unknown/{speaker}", None, None)
    if any(speaker.startswith(f"{ENGINE} ") for speaker in speakers):
        for model_id in _SAMPLE_SPEAKER:
            yield _known(project, allowlist, "synthetic speaker", model_id)


def _listening_parts(project: Path, voice: Voice, store: Store, allowlist: Allowlist) -> Iterator[Part]:
    """The models that the records of the dataset's stages name: they decided what is trained on and as what text."""
    for used in sorted(_listeners(store, voice.voice_profile_id), key=lambda one: (one.role, one.model_id, one.sha256)):
        yield _listener(project, voice, allowlist, used.role, used.model_id, used.sha256)


def _listener(project: Path, voice: Voice, allowlist: Allowlist, role: str, model_id: str, sha256: str | None) -> Part:
    """A model that listened: the local one of the voice's config, or one of an installed package."""
    settings = voice.recognizer
    if settings is not None and settings.manifest is not None and settings.path is not None:
        manifest, file = project / settings.manifest, weights_file(project / settings.path)
        if model_id == manifest_model_id(project, settings):
            return Part(role, model_id, manifest if manifest.is_file() else None, file, sha256)
    part = _known(project, allowlist, role, model_id, used_sha256=sha256)
    return part if part.manifest is not None and part.manifest.is_file() else replace(part, manifest=None)


def _listeners(store: Store, voice: str) -> set[ListeningModel]:
    """Every model of every record. A record that cannot be read names an unknown one, which no gate passes."""
    found: set[ListeningModel] = set()
    adapter = TypeAdapter(tuple[ListeningModel, ...])
    for stage in LISTENING_STAGES:
        try:
            models = read_json(store.record(voice, stage)).get("models", [])
            found.update(adapter.validate_python(models))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError, RecursionError):
            found.add(ListeningModel("recogniser", f"unknown/{stage}", "0" * 64))
    return found


def _about_files(project: Path, source: Path) -> list[Path]:
    """Every about.json of the recordings: beside them, and in the folders above, below the project's root.

    A config may name a subfolder, one clip, or a link to either: none of them is a way past the file.
    """
    found: dict[Path, None] = {}
    for start, root in ((source.absolute(), project.absolute()), (source.resolve(), project.resolve())):
        folder = start if start.is_dir() else start.parent
        for place in (folder, *folder.parents)[: _ABOUT_LEVELS + 1]:
            if place == root or place in root.parents:
                break
            if os.path.lexists(place / "about.json"):
                found[place / "about.json"] = None
    return list(found)


def _about(path: Path) -> Mapping[str, Any] | None:
    """What about.json says of recordings; None when that, or whether a program made them, cannot be known."""
    try:
        if not path.is_file():  # no pipe is waited for
            return None
        with path.open("rb") as stream:
            data = stream.read(_ABOUT_MAX_BYTES + 1)
        value = parse_json(data) if len(data) <= _ABOUT_MAX_BYTES else None
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("synthetic"), bool) else None


def _known(
    project: Path,
    allowlist: Allowlist,
    role: str,
    model_id: str,
    *,
    used_sha256: str | None = None,
    shipped: bool = False,
) -> Part:
    """A part whose weights come inside an installed package; its manifest is one of the project's."""
    entry = allowlist.entry(model_id)
    file = entry.packaged.locate() if entry is not None and entry.packaged is not None else None
    return Part(role, model_id, project / MANIFESTS_PATH / manifest_name(model_id), file, used_sha256, shipped)


def _packaged(allowlist: Allowlist, distribution: str, path: str) -> KnownWeights | None:
    for entry in allowlist.weights:
        if entry.packaged is not None and (entry.packaged.distribution, entry.packaged.path) == (distribution, path):
            return entry
    return None


def _model_id(manifest: Path) -> str | None:
    try:
        return read_weights_manifest(manifest).model_id
    except InvalidManifestError:
        return None
