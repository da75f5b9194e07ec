"""Our ids are NeMo's ids: of each symbol, and of whole sentences, also from a ``.nemo`` file moved elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.evaluation.run import test_sentences as own_sentences
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.text.nemo_tokenizer import tokenizer_config, write_phoneme_dict
from voice_pipeline.text.spelling.samples import SAMPLES
from voice_pipeline.text.symbols import OOV, PAD, SYMBOL_IDS, SYMBOL_TABLE

CASES = Path(__file__).with_name("normalisation_cases.txt")
TINY = Path(__file__).parents[1] / "training" / "tiny.yaml"


@pytest.fixture(scope="module")
def phoneme_dict(frontend: TextFrontend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nemo") / "phoneme_dict.txt"
    write_phoneme_dict(frontend, path)
    return path


@pytest.fixture(scope="module")
def tokenizer(frontend: TextFrontend, phoneme_dict: Path) -> Any:
    pytest.importorskip("nemo.collections.tts", reason="needs the extra `nemo`", exc_type=ImportError)
    from nemo.core.classes.common import safe_instantiate
    from omegaconf import OmegaConf

    return safe_instantiate(OmegaConf.create(tokenizer_config(frontend, phoneme_dict)))


def sentences(frontend: TextFrontend) -> Iterator[str]:
    """What the golden table says, as far as every word of it is in the lexicon."""
    known = (frontend.phoneme_dict_text() or "").splitlines()
    words = {line.partition(" ")[0].lower() for line in known}
    for line in CASES.read_text(encoding="utf-8").splitlines():
        written, arrow, said = line.partition(" => ")
        if arrow and not written.startswith("# ") and words.issuperset(re.findall(r"[a-z']+", said)):
            yield said


def test_every_symbol_is_there_once() -> None:
    assert len(set(SYMBOL_TABLE)) == len(SYMBOL_TABLE) == 114


@pytest.mark.nemo
@pytest.mark.slow
def test_symbol_table_is_nemos(tokenizer: Any) -> None:
    assert tuple(tokenizer.tokens) == SYMBOL_TABLE
    assert tokenizer.pad == SYMBOL_IDS[PAD]
    assert tokenizer.oov == SYMBOL_IDS[OOV]
    assert tokenizer.space == SYMBOL_IDS[" "]


@pytest.mark.nemo
@pytest.mark.slow
def test_sentences_have_nemos_ids(tokenizer: Any, frontend: TextFrontend) -> None:
    known = list(sentences(frontend))
    assert len(known) > 140
    for sentence in known:
        assert tuple(tokenizer.encode(sentence)) == frontend.encode(sentence), sentence


@pytest.mark.nemo
@pytest.mark.slow
@pytest.mark.parametrize("code", ["it-IT", "es-MX", "fr-CA", "ru-RU", "uk-UA", "el-GR", "tr-TR"])
def test_letters_have_nemos_ids(code: str, tmp_path: Path) -> None:
    pytest.importorskip("nemo.collections.tts", reason="needs the extra `nemo`", exc_type=ImportError)
    from nemo.core.classes.common import safe_instantiate
    from omegaconf import OmegaConf

    frontend = TextFrontend.for_language(code)
    theirs = safe_instantiate(OmegaConf.create(tokenizer_config(frontend, tmp_path / "none.txt")))
    table = frontend.symbol_table
    assert tuple(theirs.tokens) == table
    assert (theirs.space, theirs.pad, theirs.oov) == (0, table.index(PAD), table.index(OOV))
    letters = [symbol for symbol in table[1:-2] if symbol.isalpha()]
    one, two, three, *_ = letters
    marked = f"{one}, {two}. {three}! {one}? {two}: {three}; {one}'{two}"
    for text in (*SAMPLES[code[:2]], *(sentence.text for sentence in own_sentences(code)), " ".join(letters), marked):
        assert tuple(theirs.encode(frontend.normalise(text))) == frontend.encode(text), text
    write_phoneme_dict(frontend, tmp_path / "none.txt")
    assert not (tmp_path / "none.txt").exists()


@pytest.mark.nemo
@pytest.mark.slow
def test_a_nemo_file_of_letters_reads_as_we_do(tmp_path: Path) -> None:
    pytest.importorskip("nemo.collections.tts", reason="needs the extra `nemo`", exc_type=ImportError)
    from nemo.collections.tts.models import FastPitchModel

    from voice_pipeline.training.nemo.models import build_fastpitch
    from voice_pipeline.training.recipe import Recipe
    from voice_pipeline.voice import parse_strict

    frontend = TextFrontend.for_language("es-MX")
    tokenizer = tokenizer_config(frontend, tmp_path / "none.txt")
    build_fastpitch(parse_strict(Recipe, TINY), tokenizer).save_to(str(tmp_path / "fastpitch.nemo"))
    restored = FastPitchModel.restore_from(str(tmp_path / "fastpitch.nemo"), map_location="cpu")
    text = "¿Cuántos niños? ¡Veintidós, o 3.5!"
    assert tuple(restored.parse(frontend.normalise(text))[0].tolist()) == frontend.encode(text)
    assert restored.fastpitch.encoder.word_emb.num_embeddings == len(frontend.symbol_table)


@pytest.mark.nemo
@pytest.mark.slow
def test_a_nemo_file_carries_the_dictionary(
    phoneme_dict: Path, frontend: TextFrontend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dictionary's own file is gone, NLTK has no data, and the restored model still reads as we do."""
    pytest.importorskip("nemo.collections.tts", reason="needs the extra `nemo`", exc_type=ImportError)
    from nemo.collections.tts.models import FastPitchModel

    from voice_pipeline.training.nemo.models import build_fastpitch
    from voice_pipeline.training.recipe import Recipe
    from voice_pipeline.voice import parse_strict

    copy = tmp_path / "dictionary.txt"
    copy.write_bytes(phoneme_dict.read_bytes())
    build_fastpitch(parse_strict(Recipe, TINY), tokenizer_config(frontend, copy)).save_to(
        str(tmp_path / "fastpitch.nemo")
    )
    copy.unlink()
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nothing"))
    restored = FastPitchModel.restore_from(str(tmp_path / "fastpitch.nemo"), map_location="cpu")
    sentence = "It cost $23.50 in 1990, didn't it?"
    assert tuple(restored.parse(frontend.normalise(sentence))[0].tolist()) == frontend.encode(sentence)
