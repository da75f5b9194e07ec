"""Languages that are read by their letters: what they say, that it holds their symbols only, and that it is saved."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import ConfigError
from voice_pipeline.text.errors import EMPTY_TEXT, TEXT_TOO_LONG, UNSUPPORTED_SCRIPT, TextError
from voice_pipeline.text.frontend import MAX_TEXT_CHARS, TextFrontend
from voice_pipeline.text.spelling.samples import SAMPLES
from voice_pipeline.text.spelling.writing import LANGUAGES
from voice_pipeline.text.symbols import OOV, PAD, SPACE, SYMBOL_TABLE

CASES = Path(__file__).with_name("spelling_cases.txt")
CODES = (*LANGUAGES, "es-MX", "fr-CA", "fr-BE", "it-IT", "it-CH", "de-CH", "pt-PT")

frontend_of = cache(TextFrontend.for_language)


def golden() -> list[tuple[str, str, str]]:
    found = []
    for line in CASES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            code, _, rest = line.partition(" | ")
            written, arrow, said = rest.partition(" => ")
            assert arrow, line
            found.append((code, written.replace("\\n", "\n"), said))
    return found


@pytest.mark.parametrize(("code", "written", "said"), golden())
def test_golden(code: str, written: str, said: str) -> None:
    assert frontend_of(code).normalise(written) == said
    assert frontend_of(code).normalise(said) == said


SIGNS = "0123456789 .,:;!?¿¡'’«»“”()[]-–—…%€$£₺₽₴&+=°ºª№@#/\\_*\n\t\u00a0\u202f²½"


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str]:
    """A code, and a text of its letters, digits, signs, and sometimes anything at all."""
    code = draw(st.sampled_from(CODES))
    letters = "".join(symbol for symbol in frontend_of(code).symbol_table if symbol.isalpha())
    alphabet = st.sampled_from(letters + letters.upper() + SIGNS)
    return code, draw(st.one_of(st.text(alphabet, max_size=60), st.text(max_size=30)))


@settings(max_examples=1500, deadline=None)
@given(written())
def test_any_text_becomes_symbols_of_the_language_or_a_text_error(case: tuple[str, str]) -> None:
    code, text = case
    frontend = frontend_of(code)
    try:
        said = frontend.normalise(text)
    except TextError:
        return
    assert frontend.normalise(said) == said
    assert set(said) <= set(frontend.symbol_table) - {PAD, OOV}
    assert said == said.strip()
    assert "  " not in said
    ids = frontend.encode(text)
    assert [frontend.symbol_table[number] for number in ids] == [SPACE, *said, SPACE]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(CODES), st.from_regex(r"-?[0-9]{1,20}([.,' ][0-9]{1,4}){0,3} ?[%€$£º]?", fullmatch=True))
def test_every_number_is_said_in_letters(code: str, number: str) -> None:
    said = frontend_of(code).normalise(number)
    assert not any(map(str.isdigit, said))
    assert said[0].isalpha()


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_words_of_all_numbers_are_written_with_its_letters(code: str) -> None:
    frontend = frontend_of(code)
    seen = {frontend.normalise(str(number)) for number in (*range(1100), *range(1100, 10**6, 7919), 10**6, 10**12)}
    assert len(seen) == 1100 + len(range(1100, 10**6, 7919)) + 2  # no two numbers are said alike


@pytest.mark.parametrize("code", LANGUAGES)
def test_samples_are_in_the_language(code: str) -> None:
    for text in SAMPLES[code]:
        said = frontend_of(code).normalise(text)
        assert ("42" in text) == (frontend_of(code).normalise("42") in said)
        unfolded = [c for c in text.lower() if c.isalpha() and c not in said]
        assert not unfolded  # no letter of the sample lost its accent: the alphabet has all of them


def test_letters_of_another_script_are_refused_by_name() -> None:
    for code, text in (("it-IT", "ciao мир"), ("ru-RU", "Wi-Fi здесь"), ("el-GR", "hello"), ("fr-CA", "日本")):
        with pytest.raises(TextError) as caught:
            frontend_of(code).normalise(text)
        assert caught.value.code == UNSUPPORTED_SCRIPT
    with pytest.raises(TextError, match="Cyrillic"):
        frontend_of("it-IT").normalise("мир")


@pytest.mark.parametrize("text", ["", " \n ", "...", "¿?", "🙂", "«»", "'''"])
def test_nothing_to_say(text: str) -> None:
    with pytest.raises(TextError) as caught:
        frontend_of("es-MX").normalise(text)
    assert caught.value.code == EMPTY_TEXT


def test_a_long_text_takes_a_moment_and_a_longer_one_is_refused() -> None:
    frontend = frontend_of("it-IT")
    for unit in ("1", " ", "\n", "'", "¿", ". ", "1.", "1 ", "-", "a'", "1,111", "€", "a\n \n"):
        text = "a" + unit * (MAX_TEXT_CHARS // len(unit) - 1)
        frontend.normalise(text)  # linear: a quadratic rule would take minutes
    with pytest.raises(TextError) as caught:
        frontend.normalise("a" * (MAX_TEXT_CHARS + 1))
    assert caught.value.code == TEXT_TOO_LONG


def test_tables_never_change() -> None:
    """A trained model depends on the order of the ids."""
    italian = frontend_of("it-IT").symbol_table
    assert "".join(italian[1:-2]) == "abcdefghijklmnopqrstuvwxyzàèéìíîòóùú',.!?:;"
    assert (italian[0], italian[-2:]) == (SPACE, (PAD, OOV))
    assert "".join(frontend_of("es-MX").symbol_table[27:-2]) == "áéíñóúü',.!?:;¿¡"
    assert "".join(frontend_of("fr-CA").symbol_table[27:-2]) == "àâæçèéêëîïôœùûüÿ',.!?:;"
    assert "".join(frontend_of("ru-RU").symbol_table[1:34]) == "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
    sizes = {code: len(frontend_of(code).symbol_table) for code in LANGUAGES}
    assert sizes == {
        **{"cs": 51, "da": 40, "de": 40, "el": 46, "es": 45, "fi": 41, "fr": 52, "hu": 45, "it": 46},
        **{"nb": 45, "nl": 48, "pl": 45, "pt": 49, "ru": 43, "sv": 41, "tr": 45, "uk": 43},
    }
    for code in LANGUAGES:
        table = frontend_of(code).symbol_table
        assert len(set(table)) == len(table)


@pytest.mark.parametrize("code", LANGUAGES)
def test_foreign_letters_are_some_of_the_table(code: str) -> None:
    frontend = frontend_of(code)
    assert frontend.foreign_letters < set(frontend.symbol_table)
    numbers = "".join(frontend.normalise(str(number)) for number in range(1, 30))
    assert not frontend.foreign_letters & set(numbers)
    assert frontend_of("en-US").foreign_letters == frozenset()


@pytest.mark.parametrize("code", ["it-IT", "es-MX", "fr-CA", "ru-RU"])
def test_a_saved_front_end_reads_alike_and_is_the_same_bytes(code: str, tmp_path: Path) -> None:
    frontend = frontend_of(code)
    frontend.save(tmp_path / "one")
    loaded = TextFrontend.load(tmp_path / "one")
    loaded.save(tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["normaliser.json", "symbols.json"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert loaded.identity == frontend.identity
    assert loaded.language.code == code
    text = SAMPLES[code[:2]][1]
    assert loaded.encode(text) == frontend.encode(text)
    assert loaded.phoneme_dict_text() is None


def test_a_table_of_another_language_is_refused(tmp_path: Path) -> None:
    frontend_of("it-IT").save(tmp_path)
    for table in (list(SYMBOL_TABLE), list(frontend_of("es-MX").symbol_table), [], None):
        (tmp_path / "symbols.json").write_text(json.dumps({"schema": "voice_text/1", "symbols": table}))
        with pytest.raises(ConfigError, match="other symbols"):
            TextFrontend.load(tmp_path)


def test_front_ends_of_languages_and_regions_are_told_apart() -> None:
    assert len({frontend_of(code).identity for code in (*CODES, "en-US")}) == len(CODES) + 1


def test_symbols_want_a_normalised_text() -> None:
    for text in ("Ciao", "ciao 5", "ciao <pad>", "ciao\n", "čau"):
        with pytest.raises(ValueError, match="normalised"):
            frontend_of("it-IT").symbols(text)


def test_an_unknown_language_is_refused_with_those_that_are_there() -> None:
    for code in ("ja-JP", "ar", "xx", "en-GB", "ro-RO"):
        with pytest.raises(ConfigError, match=r"en-US.* cs, da, de, .*it.*uk"):
            TextFrontend.for_language(code)


@pytest.mark.parametrize(
    ("code", "text", "sentences"),
    [
        ("it-IT", "Prima frase. Seconda frase! Terza?", ["Prima frase.", "Seconda frase!", "Terza?"]),
        ("es-MX", "Hola. ¿Cómo está el Sr. Gómez? Bien.", ["Hola.", "¿Cómo está el Sr. Gómez?", "Bien."]),
        ("fr-CA", "Voici M. Roy. Il parle… Merci", ["Voici M. Roy.", "Il parle…", "Merci"]),
        ("de-DE", "Am 3. Oktober kam er. Dann ging er.", ["Am 3. Oktober kam er.", "Dann ging er."]),
        ("it-IT", "Nel 1990. Poi basta.", ["Nel 1990.", "Poi basta."]),
        ("ru-RU", "Первое. Второе.", ["Первое.", "Второе."]),
    ],
)
def test_sentences(code: str, text: str, sentences: list[str]) -> None:
    assert frontend_of(code).split_sentences(text) == sentences


def test_reading_by_letters_loads_neither_lexicon_nor_model(tmp_path: Path) -> None:
    import subprocess

    frontend_of("it-IT").save(tmp_path)
    program = (
        "import sys; from pathlib import Path\n"
        "from voice_pipeline.text.frontend import TextFrontend\n"
        "TextFrontend.load(Path(sys.argv[1])).encode('Costa 5 euro.')\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    heavy = {"torch", "nemo", "dagster", "gruut_lang_en", "numpy", "pydantic", "sqlite3", "onnxruntime", "pycrfsuite"}
    assert heavy.isdisjoint(run.stdout.split())
