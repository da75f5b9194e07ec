"""A dataset in a few lines for the terminal, or as JSON for programs: what is kept, what is rejected, and why.

print(summary_text(store, voice, kept=True, rejected=True, limit=10))
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.dataset.record import DatasetRecord, read_record
from voice_pipeline.recordings.dataset.validation import Listed, listing
from voice_pipeline.store import Store

_TEXT = 60  # characters of a text that a line shows


def summary_text(store: Store, voice: str, *, kept: bool, rejected: bool, limit: int | None) -> str:
    """Totals, verdicts, the first ``limit`` utterances of each kind, and where table and page are.

    Raises VoiceFailure ``empty_dataset`` where there is no dataset yet, ``table_damaged``.
    """
    record = _record(store, voice)
    minutes = record.duration_seconds / 60
    lines = [
        f"{voice}: {record.count} utterances kept, {minutes:.1f} minutes "
        f"({record.train_count} to train, {record.validation_count} to validate); {record.rejected_count} rejected"
    ]
    lines += [
        f"  {'ok' if one.passed else 'BLOCKED' if one.blocking else 'warning':<8} {one.detail}"
        for one in record.verdicts
    ]
    if rejected and record.rejected_count:
        reasons = sorted(record.rejected_reasons.items(), key=lambda item: (-item[1], item[0]))
        lines += ["", "Rejected: " + ", ".join(f"{reason} {count}" for reason, count in reasons)]
        lines += _rows(listing(store, voice, rejected=True, limit=limit), record.rejected_count)
    if kept:
        lines += ["", "Kept:"]
        lines += _rows(listing(store, voice, rejected=False, limit=limit), record.count)
    lines += ["", f"Table: {store.resolve(record.table)}", f"Page:  {store.resolve(record.page)}"]
    return "\n".join(lines)


def summary_json(store: Store, voice: str, *, kept: bool, rejected: bool, limit: int | None) -> dict[str, Any]:
    """The same for programs: the record's figures, and the utterances. Raises what ``summary_text`` raises."""
    record = _record(store, voice)
    wanted = None if kept and rejected else rejected
    return {
        **record.model_dump(mode="json", exclude={"stage", "files"}),
        "utterances": [asdict(one) for one in listing(store, voice, rejected=wanted, limit=limit)],
    }


def is_about_dataset(store: Store, failure: VoiceFailure) -> bool:
    """Whether ``failure`` is the verdict on the dataset that is there, and not why none was made."""
    record = read_record(store, failure.voice) if failure.voice else None
    return record is not None and failure.file == record.page


def _record(store: Store, voice: str) -> DatasetRecord:
    record = read_record(store, voice)
    if record is None:
        raise VoiceFailure("empty_dataset", "there is no dataset yet", voice=voice)
    return record


def _rows(rows: list[Listed], total: int) -> list[str]:
    lines = [_line(row) for row in rows]
    return lines + ([f"  … and {total - len(rows)} more (--limit 0 lists all)"] if len(rows) < total else [])


def _line(row: Listed) -> str:
    text = row.text if len(row.text) <= _TEXT else row.text[: _TEXT - 1] + "…"
    if not row.kept:
        return f"  {row.utterance_id or row.source}: {row.detail or ', '.join(row.reasons)}" + (
            f"  “{text}”" if text else ""
        )
    figures = [f"{row.duration:.1f} s" if row.duration is not None else ""]
    figures += [f"SNR {row.snr_db:.0f} dB" if row.snr_db is not None else ""]
    figures += [f"CER {row.cer:.0%}" if row.cer is not None else ""]
    mark = f"  [{row.review}]" if row.review else ""
    return f"  {row.utterance_id} ({row.split}; {', '.join(filter(None, figures))})  “{text}”{mark}"
