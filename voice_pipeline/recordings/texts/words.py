"""The words of a written text: where each stands, and what is spoken for it.

    words = read_words("It cost $23.50.", frontend.normalise)
    words[2].spoken                 # ("twenty", "three", "dollars", "and", "fifty", "cents")
    text[words[2].start : words[2].end]         # "$23.50."

What is written as one is one, however many words it is spoken as. Where a reading depends on the neighbours ("March 3"
is "march third"), it is that of the whole sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voice_pipeline.recordings.texts.comparison import Normalise, heard_words, letters

# A word ends at white space, after a dash or an ellipsis, and around a sign of a script without blanks.
_BREAK = r"[—―…]|--|\.\.\."
_SIGN = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
_TOKEN = re.compile(rf"{_SIGN}[^\w\s]*|(?:(?!{_BREAK}|{_SIGN})\S)*(?:{_BREAK})+[\"'”’)\]]*(?!\w)|"
                    rf"(?:(?!{_BREAK}|{_SIGN})\S)*(?:{_BREAK})+|(?:(?!{_BREAK}|{_SIGN})\S)+")  # fmt: skip
_SENTENCE_END = re.compile(r"[^\W\d_]{4,}[.!?…。！？]+[\"'”’)\]]*$")
_PAUSE = re.compile(r"[.,;:!?…—―–。，、！？；：]+[\"'”’»)\]]*$|--[\"'”’)\]]*$")
_LONGEST_SENTENCE = 80  # words: what has no full stop is read in pieces of this size


@dataclass(frozen=True)
class WrittenWord:
    """One word of a text, or several that are only read together; with the marks that stand at it."""

    start: int  # character in the text
    end: int
    spoken: tuple[str, ...]  # never empty
    pause: bool  # whether a mark of punctuation or a paragraph's end follows


@dataclass(frozen=True)
class _Token:
    start: int
    end: int
    text: str


def read_words(text: str, normalise: Normalise) -> tuple[WrittenWord, ...]:
    """The words of ``text`` in order. Marks that stand alone belong to the word before them in their line, or after.

    ``normalise`` raises ValueError for what it cannot read: that is taken letter by letter.
    """
    words: list[WrittenWord] = []
    for sentence in _sentences(text):
        for first, last, spoken in _spoken(text, sentence, normalise):
            words.append(WrittenWord(sentence[first].start, sentence[last].end, spoken, False))
    return _with_lone_marks(text, words)


def _sentences(text: str) -> Iterator[list[_Token]]:
    sentence: list[_Token] = []
    for match in _TOKEN.finditer(text):
        token = _Token(match.start(), match.end(), match[0])
        if sentence:
            between = text[sentence[-1].end : token.start]
            ended = _SENTENCE_END.search(sentence[-1].text) and not token.text[0].islower()
            if ended or between.count("\n") > 1 or len(sentence) >= _LONGEST_SENTENCE:
                yield sentence
                sentence = []
        sentence.append(token)
    if sentence:
        yield sentence


def _spoken(text: str, tokens: list[_Token], normalise: Normalise) -> list[tuple[int, int, tuple[str, ...]]]:
    """(first token, last token, what is spoken for them) in order; tokens that nothing is spoken for are left out."""
    read = heard_words(text[tokens[0].start : tokens[-1].end], normalise)
    alone = [letters(token.text) for token in tokens]
    if tuple(word for words in alone for word in words) != read:
        alone = [heard_words(token.text, normalise) for token in tokens]
    owners = [number for number, words in enumerate(alone) for _ in words]
    if not owners:
        return []
    groups = _shared_out([word for words in alone for word in words], read, owners)
    return [(min(members), max(members), words) for members, words in groups if words]


def _shared_out(
    alone: list[str], read: tuple[str, ...], owners: list[int]
) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
    """Give every word of the sentence's reading to the tokens whose own reading stands at its place."""
    from rapidfuzz.distance import Levenshtein

    leader = {owner: owner for owner in owners}  # tokens that are only read together have one leader: the first
    given: list[tuple[int, str]] = []
    last = owners[0]
    for code in Levenshtein.opcodes(alone, read):
        if code.tag == "equal":
            for offset in range(code.src_end - code.src_start):
                last = owners[code.src_start + offset]
                given.append((last, read[code.dest_start + offset]))
            continue
        involved = owners[code.src_start : code.src_end] or [last]
        last = involved[-1]
        if code.tag != "delete" or any(owner not in {one for one, _ in given} for owner in involved):
            for owner in range(involved[0], involved[-1] + 1):
                if owner in leader:
                    leader[owner] = leader[involved[0]]
        given += [(involved[0], word) for word in read[code.dest_start : code.dest_end]]
    groups: dict[int, tuple[list[int], list[str]]] = {}
    for owner in sorted(leader):
        groups.setdefault(leader[owner], ([], []))[0].append(owner)
    for owner, word in given:
        groups[leader[owner]][1].append(word)
    return [(tuple(members), tuple(words)) for _, (members, words) in sorted(groups.items())]


def _with_lone_marks(text: str, words: list[WrittenWord]) -> tuple[WrittenWord, ...]:
    """Stretch words over the marks beside them that are no words, without leaving the line."""
    stretched: list[WrittenWord] = []
    for number, word in enumerate(words):
        start = word.start
        following = words[number + 1].start if number + 1 < len(words) else len(text)
        line_end = text.find("\n", word.end, following)
        rest = text[word.end : line_end if line_end >= 0 else following]
        opening = re.search(r"\s+[\"'“‘«(\[¿¡]+\s*$", rest) if line_end < 0 else None
        end = word.end + len((rest[: opening.start()] if opening else rest).rstrip())
        before = stretched[-1].end if stretched else 0
        line_start = max(before, text.rfind("\n", before, start) + 1)
        start -= len(text[line_start:start].lstrip())
        shown = text[start:end]
        paragraph = text.count("\n", end, following) > 1
        stretched.append(WrittenWord(start, end, word.spoken, bool(_PAUSE.search(shown)) or paragraph))
    return tuple(stretched)
