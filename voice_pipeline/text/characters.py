"""From any Unicode text to the few characters that the rules of a language read.

    clean("“Naïve”\u00a0cafés…")        # '"Naive" cafes...'

NFKC first (ligatures, full-width forms), then each character is kept, spelled with basic letters, turned into a
space (emoji and other pictures are not read), dropped (soft hyphen, zero width), or refused: letters of another script
raise TextError ``unsupported_script``, because leaving them out would change what the text says.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from voice_pipeline.text.errors import UNSUPPORTED_SCRIPT, TextError

# Signs beyond ASCII that the rules of a language know.
KEPT = frozenset("–—°×÷±≈≠≤≥√∞·§¢£€¥₹₩₽₿₺₪₱₫₦₴→")

_BEFORE_NFKC = {
    **dict.fromkeys("‘’‚‛′ʹʼʻ＇`´", "'"),
    **dict.fromkeys("“”„‟″«»〝〞＂", '"'),
    **dict.fromkeys("‐‑⁃−﹣－", "-"),
    **dict.fromkeys("‒–﹘", "–"),
    **dict.fromkeys("—―⸺⸻﹏", "—"),
    **dict.fromkeys("•‣∙‧・", "·"),
    **dict.fromkeys("⁄∕", "/"),
    **dict.fromkeys("™®©℠", " "),
    "№": "No. ",
    "º": "°",
    "✕": "×",
    "∼": "~",
    "。": ". ",
    "،": ", ",
    "、": ", ",
    "؟": "? ",
}
# fmt: off
LATIN_LETTERS = {
    "æ": "ae", "œ": "oe", "ß": "ss", "þ": "th", "ð": "th", "đ": "d", "ı": "i", "ŋ": "ng", "ſ": "s", "ə": "e",
}
# fmt: on
_LATIN_NAME = re.compile(r"LATIN (SMALL|CAPITAL) LETTER (?:DOTLESS )?([A-Z])(?: WITH .*)?")
_SUPERSCRIPT = re.compile(r"[⁺⁻]?[⁰¹²³⁴-⁹]+")
_MICRO = re.compile(r"[µμ](?=[gmslLVAW]\b)")
_MAX_NAMED = 8  # characters named in an error


def clean(text: str) -> str:
    """``text`` in ASCII and ``KEPT``, with its letters' case. Raises TextError ``unsupported_script``."""
    if text.isascii() and text.isprintable():
        return text
    text = _SUPERSCRIPT.sub(lambda match: f"^{unicodedata.normalize('NFKC', match[0])}".replace("−", "-"), text)
    text = _MICRO.sub("mu", text)
    text = unicodedata.normalize("NFKC", text.translate(before_nfkc()))
    if text.isascii() and text.isprintable():
        return text
    replaced = {character: _replacement(character) for character in sorted(set(text))}
    unknown = [character for character, replacement in replaced.items() if replacement is None]
    if unknown:
        raise TextError(UNSUPPORTED_SCRIPT, unsupported(unknown))
    return text.translate({ord(character): replacement for character, replacement in replaced.items()})


@cache
def before_nfkc(keep: str = "") -> dict[int, str]:
    """What to replace before NFKC would lose it: quotes, dashes, fractions; not the characters in ``keep``."""
    table = {ord(character): text for character, text in _BEFORE_NFKC.items() if character not in keep}
    for number in (0xBC, 0xBD, 0xBE, *range(0x2150, 0x215F), 0x2189):  # 5½ is 5 1/2, never 51/2
        table[number] = " " + unicodedata.normalize("NFKC", chr(number)).replace("⁄", "/") + " "
    return table


def _replacement(character: str) -> str | None:
    """What stands for the character; None when it cannot be left out."""
    if character in "\n\v\f\r\u0085\u2028\u2029":
        return "\n"
    if character == "\t" or (character.isascii() and character.isprintable()) or character in KEPT:
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category.startswith("L") and category != "Lm":
        return _letter(character)
    if category.startswith("M") or category in ("Cf", "Lm"):
        return ""
    if category == "Pd":
        return "-"
    return " "


def _letter(character: str) -> str | None:
    name = unicodedata.name(character, "")
    if name.startswith("GREEK"):
        return _greek(name)
    if not name.startswith("LATIN"):
        return None
    plain = LATIN_LETTERS.get(character.lower())
    if plain is None:
        match = _LATIN_NAME.fullmatch(name)
        plain = match[2].lower() if match else None
    if plain is None:
        return None
    return plain.capitalize() if character.isupper() else plain


def _greek(name: str) -> str:
    """Greek letters stand in formulas: they are read by name."""
    return f" {name.split(' WITH ')[0].split()[-1].lower()} "


def unsupported(unknown: list[str]) -> str:
    """What a person is told of characters that have no reading."""
    scripts = sorted({unicodedata.name(character, "unnamed").split()[0].title() for character in unknown})
    shown = " ".join(unknown[:_MAX_NAMED]) + (" and more" if len(unknown) > _MAX_NAMED else "")
    return f"no reading for these characters ({', '.join(scripts)}): {shown}"
