"""What to record next: the sounds that are missing or rare, words and sentences that hold them, lengths, minutes.

    advice = advise(index, sounds, frontend, figures, gates, language)
    advice.sentences

The same dataset gives the same advice. Sentences come from what was rejected (they are worth a second take) and, for
English, from the package's own; words come from the language's lexicon, where it has one.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources

from voice_pipeline.recordings.dataset.coverage import Frontend, Sounds, plain
from voice_pipeline.recordings.dataset.index import RowIndex
from voice_pipeline.recordings.dataset.verdicts import DatasetFigures
from voice_pipeline.recordings.thresholds import DatasetGates
from voice_pipeline.text.errors import TextError

RARE_BELOW = 10  # times: fewer, and training has hardly heard it
_WORDS = 6  # examples for one sound
_SOUNDS = 40  # that are advised on: all of English
_PAIRS = 24
_PAIRS_OF_LANGUAGE = 400  # the most frequent ones of the lexicon; the others nobody misses
_SENTENCES = 12
_CANDIDATES = 2_000
_LENGTHS = ((0.0, 2.0), (2.0, 5.0), (5.0, 10.0), (10.0, math.inf))  # seconds
_FEW = 0.05  # of all utterances

Pair = tuple[str, str]


@dataclass(frozen=True)
class RareSound:
    """A phone or letter that the training split holds too seldom."""

    sound: str
    count: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class RarePair:
    """Two sounds that follow each other in the language, and seldom here."""

    pair: str
    count: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class Advice:
    """What would help the voice most. Every part may be empty."""

    minutes: float  # still missing
    utterances: int  # still missing
    sounds: tuple[RareSound, ...]
    pairs: tuple[RarePair, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing is missing."""
        return not (self.minutes or self.utterances or self.sounds or self.pairs or self.notes)


def advise(
    index: RowIndex, sounds: Sounds, frontend: Frontend, figures: DatasetFigures, gates: DatasetGates, language: str
) -> Advice:
    """The advice for a dataset whose training split has ``sounds``."""
    lexicon = list(_lexicon(frontend))
    rare = sorted(sounds.inventory, key=lambda sound: (sounds.phones[sound], sound))
    rare = [sound for sound in rare if sounds.phones[sound] < RARE_BELOW][:_SOUNDS]
    wanted = _rare_pairs(lexicon, sounds)
    words = _examples(lexicon, set(rare), wanted)
    return Advice(
        minutes=round(max(gates.min_minutes - figures.minutes, 0.0), 1),
        utterances=max(gates.min_utterances - figures.kept, 0),
        sounds=tuple(RareSound(one, sounds.phones[one], words.get((one,), ())) for one in rare),
        pairs=tuple(RarePair("-".join(one), sounds.pairs[one], words.get(one, ())) for one in wanted[:_PAIRS]),
        sentences=tuple(_sentences(index, sounds, frontend, set(rare), set(wanted), language)),
        notes=tuple(_notes(index, figures)),
    )


