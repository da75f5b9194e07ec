"""The verdicts on a dataset, computed again from its manifest: nobody's record is believed when a voice is promoted.

    found = recount(manifest, utterances, store.root, gates, frontend)
    found.blockers

Durations, reasons, splits and texts are counted again, every kept utterance is judged again by today's gates, and pairs
of one sound on both sides of the split are searched for again, with the fingerprints of clean_utterances.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_pipeline.failures import Blocker
from voice_pipeline.recordings.dataset.coverage import Frontend, Sounds
from voice_pipeline.recordings.dataset.decisions import judge
from voice_pipeline.recordings.dataset.duplicates import find_near, leaks
from voice_pipeline.recordings.dataset.index import DuplicateIdError, RowIndex
from voice_pipeline.recordings.dataset.rows import FIGURES, Row
from voice_pipeline.recordings.dataset.validation import manifest_rows
from voice_pipeline.recordings.dataset.verdicts import DatasetFigures, blockers_of
from voice_pipeline.recordings.tables import CleanUtterance, TableError, read_rows
from voice_pipeline.recordings.thresholds import DatasetGates

_NAMED = 3  # utterances that one blocker names


@dataclass(frozen=True)
class Recount:
    """What the manifest says of itself when it is read again."""

    figures: DatasetFigures | None
    blockers: tuple[Blocker, ...]


def recount(manifest: Path, utterances: Path, folder: Path, gates: DatasetGates, frontend: Frontend | None) -> Recount:
    """Count ``manifest`` again; ``utterances`` is the table of clean_utterances. Wrong files are blockers, not errors.

    ``folder`` is where rows are sorted. Without ``frontend`` the coverage of phones, which never blocks, is taken as
    full. Raises VoiceFailure ``disk_full``.
    """
    try:
        return _recount(manifest, utterances, folder, gates, frontend)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DuplicateIdError) as error:
        detail = f"the dataset cannot be counted again: {type(error).__name__}: {error}"
        return Recount(None, (Blocker("verification_failed", detail),))


def _recount(manifest: Path, utterances: Path, folder: Path, gates: DatasetGates, frontend: Frontend | None) -> Recount:
    sounds = Sounds(frontend) if frontend is not None else None
    rejected = texts = other_speaker = 0
    wrong: list[str] = []
    with RowIndex.open(folder) as index:
        index.execute("CREATE TABLE print (sha256 TEXT PRIMARY KEY, fingerprint TEXT) WITHOUT ROWID")
        for one in _measured(utterances):
            index.execute("INSERT OR IGNORE INTO print VALUES (?, ?)", one.sha256, one.fingerprint)
        for kind, value in manifest_rows(manifest):
            if kind == "entries":
                row = _row(value, index)
                index.add([row])
                against = {reason.code for reason in judge(row, gates)} - _overruled(value)
                if against and len(wrong) < _NAMED:
                    wrong.append(f"{row.utterance_id} ({', '.join(sorted(against))})")
                if sounds is not None and row.split == "train":
                    sounds.add(row.normalized_text)
            else:
                texts += value["kind"] == "text"
                rejected += value["kind"] != "text"
                other_speaker += "other_speaker" in value["reasons"]
        index.finish_adding()
        find_near(index, folder)
        unmeasured = index.one("SELECT COUNT(*) FROM row WHERE sha256 NOT IN (SELECT sha256 FROM print)")
        figures = DatasetFigures(
            kept=index.one("SELECT COUNT(*) FROM row"),
            rejected=rejected,
            texts_without_audio=texts,
            minutes=round(index.one("SELECT TOTAL(duration) FROM row") / 60, 6),
            phone_coverage=round(sounds.coverage, 6) if sounds is not None else 1.0,
            missing_phones=sounds.missing if sounds is not None else (),
            other_speaker=other_speaker,
            leaks=sum(1 for _ in leaks(index)),
        )
    return Recount(figures, (*blockers_of(figures, gates), *_faults(wrong, unmeasured)))


def _faults(wrong: list[str], unmeasured: int) -> Iterator[Blocker]:
    if wrong:
        detail = f"the dataset keeps what today's gates reject: {'; '.join(wrong)}; make it again"
        yield Blocker("verification_failed", detail)
    if unmeasured:
        yield Blocker("verification_failed", f"{unmeasured} of the dataset's clips are not those of clean_utterances")


def _measured(utterances: Path) -> Iterator[CleanUtterance]:
    try:
        yield from (one for one in read_rows(utterances, CleanUtterance) if one.sha256)
    except TableError as error:
        raise ValueError(str(error)) from error


def _row(entry: dict[str, Any], index: RowIndex) -> Row:
    """What of an entry is judged again."""
    figures: dict[str, Any] = {name: None if entry[name] is None else float(entry[name]) for name in FIGURES}
    speech = entry["speech_seconds"]
    return Row(
        utterance_id=str(entry["utterance_id"]),
        source=str(entry["source"]),
        split=str(entry["split"]),
        normalized_text=str(entry["normalized_text"]),
        wav=str(entry["target"]),
        sha256=str(entry["sha256"]),
        speech_seconds=None if speech is None else float(speech),
        fingerprint=index.one("SELECT fingerprint FROM print WHERE sha256 = ?", str(entry["sha256"])) or "",
        **figures,
    )


def _overruled(entry: dict[str, Any]) -> set[str]:
    """What a person overruled: the review is part of the dataset's identity."""
    return {str(code) for code in entry.get("review", {}).get("overruled", [])}
