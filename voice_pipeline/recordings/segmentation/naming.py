"""Ids of utterances: unique in the voice, safe as file names, the same whatever else is in the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

from voice_pipeline.recordings.transcripts.files import safe_id, without_suffix

_LONGEST_STEM = 80  # characters; ``safe_id`` allows 100, and the start in ms is added


class Names:
    """Gives out ids. ``files`` are the names of all files: two that differ in their suffix only keep it."""

    def __init__(self, files: Iterable[str]) -> None:
        stems = Counter(without_suffix(name) for name in files)
        self._ambiguous = {stem for stem, count in stems.items() if count > 1}
        self._used = set[str]()

    def given(self, identifier: str) -> str:
        """An id that the source's text gives; where it stands for two segments, the second gets another."""
        return self._unique(identifier, identifier)

    def made(self, file: str, start: float | None) -> str:
        """An id for a stretch of ``file`` from ``start`` seconds on; None for all of it."""
        stem = without_suffix(file)
        stem = safe_id(file if stem in self._ambiguous else stem)
        if len(stem) > _LONGEST_STEM:
            stem = f"{stem[: _LONGEST_STEM - 13]}_{sha256(file.encode()).hexdigest()[:12]}"
        return self._unique(stem if start is None else f"{stem}-{round(start * 1000):09d}", f"{file}\n{start}")

    def _unique(self, identifier: str, what: str) -> str:
        count = 0
        found = identifier
        while found in self._used:
            count += 1
            digest = sha256(f"{what}\n{count}".encode()).hexdigest()
            found = f"{identifier}_{digest[:12]}"
        self._used.add(found)
        return found
