"""The ``text_tokenizer`` block of a NeMo FastPitch config whose ids are those of the text front end.

    tokenizer_config(TextFrontend.for_language("it-IT"), path)    # letters: a BaseCharsTokenizer, no file
    tokenizer_config(TextFrontend.for_language("en-US"), path)    # phones: an EnglishPhonemesTokenizer

English: NeMo's ``EnglishG2p`` downloads a dictionary unless it is given a file, so the block names one: the lexicon as
``TextFrontend.phoneme_dict_text`` writes it. NeMo packs that file into the ``.nemo`` archive, and a NeMo server
then needs nothing else. ``phoneme_probability`` stays unset: NeMo draws it from an unseeded generator.

Letters: NeMo's tokenizers for single languages have tables of their own (capitals, other punctuation), so the class
below them is given ours. It changes no text: a server is to send what ``TextFrontend.normalise`` answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voice_pipeline.atomic import write_text
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.text.spelling.language import SpelledLanguage

_TOKENIZERS = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers"
_G2P = "nemo.collections.tts.g2p.models.en_us_arpabet.EnglishG2p"


def tokenizer_config(frontend: TextFrontend, phoneme_dict: Path) -> dict[str, Any]:
    """The ``text_tokenizer`` block for NeMo 3.0.0. The model's input is padded with a space at both ends.

    ``phoneme_dict`` is where NeMo finds the lexicon in CMUdict's form; it is not named for a language read by letters.
    The vocabulary of English is that of NVIDIA's own recipe (stresses, letters, apostrophe, punctuation), so that
    a released checkpoint may serve as a base.
    """
    if isinstance(frontend.language, SpelledLanguage):
        return {
            "_target_": f"{_TOKENIZERS}.BaseCharsTokenizer",
            "chars": frontend.language.letters,
            "punct": True,
            "non_default_punct_list": list(frontend.language.marks),
            "apostrophe": True,
            "pad_with_space": True,
        }
    return {
        "_target_": f"{_TOKENIZERS}.EnglishPhonemesTokenizer",
        "punct": True,
        "stresses": True,
        "chars": True,
        "apostrophe": True,
        "pad_with_space": True,
        "g2p": {"_target_": _G2P, "phoneme_dict": str(phoneme_dict)},
    }


def write_phoneme_dict(frontend: TextFrontend, path: Path) -> None:
    """Write the lexicon to ``path`` for NeMo; nothing for a language that is read by letters."""
    text = frontend.phoneme_dict_text()
    if text is not None:
        write_text(path, text)
