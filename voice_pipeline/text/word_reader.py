"""Reading by words: each one is looked up in a lexicon, or guessed from its spelling.

Its three files travel with a saved front end: ``lexicon.tsv``, ``g2p.crf`` and ``NOTICE.txt``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voice_pipeline.failures import ConfigError
from voice_pipeline.text.grapheme_to_phoneme import GraphemeToPhoneme
from voice_pipeline.text.lexicon import Lexicon

LEXICON_FILE = "lexicon.tsv"
G2P_FILE = "g2p.crf"
NOTICE_FILE = "NOTICE.txt"

Phones = tuple[str, ...]

_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)*|.", re.DOTALL)


@dataclass(frozen=True)
class WordFiles:
    """A lexicon, the model for unknown words, and where both come from and under which licence."""

    lexicon: Lexicon
    g2p: bytes
    notice: str

    @classmethod
    def load(cls, folder: Path) -> WordFiles:
        """Those that a front end was saved with. Raises ConfigError."""
        lexicon = Lexicon.open(folder / LEXICON_FILE)
        notice = _read_bytes(folder / NOTICE_FILE).decode("utf-8", "replace")
        return cls(lexicon, _read_bytes(folder / G2P_FILE), notice)


class WordReader:
    """See Reader."""

    def __init__(
        self,
        files: WordFiles,
        normaliser: Callable[[Callable[[str], bool]], Callable[[str], str]],
        pronunciation: Callable[[Mapping[str, Phones], Callable[[str], Phones]], Callable[[str], Phones]],
    ) -> None:
        """``normaliser`` takes "is this a word", ``pronunciation`` the lexicon and the model for unknown words.

        Raises ConfigError for a damaged model.
        """
        self._files = files
        self.normalise = normaliser(lambda word: word in files.lexicon)
        self._pronunciation = pronunciation(files.lexicon, GraphemeToPhoneme(files.g2p, G2P_FILE))

    def symbols(self, normalised: str) -> list[str]:
        """See Reader: phones, punctuation and spaces."""
        symbols: list[str] = []
        for token in _TOKEN.findall(normalised):
            if "a" <= token[0] <= "z":
                symbols += self._pronunciation(token)
            else:
                symbols.append(token)
        return symbols

    def files(self) -> dict[str, bytes]:
        """See Reader."""
        files = self._files
        return {G2P_FILE: files.g2p, LEXICON_FILE: files.lexicon.data, NOTICE_FILE: files.notice.encode()}

    def phoneme_dict_text(self) -> str:
        """See Reader."""
        return self._files.lexicon.cmudict_text()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read it: {error.strerror or error}") from error
