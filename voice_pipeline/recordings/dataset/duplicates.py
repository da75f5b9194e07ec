"""The same sound twice: by content, and by fingerprint.

    reject_duplicates(index, review)       # the same bytes: one stays
    find_near(index, folder); reject_near_duplicates(index, review)     # the same take in another file: the best stays
    leaks(index)                           # pairs of one sound on both sides of the split: there must be none

By content, the first by utterance id stays (where a recogniser listened, the one whose text fits best). By
fingerprint, the one with the highest SNR stays. A fingerprint finds the same take again, not the same sentence spoken
again: a second copy of a take teaches nothing, it only weighs double and can leak into validation. A person who wants
both keeps the other by review; then both stand on one side of the split, see ``split``.

Comparing each with each would take years for a million rows. Fingerprints that are near share one of sixteen numbers
(``fingerprint.buckets``), so that each of sixteen sorted columns on disk gives the pairs that are worth comparing.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.failures import ConfigError, disk_errors
from voice_pipeline.recordings.cleaning.fingerprint import NEAR_BELOW, buckets, distance
from voice_pipeline.recordings.dataset.gather import reviewed
from voice_pipeline.recordings.dataset.index import RowIndex
from voice_pipeline.recordings.dataset.review import Review
from voice_pipeline.recordings.dataset.rows import Reason, Row

_BUCKETS = 16  # of one fingerprint
_NO_BUCKET = 0xFFFFFFFF
_PAGE = 1_000  # rows
# Says that it is not empty, or SQLite cannot know that the index of sounds will do and reads a million rows each time.
_SAME_SOUND = "sha256 <> '' AND sha256 = ?"
# Members of one bucket that each other member is compared with, best first. Copies of one take are near the first of
# them; different sounds share a bucket once in a million.
_LEADERS = 32


def reject_duplicates(index: RowIndex, review: Review, review_file: Path) -> int:
    """Reject all but one of each group of the same bytes; how many. Raises ConfigError for a review that keeps two."""
    index.execute("CREATE TABLE twice AS SELECT sha256 FROM row WHERE sha256 <> '' GROUP BY sha256 HAVING COUNT(*) > 1")
    count = 0
    for (sha256,) in index.query("SELECT sha256 FROM twice ORDER BY sha256"):
        best = next(index.rows(_SAME_SOUND, sha256, order="kept DESC, cer IS NULL, cer, utterance_id LIMIT 1"))
        if not best.kept:
            continue
        for other in _others(index, best):
            if other.utterance_id in review.keep:
                raise ConfigError(
                    f"{review_file}: keep.{other.utterance_id}: is the same sound as {best.utterance_id}, byte for "
                    f"byte, and one is enough; take the line out, or reject {best.utterance_id}"
                )
            texts = ", with another text" if other.normalized_text not in ("", best.normalized_text) else ""
            reason = Reason("duplicate", f"the same sound as {best.utterance_id}{texts}")
            index.decide(other, reasons=(*other.reasons, reason))
            count += 1
    return count


def _others(index: RowIndex, best: Row) -> Iterator[Row]:
    """The rows with the same bytes, a page at a time: they are changed meanwhile."""
    after = ""
    while page := list(
        index.rows(f"{_SAME_SOUND} AND utterance_id > ?", best.sha256, after, order=f"utterance_id LIMIT {_PAGE}")
    ):
        yield from (row for row in page if row.utterance_id != best.utterance_id)
        after = page[-1].utterance_id


def find_near(index: RowIndex, folder: Path) -> None:
    """Find every pair of kept rows that are near; ``folder`` is for what does not fit in memory."""
    index.execute(
        "CREATE TABLE candidate (rank INTEGER PRIMARY KEY, utterance_id TEXT, fingerprint TEXT, gone INTEGER)"
    )
    index.execute(
        "INSERT INTO candidate SELECT NULL, utterance_id, fingerprint, 0 FROM row "
        "WHERE kept = 1 AND fingerprint <> '' ORDER BY snr_db IS NULL, snr_db DESC, utterance_id"
    )
    _find_pairs(index, folder)


def reject_near_duplicates(index: RowIndex, review: Review) -> int:
    """Reject what ``find_near`` found near a better one that is kept; how many. A person's ``keep`` stands.

    The better is decided first: in the order of falling SNR each one stays unless it is near one that stayed.
    """
    count = 0
    pairs = index.query("SELECT worse, better FROM near ORDER BY worse, better")
    for worse, better in pairs:
        if index.one("SELECT gone FROM candidate WHERE rank = ?", better):
            continue
        row = index.utterance(_id(index, worse))
        kept = _id(index, better)
        assert row is not None
        if any(reason.code == "near_duplicate" for reason in (*row.reasons, *row.overruled)):
            continue
        apart = distance(row.fingerprint, index.one("SELECT fingerprint FROM candidate WHERE rank = ?", better))
        reason = Reason(
            "near_duplicate", f"the same take as {kept} (distance {apart:.2f}, below {NEAR_BELOW:g}), which is cleaner"
        )
        decided = reviewed(row, (*row.reasons, reason), review)
        if decided.kept:
            index.decide(row, reasons=row.reasons, overruled=(*row.overruled, reason))
            continue
        index.decide(row, reasons=decided.reasons)
        index.execute("UPDATE candidate SET gone = 1 WHERE rank = ?", worse)
        count += 1
    return count


def near_groups(index: RowIndex) -> list[list[str]]:
    """Groups of kept utterances that hang together by nearness, because a person kept them; ids sorted."""
    parent: dict[str, str] = {}

    def root(one: str) -> str:
        while parent.setdefault(one, one) != one:
            one = parent[one]
        return one

    for one, other in _kept_pairs(index):
        parent[root(one)] = root(other)
    groups: dict[str, list[str]] = {}
    for one in sorted(parent):
        groups.setdefault(root(one), []).append(one)
    return sorted(groups.values())


def leaks(index: RowIndex) -> Iterator[tuple[str, str]]:
    """Pairs of kept utterances with one sound, or near ones, on different sides of the split."""
    same = (
        "SELECT one.utterance_id, other.utterance_id FROM row AS one JOIN row AS other ON one.sha256 = other.sha256 "
        "WHERE one.sha256 <> '' AND other.sha256 <> '' AND one.split = 'train' AND other.split = 'validation'"
    )
    yield from index.query(same)
    for one, other in _kept_pairs(index):
        rows = [index.utterance(one), index.utterance(other)]
        sides = {(row.split, row.sha256) for row in rows if row is not None}
        if len({split for split, _ in sides}) == len({sha256 for _, sha256 in sides}) == 2:
            yield one, other


def _kept_pairs(index: RowIndex) -> Iterator[tuple[str, str]]:
    yield from index.query(
        "SELECT a.utterance_id, b.utterance_id FROM near JOIN candidate AS a ON a.rank = worse "
        "JOIN candidate AS b ON b.rank = better WHERE a.gone = 0 AND b.gone = 0 ORDER BY worse, better"
    )


def _id(index: RowIndex, rank: int) -> str:
    return str(index.one("SELECT utterance_id FROM candidate WHERE rank = ?", rank))


def _find_pairs(index: RowIndex, folder: Path) -> None:
    """Fill the table ``near`` with every pair of candidates that are near, the better one by rank."""
    index.execute("CREATE TABLE near (worse INTEGER, better INTEGER, PRIMARY KEY (worse, better)) WITHOUT ROWID")
    index.execute("CREATE TABLE compared (worse INTEGER, better INTEGER, PRIMARY KEY (worse, better)) WITHOUT ROWID")
    with disk_errors(file=folder), tempfile.TemporaryFile(dir=folder) as stream:
        count = _write_buckets(index, stream)
        for column in range(_BUCKETS if count > 1 else 0):
            for worse, better in _sharing(stream, count, column):
                _compare(index, worse, better)
    index.execute("DROP TABLE compared")


def _write_buckets(index: RowIndex, stream: BinaryIO) -> int:
    """One row of sixteen numbers for each candidate, in the order of their ranks, which begin at 1."""
    count = 0
    for (fingerprint,) in index.query("SELECT fingerprint FROM candidate ORDER BY rank"):
        numbers = buckets(fingerprint)
        if len(numbers) > _BUCKETS:
            raise ValueError(f"a fingerprint has {len(numbers)} buckets, at most {_BUCKETS} are known")
        array("I", (*numbers, *(_NO_BUCKET for _ in range(_BUCKETS - len(numbers))))).tofile(stream)
        count += 1
    stream.flush()
    return count


def _sharing(stream: BinaryIO, count: int, column: int) -> Iterator[tuple[int, int]]:
    """Pairs of ranks that share the number in ``column``; 12 bytes of memory for each candidate."""
    table = np.memmap(stream, np.uint32, "r", shape=(count, _BUCKETS))
    numbers: NDArray[np.uint32] = np.array(table[:, column])
    del table
    order = np.argsort(numbers, kind="stable").astype(np.uint32)
    numbers = numbers[order]
    starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
    sizes = np.diff(np.r_[starts, count])
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        if numbers[start] == _NO_BUCKET:
            continue
        members = (order[start : start + size] + 1).tolist()
        for place, worse in enumerate(members):
            for better in members[: min(place, _LEADERS)]:
                yield worse, better


def _compare(index: RowIndex, worse: int, better: int) -> None:
    cursor = index.connection.execute("INSERT OR IGNORE INTO compared VALUES (?, ?)", (worse, better))
    if not cursor.rowcount:
        return
    one, other = (index.one("SELECT fingerprint FROM candidate WHERE rank = ?", rank) for rank in (worse, better))
    if distance(one, other) < NEAR_BELOW:
        index.execute("INSERT INTO near VALUES (?, ?)", worse, better)
