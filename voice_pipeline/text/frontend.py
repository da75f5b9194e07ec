"""The text front end: one code path from written text to the ids that a voice is trained on and speaks from.

    frontend = TextFrontend.for_language("en-US")
    frontend.normalise("It cost $23.50.")     # "it cost twenty three dollars and fifty cents."
    frontend.encode("Hello.")                 # (0, 7, 34, ...)
    frontend.save(folder)                     # what a voice bundle ships
    TextFrontend.load(folder)                 # the same front end, without the package that the lexicon came from

Saved files are the same bytes every time: ``symbols.json`` (id of each symbol), ``lexicon.tsv`` (words and phones),
``g2p.crf`` (the model for unknown words), ``normaliser.json`` (language and versions), ``NOTICE.txt`` (licences).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from voice_pipeline.failures import ConfigError
from voice_pipeline.store import identity, write_bytes
from voice_pipeline.text.errors import TEXT_TOO_LONG, TextError
from voice_pipeline.text.grapheme_to_phoneme import GraphemeToPhoneme
from voice_pipeline.text.languages import Language, language
from voice_pipeline.text.lexicon import Lexicon
from voice_pipeline.text.sentences import split_sentences
from voice_pipeline.text.symbols import SPACE, SYMBOL_TABLE, symbol_ids

SCHEMA = "voice_text/1"
SYMBOLS_FILE = "symbols.json"
LEXICON_FILE = "lexicon.tsv"
G2P_FILE = "g2p.crf"
NORMALISER_FILE = "normaliser.json"
NOTICE_FILE = "NOTICE.txt"
FILES = (G2P_FILE, LEXICON_FILE, NORMALISER_FILE, NOTICE_FILE, SYMBOLS_FILE)

MAX_TEXT_CHARS = 20_000  # half an hour of speech
MAX_SENTENCE_CHARS = 250  # about 15 seconds of speech

_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)*|.", re.DOTALL)


class TextFrontend:
    """Reads one language. Keeps no state between texts, and is safe to share between threads."""

    def __init__(
        self, language: Language, lexicon: Lexicon, g2p: bytes, settings: Mapping[str, Any], notice: str
    ) -> None:
        """Use ``for_language`` or ``load``. Raises ConfigError for a damaged model."""
        self.language = language
        self._lexicon = lexicon
        self._g2p = g2p
        self._settings = dict(settings)
        self._notice = notice
        self._normaliser = language.normaliser(lambda word: word in lexicon)
        self._pronunciation = language.pronunciation(lexicon, GraphemeToPhoneme(g2p, G2P_FILE))

    @classmethod
    def for_language(cls, code: str) -> TextFrontend:
        """The front end of a language, from installed packages. Raises ConfigError for a language not supported."""
        found = language(code)
        settings = {"schema": SCHEMA, "language": found.code, "version": found.version, "numbers": _number_rules()}
        return cls(found, Lexicon(found.lexicon()), found.g2p_model(), settings, found.notice())

    @classmethod
    def load(cls, folder: Path) -> TextFrontend:
        """The front end that ``save`` wrote. Raises ConfigError for a folder that holds something else."""
        settings = _read_json(folder / NORMALISER_FILE)
        symbols = _read_json(folder / SYMBOLS_FILE)
        if settings.get("schema") != SCHEMA or not isinstance(settings.get("language"), str):
            raise ConfigError(f"{folder / NORMALISER_FILE}: not a text front end of the form {SCHEMA}")
        if symbols.get("symbols") != list(SYMBOL_TABLE):
            raise ConfigError(f"{folder / SYMBOLS_FILE}: other symbols than this program speaks")
        found = language(settings["language"])
        lexicon = Lexicon.open(folder / LEXICON_FILE)
        g2p = _read_bytes(folder / G2P_FILE)
        return cls(found, lexicon, g2p, settings, _read_bytes(folder / NOTICE_FILE).decode("utf-8", "replace"))

    def save(self, folder: Path) -> None:
        """Write the front end's files into ``folder``. The same front end gives the same bytes."""
        for name, content in self._files().items():
            write_bytes(folder / name, content)

    @cached_property
    def identity(self) -> str:
        """sha256 over the content of the files that ``save`` writes: two front ends with it read alike."""
        return identity(**{name: hashlib.sha256(content).hexdigest() for name, content in self._files().items()})

    def _files(self) -> dict[str, bytes]:
        return {
            G2P_FILE: self._g2p,
            LEXICON_FILE: self._lexicon.data,
            NORMALISER_FILE: _json_bytes(self._settings),
            NOTICE_FILE: self._notice.encode(),
            SYMBOLS_FILE: _json_bytes({"schema": SCHEMA, "symbols": list(SYMBOL_TABLE)}),
        }

    # -- reading -----------------------------------------------------------------------------------

    def normalise(self, text: str) -> str:
        """The words that ``text`` says, in lower case, with the punctuation that is heard.

        Raises TextError: ``empty_text``, ``unsupported_script`` or ``text_too_long``.
        """
        _check_length(text)
        return self._normaliser(text)

    def symbols(self, normalised: str) -> tuple[str, ...]:
        """Phones, punctuation and spaces of a normalised text. Raises ValueError for one that is not normalised."""
        symbols: list[str] = []
        for token in _TOKEN.findall(normalised):
            if "a" <= token[0] <= "z":
                symbols += self._pronunciation(token)
            else:
                symbols.append(token)
        if unknown := sorted(set(symbols).difference(SYMBOL_TABLE)):
            raise ValueError(f"not a normalised text: it holds {' '.join(unknown)}")
        return tuple(symbols)

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of ``text``, [N], a space at both ends: exactly those of NeMo's tokenizer. Raises TextError."""
        return symbol_ids((SPACE, *self.symbols(self.normalise(text)), SPACE))

    def split_sentences(self, text: str, max_chars: int = MAX_SENTENCE_CHARS) -> list[str]:
        """The sentences of ``text`` as written, none longer than ``max_chars``. Raises TextError ``text_too_long``."""
        _check_length(text)
        return split_sentences(text, self.language.ends_sentence, max_chars)

    @property
    def symbol_table(self) -> tuple[str, ...]:
        """The symbol of each id."""
        return SYMBOL_TABLE

    def phoneme_dict_text(self) -> str:
        """The lexicon in CMUdict's form, one pronunciation a word, for NeMo's ``EnglishG2p``."""
        return self._lexicon.cmudict_text()


def _check_length(text: str) -> None:
    if len(text) > MAX_TEXT_CHARS:
        raise TextError(
            TEXT_TOO_LONG, f"{len(text):,} characters are too many at once; the limit is {MAX_TEXT_CHARS:,}"
        )


def _number_rules() -> str:
    """The library whose rules spell the numbers: another release may spell some of them differently."""
    from importlib.metadata import version

    return f"unicode-rbnf {version('unicode-rbnf')}"


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=True) + "\n").encode()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read it: {error.strerror or error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read_bytes(path))
    except ValueError as error:  # bytes that are no text, or no JSON
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: not a JSON object")
    return value
