"""The sample speaker: a program that reads our own sentences, so that everyone can train a first voice.

    from voice_pipeline.recordings.sample_speaker import record
    record(project / "data/sample_speaker")      # wavs/*.wav and metadata.csv, the form of LJ Speech

hibari-tts (Apache-2.0, extra ``demo``) speaks. It is synthetic, and about.json in the folder says so: it never
stands for a person who agreed to anything. The same sentences give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from voice_pipeline.atomic import write_bytes, write_json, write_text
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.wav import wav_bytes

ENGINE = "hibari-tts"
ENGINE_VOICE = "heart"  # the one voice model that ships inside the package
SEED = 0
_FULL_SCALE = 32767  # largest 16-bit sample

OnProgress = Callable[[int, int], None]


def sentences() -> tuple[str, ...]:
    """The sentences that the sample speaker reads, in order."""
    text = resources.files("voice_pipeline.recordings").joinpath("sample_sentences.txt").read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def record(folder: Path, progress: OnProgress | None = None) -> Path:
    """Let the sample speaker read its sentences into ``folder``; returns ``folder``.

    Writes ``wavs/<id>.wav`` (24 kHz, mono, 16 bit), then ``metadata.csv`` (``id|text``) and ``about.json``. An id
    holds the digest of its sentence and of the engine's version: a clip that is there is a clip that is right, so a
    second call only adds what is missing. ``progress(current, total)`` is called after every clip.

    Raises VoiceFailure ``sample_speaker_unavailable`` without hibari-tts, ``disk_full`` or ``permission_denied``.
    """
    version = _engine_version()
    texts = sentences()
    identifiers = [_clip_id(number, text, version) for number, text in enumerate(texts, start=1)]
    clips = [folder / "wavs" / f"{identifier}.wav" for identifier in identifiers]
    engine = None
    for number, (text, clip) in enumerate(zip(texts, clips, strict=True), start=1):
        if not clip.exists():
            engine = engine or _engine()
            _write_clip(engine, text, clip)
        if progress is not None:
            progress(number, len(texts))
    _remove_stale(folder / "wavs", clips)
    write_text(folder / "metadata.csv", "".join(f"{i}|{text}\n" for i, text in zip(identifiers, texts, strict=True)))
    write_json(folder / "about.json", _about(version, len(texts)))
    return folder


def _clip_id(number: int, text: str, version: str) -> str:
    digest = hashlib.sha256(f"{ENGINE}\n{version}\n{ENGINE_VOICE}\n{SEED}\n{text}".encode()).hexdigest()
    return f"sample_{number:03d}_{digest[:8]}"


def _engine_version() -> str:
    try:
        return metadata.version(ENGINE)
    except metadata.PackageNotFoundError as error:
        raise VoiceFailure("sample_speaker_unavailable", f"the package {ENGINE} is not installed") from error


def _engine() -> Any:
    try:
        from hibari import Hibari

        return Hibari(voice=ENGINE_VOICE)
    except ImportError as error:
        raise VoiceFailure("sample_speaker_unavailable", f"{ENGINE} cannot be imported: {error}") from error


def _write_clip(engine: Any, text: str, clip: Path) -> None:
    import numpy as np

    samples = np.clip(engine(text, seed=SEED), -1.0, 1.0)  # float32 [N]
    pcm = np.rint(samples * _FULL_SCALE).astype(np.int16)
    write_bytes(clip, wav_bytes(pcm, engine.sample_rate))


def _remove_stale(folder: Path, clips: list[Path]) -> None:
    """Remove clips of former sentences, so that none stands beside metadata.csv without a text."""
    for path in folder.glob("sample_*.wav"):
        if path not in clips:
            path.unlink()


def _about(version: str, count: int) -> dict[str, Any]:
    return {
        "synthetic": True,
        "speaker": f"{ENGINE} {version}, voice {ENGINE_VOICE}",
        "license": "Apache-2.0",
        "seed": SEED,
        "clips": count,
        "note": "Spoken by a program. No person recorded this, and it is no evidence of anybody's consent.",
    }
