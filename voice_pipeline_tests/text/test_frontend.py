"""The front end as a bundle carries it: the same bytes, the same reading, nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import ConfigError
from voice_pipeline.text.errors import TextError
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.text.symbols import SYMBOL_TABLE

SENTENCE = "Dr. Ray paid $23.50 for 3 qubits on Jan. 5th; wasn't it a bargain?"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_loading_gives_the_same_front_end(frontend: TextFrontend, frontend_folder: Path, tmp_path: Path) -> None:
    loaded = TextFrontend.load(frontend_folder)
    assert loaded.identity == frontend.identity
    assert loaded.encode(SENTENCE) == frontend.encode(SENTENCE)
    loaded.save(tmp_path / "again")
    assert files(tmp_path / "again") == files(frontend_folder)
    assert sorted(files(frontend_folder)) == ["NOTICE.txt", "g2p.crf", "lexicon.tsv", "normaliser.json", "symbols.json"]


def test_identity_is_that_of_the_content(frontend: TextFrontend, frontend_folder: Path, tmp_path: Path) -> None:
    frontend.save(tmp_path)
    lexicon = tmp_path / "lexicon.tsv"
    lexicon.write_bytes(lexicon.read_bytes().replace(b"\nhello\tHH EH0 ", b"\nhello\tHH AH0 "))
    changed = TextFrontend.load(tmp_path)
    assert changed.identity != frontend.identity
    assert changed.encode("hello") != frontend.encode("hello")
    assert TextFrontend.for_language("en-US").identity == frontend.identity


def test_ids_are_those_of_the_symbols(frontend: TextFrontend) -> None:
    symbols = frontend.symbols(frontend.normalise("Hello, world!"))
    assert symbols == ("HH", "EH0", "L", "OW1", ",", " ", "W", "ER1", "L", "D", "!")
    assert [SYMBOL_TABLE[number] for number in frontend.encode("Hello, world!")] == [" ", *symbols, " "]


def test_symbols_want_a_normalised_text(frontend: TextFrontend) -> None:
    with pytest.raises(ValueError, match="normalised"):
        frontend.symbols("Hello")
    with pytest.raises(ValueError, match="normalised"):
        frontend.symbols("a 5")


def test_the_dictionary_for_nemo_is_the_lexicon(frontend: TextFrontend) -> None:
    lines = (frontend.phoneme_dict_text() or "").splitlines()
    assert "WORLD  W ER1 L D" in lines
    assert len(lines) > 124_000
    assert len({line.split("  ")[0] for line in lines}) == len(lines)


def test_other_languages_are_refused_for_now() -> None:
    for code in ("ja-JP", "en-GB", "xx"):
        with pytest.raises(ConfigError, match="not supported yet"):
            TextFrontend.for_language(code)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("normaliser.json", b"{"),
        ("normaliser.json", b"[]"),
        ("normaliser.json", b'{"schema": "voice_text/9", "language": "en-US"}'),
        ("normaliser.json", b'{"schema": "voice_text/1", "language": "ja-JP"}'),
        ("normaliser.json", b'{"schema": "voice_text/1", "language": 5}'),
        ("symbols.json", json.dumps({"symbols": [*SYMBOL_TABLE[::-1]]}).encode()),
        ("lexicon.tsv", b""),
        ("lexicon.tsv", b"cut"),
        ("g2p.crf", b""),
        ("g2p.crf", b"lCRF\xff\xff\x00\x00rest"),
        ("NOTICE.txt", None),
    ],
)
def test_a_damaged_folder_is_refused(frontend: TextFrontend, tmp_path: Path, name: str, content: bytes | None) -> None:
    frontend.save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError):
        TextFrontend.load(tmp_path)


def test_a_damaged_pronunciation_is_refused(frontend: TextFrontend, tmp_path: Path) -> None:
    frontend.save(tmp_path)
    lexicon = tmp_path / "lexicon.tsv"
    lexicon.write_bytes(lexicon.read_bytes().replace(b"\nhello\tHH EH0 ", b"\nhello\tHH QQ9 "))
    with pytest.raises(ConfigError, match="hello"):
        TextFrontend.load(tmp_path).encode("hello")


def test_speaking_loads_nothing_heavy(frontend_folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from voice_pipeline.text.frontend import TextFrontend\n"
        f"TextFrontend.load(Path(sys.argv[1])).encode({SENTENCE!r})\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", program, frontend_folder], capture_output=True, text=True, check=True)
    heavy = {"torch", "nemo", "dagster", "gruut", "gruut_lang_en", "numpy", "pydantic", "sqlite3", "onnxruntime"}
    assert heavy.isdisjoint(run.stdout.split())
    assert "pycrfsuite" in run.stdout.split()


HARD = "Dr. Mr. U.S. etc. one two Three. Four! five? six, seven; eight: — ... No. 5. p.m. e.g."
PIECES = [*HARD.split(), "\n\n", "\n"]
SENTENCES = st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(SENTENCES, st.text(max_size=120)), st.integers(min_value=1, max_value=60))
def test_splitting_loses_no_words(frontend: TextFrontend, text: str, max_chars: int) -> None:
    sentences = frontend.split_sentences(text, max_chars=max_chars)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence and len(sentence) <= max_chars for sentence in sentences)
    longest = max((len(word) for word in text.split()), default=0)
    if longest <= max_chars:
        assert [word for sentence in sentences for word in sentence.split()] == text.split()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Ray came at 5 p.m. He sat down.", ["Dr. Ray came at 5 p.m.", "He sat down."]),
        ("The U.S. Army left. What now?", ["The U.S. Army left.", "What now?"]),
        ("J. R. R. Tolkien wrote it in Jan. 1950.", ["J. R. R. Tolkien wrote it in Jan. 1950."]),
        ("See No. 5 and p. 7. It works!", ["See No. 5 and p. 7.", "It works!"]),
        ("I said no. She said yes.", ["I said no.", "She said yes."]),
        ('"Go." She went. (Really?) Yes...', ['"Go."', "She went.", "(Really?)", "Yes..."]),
        ("It cost 3.5 dollars. wait for it", ["It cost 3.5 dollars. wait for it"]),
        ("One\n\ntwo\nthree", ["One", "two\nthree"]),
        ("", []),
    ],
)
def test_sentences(frontend: TextFrontend, text: str, sentences: list[str]) -> None:
    assert frontend.split_sentences(text) == sentences


def test_long_sentences_are_divided_at_clauses_then_at_words(frontend: TextFrontend) -> None:
    text = (
        "When the rain had stopped at last, we walked down to the harbour and looked at the boats in the evening light"
    )
    assert frontend.split_sentences(text, max_chars=60) == [
        "When the rain had stopped at last,",
        "we walked down to the harbour and looked at the boats in the",
        "evening light",
    ]
    assert frontend.split_sentences("a" * 25, max_chars=10) == ["a" * 10, "a" * 10, "a" * 5]


def test_every_sentence_of_a_long_text_can_be_said(frontend: TextFrontend) -> None:
    text = " ".join(f"Sentence {number} costs ${number}.50, said Mr. Brown." for number in range(300))
    sentences = frontend.split_sentences(text)
    assert len(sentences) == 300
    for sentence in sentences[:20]:
        try:
            frontend.encode(sentence)
        except TextError as error:
            pytest.fail(f"{sentence}: {error}")
