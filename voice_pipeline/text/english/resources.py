"""The English lexicon and pronunciation model, from the package gruut-lang-en 2.0.1 (MIT, Michael Hansen).

Both files are checked by sha256: another release would give every voice another front end without a word. A saved
front end carries what it needs, so the package is wanted for training only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from voice_pipeline.failures import ConfigError
from voice_pipeline.text.arpabet import PHONE
from voice_pipeline.text.lexicon import lexicon_bytes


@dataclass(frozen=True)
class Source:
    """A file of another project that a front end is made of: what a licence manifest must name."""

    package: str
    version: str
    file: str
    sha256: str
    license: str
    author: str
    url: str


LEXICON_SOURCE = Source(
    package="gruut-lang-en",
    version="2.0.1",
    file="gruut_lang_en/lexicon.db",
    sha256="f736287913499c93b493b42963b66f74d59e0c083d9bc6d914c1096bc27658fc",
    license="MIT",
    author="Michael Hansen",
    url="https://github.com/rhasspy/gruut",
)
G2P_SOURCE = Source(
    package="gruut-lang-en",
    version="2.0.1",
    file="gruut_lang_en/g2p/model.crf",
    sha256="7942e8f8968b1bd5b322fd58d78b947f5fd305c9d4aeb6a8be1d0ea96227bbad",
    license="MIT",
    author="Michael Hansen",
    url="https://github.com/rhasspy/gruut",
)
SOURCES = (LEXICON_SOURCE, G2P_SOURCE)

NOTICE = """\
lexicon.tsv and g2p.crf come from gruut-lang-en 2.0.1 (https://github.com/rhasspy/gruut), by Michael Hansen:
lexicon.tsv is made of its lexicon.db (one pronunciation a word, from IPA to ARPABET), g2p.crf is its g2p/model.crf.
The pronunciations agree with the CMU Pronouncing Dictionary, Copyright (C) 1993-2015 Carnegie Mellon University
(BSD-2-Clause). gruut-lang-en is offered under the MIT License:

Copyright (c) Michael Hansen

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

# What NeMo's tokenizer reads as one word. The 33 other words of the lexicon hold accents or full stops.
_WORD = re.compile(r"[a-z](?:[a-z']*[a-z])?")

# Where the first pronunciation of the lexicon is not the one to read aloud.
# Then words that our normaliser writes and the lexicon lacks.
_EXCEPTIONS = {
    "ay": "EY1",  # how the normaliser writes the name of the letter A; the lexicon has the sailor's "aye"
    "kilometer": "K AH0 L AA1 M AH0 T ER0",
    "kilometers": "K AH0 L AA1 M AH0 T ER0 Z",
    "resume": "R IH0 Z UW1 M",  # the verb; the noun is written with its accents, and they are gone by now
    "tv": "T IY1 V IY1",
    "used": "Y UW1 Z D",  # the first one is that of "used to"
    "covid": "K OW1 V IH0 D",
    "emoji": "IH0 M OW1 JH IY0",
    "emojis": "IH0 M OW1 JH IY0 Z",
    "gigahertz": "G IH1 G AH0 HH ER2 T S",
    "hryvnia": "HH R IH1 V N IY0 AH0",
    "kilohertz": "K IH1 L AH0 HH ER2 T S",
    "kopeck": "K OW1 P EH2 K",
    "miz": "M IH1 Z",
    "paisa": "P AY1 S AH0",
    "paise": "P AY1 S AH0",
    "pascal": "P AE0 S K AE1 L",
    "terahertz": "T EH1 R AH0 HH ER2 T S",
    "zeroth": "Z IH1 R OW0 TH",
}


def lexicon() -> bytes:
    """The file of the English lexicon, one pronunciation a word, in ARPABET with stress."""
    return _lexicon_of(_checked(LEXICON_SOURCE))


@lru_cache(maxsize=1)
def _lexicon_of(path: Path) -> bytes:
    """The same for a file that was checked; made once in a process."""
    import sqlite3  # not wanted for speaking

    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        rows = connection.execute("SELECT word, phonemes FROM word_phonemes ORDER BY pron_order DESC, id DESC")
        is_word, phone = _WORD.fullmatch, PHONE
        entries = {word: tuple([phone[sign] for sign in signs.split()]) for word, signs in rows if is_word(word)}
    finally:
        connection.close()
    entries.update({word: tuple(phones.split()) for word, phones in _EXCEPTIONS.items()})
    return lexicon_bytes(entries)


def g2p_model() -> bytes:
    """The file of the English model for unknown words."""
    return _checked(G2P_SOURCE).read_bytes()


def _checked(source: Source) -> Path:
    module, _, name = source.file.partition("/")
    spec = importlib.util.find_spec(module)
    wanted = f"install it with: pip install {source.package}=={source.version}"
    if spec is None or spec.origin is None:
        raise ConfigError(f"the English lexicon is not installed; {wanted}")
    path = Path(spec.origin).parent / name
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise ConfigError(f"{source.file} is not that of {source.package} {source.version}; {wanted}")
    return path
