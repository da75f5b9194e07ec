"""A pronunciation lexicon in one sorted file, read through a memory map.

    Lexicon.open(path)["hello"]          # ("HH", "EH0", "L", "OW1")

One line a word: the word, a tab, its phones, a newline, sorted by the bytes of the word. Parsing 125,000 lines would
take longer than speaking a sentence, so nothing is parsed: a word is found by bisection over the bytes, and opening
the file costs one system call.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

from voice_pipeline.failures import ConfigError
from voice_pipeline.text.symbols import PHONES

_NEWLINE, _TAB = b"\n", b"\t"


class Lexicon(Mapping[str, tuple[str, ...]]):
    """Words and their one pronunciation. Words are lower case; lookups never change it."""

    def __init__(self, data: bytes | mmap.mmap, name: str = "lexicon") -> None:
        """``data`` as ``lexicon_bytes`` makes it. Raises ConfigError when it is visibly something else."""
        if len(data) and data[-1:] != _NEWLINE:
            raise ConfigError(f"{name}: no lexicon, or cut short")
        self._data = data
        self._name = name
        self._length: int | None = None

    @classmethod
    def open(cls, path: Path) -> Lexicon:
        """The lexicon in a file. Raises ConfigError when there is none."""
        try:
            with path.open("rb") as stream:
                return cls(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), str(path))
        except (OSError, ValueError) as error:  # mmap refuses an empty file with a ValueError
            raise ConfigError(f"{path}: cannot read the lexicon: {error}") from error

    @property
    def data(self) -> bytes:
        """The bytes of the file."""
        return bytes(self._data)

    def __getitem__(self, word: str) -> tuple[str, ...]:
        try:
            key = word.encode("ascii")
        except UnicodeEncodeError:
            raise KeyError(word) from None
        data, low, high = self._data, 0, len(self._data)
        while low < high:  # the line that holds the middle, then the half before or behind it
            middle = (low + high) // 2
            start = data.rfind(_NEWLINE, low, middle) + 1 or low
            end = data.find(_NEWLINE, middle)
            found, _, phones = bytes(data[start:end]).partition(_TAB)
            if found == key:
                return self._phones(phones, word)
            if found < key:
                low = end + 1
            else:
                high = start
        raise KeyError(word)

    def _phones(self, phones: bytes, word: str) -> tuple[str, ...]:
        result = tuple(phones.decode("ascii", "replace").split(" "))
        if not PHONES.issuperset(result):
            raise ConfigError(f"{self._name}: the pronunciation of {word!r} is damaged")
        return result

    def __iter__(self) -> Iterator[str]:
        return (line.partition(_TAB)[0].decode("ascii") for line in self.data.splitlines())

    def __len__(self) -> int:
        if self._length is None:
            self._length = self.data.count(_NEWLINE)
        return self._length

    def cmudict_text(self) -> str:
        """The whole lexicon in CMUdict's form: upper-case word, two spaces, phones."""
        lines = (line.partition("\t") for line in self.data.decode("ascii").splitlines())
        return "".join(f"{word.upper()}  {phones}\n" for word, _, phones in lines)


def lexicon_bytes(entries: Mapping[str, tuple[str, ...]]) -> bytes:
    """The file of a lexicon: the same entries give the same bytes."""
    # Sorting whole lines sorts the words: the tab comes before every letter and apostrophe.
    return "".join(sorted(f"{word}\t{' '.join(phones)}\n" for word, phones in entries.items())).encode("ascii")
