"""Which utterances train and which validate: decided by their content alone.

    assign(index, near_groups)

An utterance's content is a sha256: of the clip as given, or of the recording and the range in it. It is a number that
no one chose; the lowest 8 % of its range validate. So the split needs no seed and no state. The promise:

1. Adding, removing or renaming utterances never moves another across the split. (It may take another's place: a better
   copy of the same take. That is a rejection, not a move.)
2. The same sound is never on both sides, nor is a near-duplicate. Of near ones only the best is kept; where a person
   kept more by review, they form a group, and the group trains if any of its members would. So a new member can move
   a group from validation to training, and never from training to validation, where it would be judged on what it
   has learned.
3. Both sides hold something. Where chance leaves one empty, which happens to small sets only, the utterance (or group)
   nearest to the border stands in; it goes back when utterances are added that fill that side by themselves.

Loudness, sample rate, texts and thresholds have no say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from voice_pipeline.recordings.dataset.index import RowIndex

VALIDATION_SHARE = 0.08

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")


def split_of(content: str) -> Split:
    """The split of an utterance by the sha256 of its content, 64 hex digits."""
    return "validation" if int(content[:16], 16) < VALIDATION_SHARE * 2**64 else "train"


def assign(index: RowIndex, groups: Iterable[Sequence[str]] = ()) -> None:
    """Give every kept row its split; each of ``groups`` (utterance ids) stands on one side.

    Raises ValueError where there is nothing to put on one of the sides.
    """
    index.execute("UPDATE row SET split = ''")
    for group in groups:
        places = ", ".join("?" * len(group))
        highest = index.one(f"SELECT MAX(content) FROM row WHERE kept = 1 AND utterance_id IN ({places})", *group)
        index.execute(f"UPDATE row SET content = ? WHERE kept = 1 AND utterance_id IN ({places})", highest, *group)
    index.connection.create_function("split_of", 1, split_of, deterministic=True)
    index.execute("UPDATE row SET split = split_of(content) WHERE kept = 1")
    for side, nearest in (("validation", "MIN"), ("train", "MAX")):
        if index.one("SELECT 1 FROM row WHERE split = ? LIMIT 1", side) is None:
            index.execute(
                "UPDATE row SET split = ? WHERE kept = 1 AND content = "
                f"(SELECT {nearest}(content) FROM row WHERE kept = 1)",
                side,
            )
    empty = [side for side in SPLITS if index.one("SELECT 1 FROM row WHERE split = ? LIMIT 1", side) is None]
    if empty:
        raise ValueError(f"nothing is left for the {empty[0]} split: at least two different utterances are needed")
