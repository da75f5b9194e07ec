"""Which clips train and which validate: decided by their content alone.

A clip's sha256 is a number that no one chose. Clips in the lowest 8 % of its range validate. So the split needs no
seed and no state, adding clips never moves another, and the same sound cannot be on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

VALIDATION_SHARE = 0.08

Split = Literal["train", "validation"]


def split_of(sha256: str) -> Split:
    """The split of a clip by the sha256 of its bytes, 64 hex digits."""
    return "validation" if int(sha256[:16], 16) < VALIDATION_SHARE * 2**64 else "train"


def assign_splits(contents: Mapping[str, str]) -> dict[str, Split]:
    """The split of every utterance, given the sha256 of its clip by utterance id.

    Both splits get at least one utterance. Where chance leaves one empty, which happens to small sets only, the
    clip nearest to the border changes sides; it goes back when clips are added that fill that split by themselves.

    Raises ValueError for fewer than two utterances.
    """
    if len(contents) < 2:
        raise ValueError(f"a split needs at least two utterances, there are {len(contents)}")
    splits = {identifier: split_of(sha256) for identifier, sha256 in contents.items()}
    ordered = sorted(contents, key=lambda identifier: (contents[identifier], identifier))
    if "validation" not in splits.values():
        splits[ordered[0]] = "validation"
    elif "train" not in splits.values():
        splits[ordered[-1]] = "train"
    return splits
