"""The ``text_tokenizer`` block of a NeMo FastPitch config whose ids are those of ``symbols.SYMBOL_TABLE``.

NeMo's ``EnglishG2p`` downloads a dictionary unless it is given a file, so the block names one: the lexicon as
``TextFrontend.phoneme_dict_text`` writes it. NeMo packs that file into the ``.nemo`` archive, and a NeMo server
then needs nothing else. ``phoneme_probability`` stays unset: NeMo draws it from an unseeded generator.
"""

from __future__ import annotations

from typing import Any

from voice_pipeline.text.symbols import SYMBOL_TABLE

VOCABULARY_SIZE = len(SYMBOL_TABLE)

_TOKENIZER = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers.EnglishPhonemesTokenizer"
_G2P = "nemo.collections.tts.g2p.models.en_us_arpabet.EnglishG2p"


def tokenizer_config(phoneme_dict_path: str) -> dict[str, Any]:
    """The ``text_tokenizer`` block for NeMo 3.0.0; ``phoneme_dict_path`` is a file in CMUdict form.

    The vocabulary is that of NVIDIA's own English recipe (stresses, letters, apostrophe, punctuation), so that
    a released checkpoint may serve as a base. The model's input is padded with a space at both ends.
    """
    return {
        "_target_": _TOKENIZER,
        "punct": True,
        "stresses": True,
        "chars": True,
        "apostrophe": True,
        "pad_with_space": True,
        "g2p": {"_target_": _G2P, "phoneme_dict": phoneme_dict_path},
    }
