"""Coverage and advice for a language that has letters and no lexicon."""

from __future__ import annotations

from voice_pipeline.recordings.dataset.advice import _lexicon
from voice_pipeline.recordings.dataset.coverage import Sounds
from voice_pipeline.text.frontend import TextFrontend

PANGRAM = "Pranzo d'acqua fa volti sghembi, però già così c'è più di metà: perché?"


def test_an_italian_text_with_every_italian_letter_covers_italian() -> None:
    frontend = TextFrontend.for_language("it-IT")
    sounds = Sounds(frontend)
    assert "".join(sorted(sounds.inventory)) == "abcdefghilmnopqrstuvzàèéìòù"
    sounds.add(frontend.normalise(PANGRAM))
    assert (sounds.missing, sounds.coverage) == ((), 1.0)
    assert sounds.phones["q"] == 1


def test_what_is_missing_are_letters_of_the_language() -> None:
    frontend = TextFrontend.for_language("it-IT")
    sounds = Sounds(frontend)
    sounds.add(frontend.normalise("Il jazz e il web."))
    assert "q" in sounds.missing
    assert not {"j", "k", "w", "x", "y", "î"} & set(sounds.missing)
    assert "j" not in sounds.phones


def test_there_is_no_lexicon_to_take_words_from() -> None:
    assert list(_lexicon(TextFrontend.for_language("es-MX"))) == []
