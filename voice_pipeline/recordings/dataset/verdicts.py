"""Whether utterances make a dataset: a pure function of its figures and the limits of configs/gates.yaml.

    for verdict in verdicts(figures, gates):
        verdict.name, verdict.passed, verdict.blocking, verdict.detail
    blockers = blockers_of(figures, gates)          # () when it may be trained on

The same figures come from the stage that builds the dataset, and from its manifest when a voice is promoted.
"""

from __future__ import annotations

from dataclasses import dataclass

from voice_pipeline.failures import Blocker
from voice_pipeline.recordings.thresholds import DatasetGates

_NAMED = 8  # phones that a detail names


@dataclass(frozen=True)
class DatasetFigures:
    """What the verdicts look at."""

    kept: int
    rejected: int  # utterances and files; a text without audio is listed, but was never an utterance
    texts_without_audio: int
    minutes: float  # of kept utterances
    phone_coverage: float  # of the training split, 0 to 1
    missing_phones: tuple[str, ...]
    other_speaker: int  # rejected for their speaker
    leaks: int  # pairs of one sound on both sides of the split

    @property
    def rejected_share(self) -> float:
        """Of all utterances."""
        return self._share(self.rejected)

    @property
    def other_speaker_share(self) -> float:
        """Of all utterances."""
        return self._share(self.other_speaker)

    def _share(self, count: int) -> float:
        return round(count / max(self.kept + self.rejected, 1), 6)


@dataclass(frozen=True)
class Verdict:
    """One answer. ``reason`` is a key of ``failures.REASONS``, for when it is not passed."""

    name: str
    passed: bool
    blocking: bool
    reason: str
    detail: str
    figure: float
    limit: float


def verdicts(figures: DatasetFigures, gates: DatasetGates) -> tuple[Verdict, ...]:
    """All verdicts, in a fixed order, passed or not."""
    missing = ", ".join(figures.missing_phones[:_NAMED])
    more = f" and {len(figures.missing_phones) - _NAMED} more" if len(figures.missing_phones) > _NAMED else ""
    total = figures.kept + figures.rejected
    return (
        Verdict(
            "enough_minutes", figures.minutes >= gates.min_minutes, True, "too_little_speech",
            f"{figures.minutes:.1f} minutes are kept; at least {gates.min_minutes:g} are needed",
            figures.minutes, gates.min_minutes,
        ),
        Verdict(
            "enough_utterances", figures.kept >= gates.min_utterances, True, "too_little_speech",
            f"{figures.kept} utterances are kept; at least {gates.min_utterances} are needed",
            figures.kept, gates.min_utterances,
        ),
        Verdict(
            "phone_coverage", figures.phone_coverage >= gates.min_phone_coverage, False, "phones_missing",
            f"{_percent(figures.phone_coverage)} of the language's phones are in the training split; "
            f"{_percent(gates.min_phone_coverage)} are wanted" + (f"; missing: {missing}{more}" if missing else ""),
            figures.phone_coverage, gates.min_phone_coverage,
        ),
        Verdict(
            "rejected_share", figures.rejected_share <= gates.max_rejected_share, True, "too_many_rejected",
            f"{figures.rejected} of {total} utterances are rejected ({_percent(figures.rejected_share)}); "
            f"at most {_percent(gates.max_rejected_share)} may be",
            figures.rejected_share, gates.max_rejected_share,
        ),
        Verdict(
            "one_speaker", figures.other_speaker_share <= gates.max_other_speaker_share, True, "several_speakers",
            f"{figures.other_speaker} of {total} utterances sound like somebody else "
            f"({_percent(figures.other_speaker_share)}); at most {_percent(gates.max_other_speaker_share)} may",
            figures.other_speaker_share, gates.max_other_speaker_share,
        ),
        Verdict(
            "no_leak", figures.leaks == 0, True, "split_leak",
            f"{figures.leaks} pairs of the same sound are on both sides of the split; there must be none",
            figures.leaks, 0,
        ),
    )  # fmt: skip


def blockers_of(figures: DatasetFigures, gates: DatasetGates) -> tuple[Blocker, ...]:
    """Every blocking verdict that is not passed."""
    failed = (one for one in verdicts(figures, gates) if one.blocking and not one.passed)
    return tuple(Blocker(one.reason, one.detail) for one in failed)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
