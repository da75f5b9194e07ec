"""How a text is spoken, and how far it is from what was heard: worked out once for each pair of them, and kept.

    judged = judge("It cost $3.", "It costs 3 dollars.", frontend.normalise)
    judged.normalized, judged.cer           # "it cost three dollars.", 0.0455

    with KeptJudgement.open(store, frontend) as judgement:
        judgement("It cost $3.", None)

Reading a sentence takes a millisecond: of ten thousand, where one is new, one is read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from pydantic import TypeAdapter, ValidationError

from voice_pipeline.recordings.cache import MeasurementCache
from voice_pipeline.recordings.texts.comparison import Normalise, character_error_rate, heard_words, letters
from voice_pipeline.store import Store, identity
from voice_pipeline.text.frontend import TextFrontend

VERSION = "1"  # of everything that decides a judgement, but for the front end
KIND = "text_judgements"


@dataclass(frozen=True)
class Judged:
    """A text as it is spoken; ``problem`` says why it cannot be."""

    normalized: str = ""
    cer: float | None = None  # of the hypothesis; None where there is none
    problem: str | None = None


Judgement = Callable[[str, str | None], Judged]


def judge(reading: str, hypothesis: str | None, normalise: Normalise) -> Judged:
    """``normalise`` raises ValueError for a text that cannot be spoken."""
    try:
        normalized = normalise(reading)
    except ValueError as error:
        return Judged(problem=str(error))
    if hypothesis is None:
        return Judged(normalized)
    rate = character_error_rate(heard_words(hypothesis, normalise), letters(normalized))
    return Judged(normalized, None if rate is None else round(rate, 4))


class KeptJudgement:
    """``judge`` that remembers. Use as a context manager."""

    def __init__(self, cache: MeasurementCache, frontend: TextFrontend) -> None:
        self._cache = cache
        self._normalise: Normalise = frontend.normalise
        self._frontend = frontend.identity
        self._adapter = TypeAdapter(Judged)

    @classmethod
    def open(cls, store: Store, frontend: TextFrontend) -> KeptJudgement:
        """Raises VoiceFailure ``disk_full`` or ``permission_denied``."""
        return cls(MeasurementCache.open(store, KIND), frontend)

    def __call__(self, reading: str, hypothesis: str | None) -> Judged:
        """See ``judge``."""
        key = identity(
            kind=KIND, version=VERSION, frontend=self._frontend, reading=reading, hypothesis=hypothesis
        )  # fmt: skip
        data = self._cache.get(key)
        if data is not None:
            try:
                return self._adapter.validate_json(data)
            except ValidationError:
                pass  # judged again
        judged = judge(reading, hypothesis, self._normalise)
        self._cache.put(key, json.dumps(dataclasses.asdict(judged), ensure_ascii=False).encode())
        return judged

    def __enter__(self) -> KeptJudgement:
        self._cache.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cache.__exit__(kind, error, trace)
