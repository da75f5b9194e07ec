"""How surely the pipeline finds what should not be trained on: precision and recall for each kind of defect.

    python benchmarks/defects/defects.py --ljspeech DIR --debian DIR --work DIR [--text]

See README.md beside this file. Everything is made from seeds: the same material gives the same figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import spoiling
from materials import Clip, debian, ljspeech, sample_speaker

from voice_pipeline.recognition.recognizer import load_recognizer
from voice_pipeline.recordings import preflight
from voice_pipeline.recordings.cleaning import stage as cleaning
from voice_pipeline.recordings.dataset.decisions import judge
from voice_pipeline.recordings.dataset.rows import Row
from voice_pipeline.recordings.segmentation import stage as segmentation
from voice_pipeline.recordings.tables import CleanUtterance, Segment, UtteranceText, read_rows
from voice_pipeline.recordings.texts import stage as texts
from voice_pipeline.recordings.thresholds import DatasetGates, load_dataset_gates
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.voice import Voice

PROJECT = Path(__file__).parents[2]
SAMPLE_RATE = 22_050
SHARE = 0.05  # of the clips, for each kind of defect …
LEAST = 8  # … but so many at least
MOST_TEXTS = 40  # clips that a recogniser hears, of each set
MIN_TEXT_SECONDS = 1.5


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One kind of defect in one set."""

    kind: str
    count: int
    found: int  # rejected for a reason of this kind
    rejected: int  # rejected at all
    falsely: int  # clean clips rejected for a reason of this kind
    clean: int

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.falsely)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.count)

    @property
    def rejected_share(self) -> float:
        return self.rejected / max(1, self.count)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ljspeech", type=Path, required=True, help="folder with metadata.csv and FLAC clips")
    parser.add_argument(
        "--debian", type=Path, required=True, help="folder with the Debian packages, or what is in them"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for what is made: 1.5 GB")
    parser.add_argument("--text", action="store_true", help="text defects too: a recogniser listens, some minutes")
    parser.add_argument("--sets", default="sample,debian-a,ljspeech,debian-b,italian")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    people = {
        "sample": sample_speaker(options.work / "sample"),
        "debian": debian("en", options.work / "en", options.debian),
        "italian": debian("it", options.work / "it", options.debian),
        "french": debian("fr", options.work / "fr", options.debian),
        "ljspeech": ljspeech(options.ljspeech),
    }
    halves = [[clip for clip in people["debian"] if _half(clip) == half] for half in (0, 1)]
    sets = {
        "sample": ("sample", people["sample"]),
        "debian-a": ("debian", halves[0]),
        "ljspeech": ("ljspeech", people["ljspeech"]),
        "debian-b": ("debian", halves[1]),
        "italian": ("italian", people["italian"][::3]),
    }
    store = Store.open(options.work / "store")
    for name in options.sets.split(","):
        speaker, clips = sets[name]
        strangers = [clip for other, group in people.items() if other != speaker for clip in group]
        role = "calibration" if name in ("sample", "debian-a") else "test"
        print(f"\n## {name} ({role}): {len(clips)} clips\n", flush=True)
        _sounds(store, options.work / "sets" / name, name, clips, strangers)
        if options.text and name != "italian":
            _texts(store, options.work / "sets" / f"{name}-text", f"{name}-text", clips)
    return 0


def _sounds(store: Store, folder: Path, name: str, clips: list[Clip], strangers: list[Clip]) -> None:
    random = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    each = max(LEAST, round(SHARE * len(clips)))
    wavs = _emptied(folder / "wavs")
    for number, clip in enumerate(clips):
        _write(wavs / f"clean__{number:04d}.wav", *clip.read())
    for kind, spoil in spoiling.KINDS.items():
        for number, index in enumerate(random.choice(len(clips), min(each, len(clips)), replace=False)):
            samples, rate = clips[index].read()
            _write(wavs / f"{kind}__{number:04d}.wav", spoil(samples, rate, random), rate)
    for number, index in enumerate(random.choice(len(strangers), each, replace=False)):
        _write(wavs / f"stranger__{number:04d}.wav", *strangers[index].read())
    voice = _voice(name, folder, "none")
    judged = preflight.run(PROJECT, voice, store)
    cut = segmentation.run(PROJECT, voice, store, judged)
    record = cleaning.run(PROJECT, voice, store, judged, cut, sample_rate=SAMPLE_RATE)
    print(f"Speaker's share {record.speaker_share:.3f}, problems {record.problem_counts}\n")
    gates = load_dataset_gates(PROJECT, voice)
    rows = dict(zip(_names(store, name), read_rows(store.utterances(name), CleanUtterance), strict=True))
    _spreads(rows)
    reasons = {identifier: _reasons(row, gates) for identifier, row in rows.items()}
    clean = {key: value for key, value in reasons.items() if _kind(key) == "clean"}
    kinds = [*spoiling.KINDS, "stranger"]
    _report([_outcome(kind, reasons, clean, spoiling.REASONS[kind]) for kind in kinds], clean)


def _texts(store: Store, folder: Path, name: str, clips: list[Clip]) -> None:
    random = np.random.default_rng(3)
    chosen = [clip for clip in clips if clip.seconds >= MIN_TEXT_SECONDS and len(clip.text.split()) >= 4][:MOST_TEXTS]
    wavs = _emptied(folder / "wavs")
    lines = []
    for number, clip in enumerate(chosen):
        other = chosen[(number + 1 + int(random.integers(len(chosen) - 1))) % len(chosen)]
        for kind, text in (
            ("clean", clip.text),
            ("truncated", spoiling.truncated(clip.text)),
            ("swapped", other.text),
        ):
            _write(wavs / f"{kind}__{number:04d}.wav", *clip.read())
            lines.append(f"{kind}__{number:04d}|{text}\n")
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    voice = _voice(name, folder, "ljspeech", dataset_gates={"min_speaker_similarity": -1.0})
    judged = preflight.run(PROJECT, voice, store)
    cut = segmentation.run(PROJECT, voice, store, judged)
    clean_record = cleaning.run(PROJECT, voice, store, judged, cut, sample_rate=SAMPLE_RATE)
    frontend = TextFrontend.for_language(voice.language)
    texts.run(PROJECT, voice, store, frontend, judged, cut, load_recognizer(PROJECT, voice))
    gates = load_dataset_gates(PROJECT, voice)
    reasons, errors = {}, dict[str, list[float]]()
    tables = read_rows(store.utterances(name), CleanUtterance), read_rows(store.texts(name), UtteranceText)
    for key, row, text in zip(_names(store, name), *tables, strict=True):
        reasons[key] = _reasons(row, gates, text)
        if text.cer is not None:
            errors.setdefault(_kind(key), []).append(text.cer)
    for kind, values in errors.items():
        print(f"CER of {kind}: {_percentiles(values)}")
    clean = {key: value for key, value in reasons.items() if _kind(key) == "clean"}
    outcomes = [_outcome(kind, reasons, clean, spoiling.REASONS[kind]) for kind in ("truncated", "swapped")]
    print(f"\nTexts ({clean_record.count} clips, a third of them clean):\n")
    _report(outcomes, clean)


def _reasons(row: CleanUtterance, gates: DatasetGates, text: UtteranceText | None = None) -> frozenset[str]:
    spoken = row.speech_seconds
    asked = Row(
        utterance_id=row.utterance_id, source="", wav=row.wav, audio_problem=row.problem or "", audio_detail=row.detail,
        duration=row.duration if row.wav else None, peak_dbfs=row.peak_dbfs, clipping_share=row.clipping_share,
        snr_db=row.snr_db, bandwidth_hz=row.bandwidth_hz, speech_seconds=spoken,
        speech_share=min(spoken / row.duration, 1.0) if spoken is not None and row.duration else None,
        speaker_similarity=row.speaker_similarity, cer=text.cer if text else None,
        speech_rate=len(text.normalized) / spoken if text and spoken and text.normalized else None,
    )  # fmt: skip
    return frozenset(reason.code for reason in judge(asked, gates))


def _outcome(
    kind: str, reasons: dict[str, frozenset[str]], clean: dict[str, frozenset[str]], of_kind: frozenset[str]
) -> Outcome:
    those = [value for key, value in reasons.items() if _kind(key) == kind]
    return Outcome(
        kind,
        len(those),
        sum(bool(value & of_kind) for value in those),
        sum(bool(value) for value in those),
        sum(bool(value & of_kind) for value in clean.values()),
        len(clean),
    )


def _report(outcomes: list[Outcome], clean: dict[str, frozenset[str]]) -> None:
    print("| defect | clips | precision | recall | rejected for any reason |\n|---|---|---|---|---|")
    for one in outcomes:
        print(
            f"| {one.kind} | {one.count} | {one.precision:.2f} ({one.falsely} of {one.clean} clean) | {one.recall:.2f} "
            f"| {one.rejected_share:.2f} |"
        )
    lost = [key for key, value in clean.items() if value]
    why = sorted({code for value in clean.values() for code in value})
    print(f"\nClean clips rejected: {len(lost)} of {len(clean)} ({', '.join(why) or 'none'})\n", flush=True)


def _spreads(rows: dict[str, CleanUtterance]) -> None:
    print("Percentiles 0, 1, 5, 50, 95, 100:\n\n| kind | SNR, dB | similarity | clipping share | bandwidth, Hz |")
    print("|---|---|---|---|---|")
    for kind in ("clean", *spoiling.KINDS, "stranger"):
        those = [row for key, row in rows.items() if _kind(key) == kind]
        cells = [
            _percentiles([getattr(row, name) for row in those if getattr(row, name) is not None])
            for name in ("snr_db", "speaker_similarity", "clipping_share", "bandwidth_hz")
        ]
        print(f"| {kind} | {' | '.join(cells)} |")
    print()


def _percentiles(values: list[float]) -> str:
    if not values:
        return "-"
    return " ".join(f"{value:.3g}" for value in np.percentile(values, [0, 1, 5, 50, 95, 100]))


def _names(store: Store, name: str) -> Iterator[str]:
    """The file of each row of the tables: ``kind__number``."""
    return (Path(segment.source).stem for segment in read_rows(store.segments(name), Segment))


def _kind(identifier: str) -> str:
    return identifier.partition("__")[0]


def _half(clip: Clip) -> int:
    return int(hashlib.sha256(clip.name.encode()).hexdigest(), 16) % 2


def _emptied(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    return folder


def _write(path: Path, samples: np.ndarray, rate: int) -> None:
    soundfile.write(path, np.clip(samples, -1.0, 1.0 - 2**-15), rate, subtype="PCM_16")


def _voice(name: str, folder: Path, text: str, **more: object) -> Voice:
    return Voice.model_validate(
        {
            "voice_profile_id": name,
            "display_name": name,
            "source": {"path": str(folder.resolve()), "kind": "clips", "text": text, "min_bytes": 1},
            "consent": {
                "speaker_type": "synthetic",
                "speaker": name,
                "status": "not_applicable",
                "commercial_use": True,
            },
            **more,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
