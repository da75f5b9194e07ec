"""The text front end: one code path from written text to the ids that a voice is trained on and speaks from.

    frontend = TextFrontend.for_language("en-US")
    frontend.normalise("It cost $23.50.")     # "it cost twenty three dollars and fifty cents."
    frontend.encode("Hello.")                 # (0, 7, 34, ...)
    frontend.save(folder)                     # what a voice bundle ships
    TextFrontend.load(folder)                 # the same front end, without the package that the lexicon came from

Saved files are the same bytes every time: ``symbols.json`` (id of each symbol) and ``normaliser.json`` (language and
versions); where words are looked up also ``lexicon.tsv`` (words and phones), ``g2p.crf`` (the model for unknown words)
and ``NOTICE.txt`` (licences). A language that is read by letters is code alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from voice_pipeline.atomic import write_bytes
from voice_pipeline.failures import ConfigError
from voice_pipeline.store import identity
from voice_pipeline.text.errors import TEXT_TOO_LONG, TextError
from voice_pipeline.text.languages import Language, Reader, language
from voice_pipeline.text.sentences import split_sentences
from voice_pipeline.text.symbols import OOV, PAD, SPACE

SCHEMA = "voice_text/1"
SYMBOLS_FILE = "symbols.json"
NORMALISER_FILE = "normaliser.json"

MAX_TEXT_CHARS = 20_000  # half an hour of speech
MAX_SENTENCE_CHARS = 250  # about 15 seconds of speech


class TextFrontend:
    """Reads one language. Keeps no state between texts, and is safe to share between threads."""

    def __init__(self, language: Language, reader: Reader, settings: Mapping[str, Any]) -> None:
        """Use ``for_language`` or ``load``."""
        self.language = language
        self._reader = reader
        self._settings = dict(settings)
        self._ids = {symbol: number for number, symbol in enumerate(language.symbol_table)}
        self._spoken = frozenset(self._ids) - {PAD, OOV}

    @classmethod
    def for_language(cls, code: str) -> TextFrontend:
        """The front end of a language, from installed packages. Raises ConfigError for a language not supported."""
        found = language(code)
        settings = {"schema": SCHEMA, "language": found.code, "version": found.version, "numbers": _number_rules()}
        return cls(found, found.reader(None), settings)

    @classmethod
    def load(cls, folder: Path) -> TextFrontend:
        """The front end that ``save`` wrote. Raises ConfigError for a folder that holds something else."""
        settings = _read_json(folder / NORMALISER_FILE)
        symbols = _read_json(folder / SYMBOLS_FILE)
        if settings.get("schema") != SCHEMA or not isinstance(settings.get("language"), str):
            raise ConfigError(f"{folder / NORMALISER_FILE}: not a text front end of the form {SCHEMA}")
        found = language(settings["language"])
        if symbols.get("symbols") != list(found.symbol_table):
            raise ConfigError(f"{folder / SYMBOLS_FILE}: other symbols than this program speaks in {found.code}")
        return cls(found, found.reader(folder), settings)

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
            **self._reader.files(),
            NORMALISER_FILE: _json_bytes(self._settings),
            SYMBOLS_FILE: _json_bytes({"schema": SCHEMA, "symbols": list(self.symbol_table)}),
        }

    # -- reading -----------------------------------------------------------------------------------

    def normalise(self, text: str) -> str:
        """The words that ``text`` says, in lower case, with the punctuation that is heard.

        Raises TextError: ``empty_text``, ``unsupported_script`` or ``text_too_long``.
        """
        _check_length(text)
        return self._reader.normalise(text)

    def symbols(self, normalised: str) -> tuple[str, ...]:
        """The symbols of a normalised text: phones or letters, punctuation, spaces.

        Raises ValueError for a text that is not normalised.
        """
        symbols = tuple(self._reader.symbols(normalised))
        if unknown := sorted(set(symbols) - self._spoken):
            raise ValueError(f"not a normalised text: it holds {' '.join(unknown)}")
        return symbols

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of ``text``, [N], a space at both ends: exactly those of NeMo's tokenizer. Raises TextError."""
        return tuple(self._ids[symbol] for symbol in (SPACE, *self.symbols(self.normalise(text)), SPACE))

    def split_sentences(self, text: str, max_chars: int = MAX_SENTENCE_CHARS) -> list[str]:
        """The sentences of ``text`` as written, none longer than ``max_chars``. Raises TextError ``text_too_long``."""
        _check_length(text)
        return split_sentences(text, self.language.ends_sentence, max_chars)

    @property
    def symbol_table(self) -> tuple[str, ...]:
        """The symbol of each id."""
        return self.language.symbol_table

    @property
    def foreign_letters(self) -> frozenset[str]:
        """Symbols of names and loanwords alone, which nobody misses in a dataset."""
        return self.language.foreign_letters

    def phoneme_dict_text(self) -> str | None:
        """The lexicon in CMUdict's form for NeMo's ``EnglishG2p``; None for a language that is read by letters."""
        return self._reader.phoneme_dict_text()


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
