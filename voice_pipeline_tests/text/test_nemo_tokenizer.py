"""Our ids are NeMo's ids: of each symbol, and of whole sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.text.nemo_tokenizer import VOCABULARY_SIZE, tokenizer_config
from voice_pipeline.text.symbols import OOV, PAD, SYMBOL_IDS, SYMBOL_TABLE

DICTIONARY = "HELLO  HH AH0 L OW1\nWORLD  W ER1 L D\nDON'T  D OW1 N T\n"


def nemo_tokenizer(phoneme_dict: Path) -> Any:
    pytest.importorskip("nemo.collections.tts", reason="needs the extra `nemo`", exc_type=ImportError)
    from nemo.core.classes.common import safe_instantiate
    from omegaconf import OmegaConf

    return safe_instantiate(OmegaConf.create(tokenizer_config(str(phoneme_dict))))


def test_every_symbol_is_there_once() -> None:
    assert len(set(SYMBOL_TABLE)) == len(SYMBOL_TABLE) == VOCABULARY_SIZE == 114


@pytest.mark.nemo
@pytest.mark.slow
def test_symbol_table_is_nemos(tmp_path: Path) -> None:
    dictionary = tmp_path / "phoneme_dict.txt"
    dictionary.write_text(DICTIONARY, encoding="latin-1")
    tokenizer = nemo_tokenizer(dictionary)
    assert tuple(tokenizer.tokens) == SYMBOL_TABLE
    assert tokenizer.pad == SYMBOL_IDS[PAD]
    assert tokenizer.oov == SYMBOL_IDS[OOV]
    assert tokenizer.space == SYMBOL_IDS[" "]
    spoken = [" ", "HH", "AH0", "L", "OW1", ",", " ", "D", "OW1", "N", "T", "!", " "]
    assert tokenizer.encode("hello, don't!") == [SYMBOL_IDS[symbol] for symbol in spoken]