def _lexicon(frontend: Frontend) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(word, phones without stress) of every plain word of the lexicon, sorted; nothing for a language without one."""
    text: Callable[[], str | None] | None = getattr(frontend, "phoneme_dict_text", None)
    lexicon = text() if text is not None else None
    for line in (lexicon or "").splitlines():
        word, _, phones = line.partition("  ")
        if word.isalpha() and phones:
            yield word.lower(), tuple(map(plain, phones.split()))


def _rare_pairs(lexicon: list[tuple[str, tuple[str, ...]]], sounds: Sounds) -> list[Pair]:
    """Frequent pairs of the language that are rare here, the most frequent first."""
    frequent: Counter[Pair] = Counter()
    for _, phones in lexicon:
        frequent.update(itertools.pairwise(phones))
    ordered = sorted(frequent, key=lambda pair: (-frequent[pair], pair))[:_PAIRS_OF_LANGUAGE]
    return [pair for pair in ordered if sounds.pairs[pair] == 0]


def _examples(
    lexicon: list[tuple[str, tuple[str, ...]]], rare: set[str], wanted: list[Pair]
) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Words for each sound and pair: ordinary ones first, then those that hold more of what is wanted."""
    known = {word for word, _ in lexicon}
    pairs = set(wanted[:_PAIRS])
    scored: list[tuple[int, int, str, set[tuple[str, ...]]]] = []
    for word, phones in lexicon:
        if 4 <= len(word) <= 7:
            held: set[tuple[str, ...]] = {(phone,) for phone in rare.intersection(phones)}
            held |= pairs.intersection(itertools.pairwise(phones))
            if held:
                scored.append((-_forms(word, known), -len(held), word, held))
    found: dict[tuple[str, ...], list[str]] = {}
    for _, _, word, held in sorted(scored, key=lambda one: one[:3]):
        for one in held:
            examples = found.setdefault(one, [])
            if len(examples) < _WORDS:
                examples.append(word)
    return {one: tuple(words) for one, words in found.items()}


def _forms(word: str, known: set[str]) -> int:
    """How many of a word's inflected forms the lexicon has, three at most: names and rare words have few."""
    stem = word.removesuffix("e")
    forms = (f"{word}s", f"{stem}ed", f"{stem}ing", f"{word}ly", f"{stem}er")
    return min(sum(form in known for form in forms), 3)


def _sentences(
    index: RowIndex, sounds: Sounds, frontend: Frontend, rare: set[str], wanted: set[Pair], language: str
) -> Iterator[str]:
    """Sentences that bring the most of what is wanted, each time what the ones before have not brought."""
    held: dict[str, set[object]] = {}
    for text in _candidates(index, language):
        try:
            spoken = sounds.of(frontend.normalise(text))
        except TextError:
            continue
        new = rare.intersection(spoken) | wanted.intersection(itertools.pairwise(spoken))
        if new and text not in held:
            held[text] = set(new)
    for _ in range(_SENTENCES):
        best = min(held, key=lambda text: (-len(held[text]), len(text), text), default=None)
        if best is None or not held[best]:
            return
        yield best
        brought = held.pop(best)
        for rest in held.values():
            rest -= brought


def _candidates(index: RowIndex, language: str) -> list[str]:
    """Texts that are not in the dataset: those of rejected utterances, then sentences of the package."""
    rejected = "SELECT DISTINCT text FROM row WHERE kept = 0 AND text <> '' AND LENGTH(text) <= 200 ORDER BY text"
    found = [str(text) for (text,) in index.query(f"{rejected} LIMIT {_CANDIDATES}")]
    if language.startswith("en"):
        packaged = resources.files("voice_pipeline.recordings").joinpath("sample_sentences.txt")
        found += [line for line in packaged.read_text(encoding="utf-8").splitlines() if line]
    places = ", ".join("?" * len(found))
    spoken = {text for (text,) in index.query(f"SELECT text FROM row WHERE kept = 1 AND text IN ({places})", *found)}
    return [text for text in dict.fromkeys(found) if text not in spoken]


def _notes(index: RowIndex, figures: DatasetFigures) -> Iterator[str]:
    for low, high in _LENGTHS[1:3]:
        share = _share(index, figures, "duration >= ? AND duration < ?", low, high)
        if share < _FEW:
            yield f"Only {100 * share:.0f} % of the utterances last {low:g} to {high:g} s: record more of that length."
    if _share(index, figures, "text LIKE '%?'") < _FEW / 2:
        yield "There are hardly any questions: record some, so that the voice learns how they rise."


def _share(index: RowIndex, figures: DatasetFigures, where: str, *values: float) -> float:
    count = index.one(f"SELECT COUNT(*) FROM row WHERE kept = 1 AND {where}", *values)
    return float(count) / max(figures.kept, 1)
