from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile

from voice_pipeline.recordings.dataset import page
from voice_pipeline.recordings.dataset.coverage import Sounds, inventory, plain
from voice_pipeline.store import Store
from voice_pipeline.text.symbols import SYMBOL_TABLE
from voice_pipeline_tests.recordings.dataset.prepared import Letters, Prepared, babble, prepared


class Page(HTMLParser):
    """Checks that tags are closed, and collects texts and sounds."""

    VOID = frozenset({"meta", "br", "rect", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.sounds: list[bytes] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.words += " " if tag in ("br", "td", "th", "li", "p") else ""
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert name not in ("onclick", "onerror", "href")
            if name == "src":
                assert value is not None
                assert value.startswith("data:audio/flac;base64,")
                self.sounds.append(base64.b64decode(value.partition(",")[2]))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words += data


def page_of(made: Prepared) -> Page:
    return Page(made.store.resolve(made.make().page).read_text(encoding="utf-8"))


def test_the_page_shows_what_a_person_needs(project: Path, store: Store) -> None:
    made = prepared(project, store, 6)
    made.gates.update(min_minutes=3.0, min_utterances=30)
    made.add("bad", "Some words.", snr_db=1.0, hypothesis="some swords", cer=0.1)
    shown = page_of(made)
    words = " ".join(shown.words.split())
    assert "6 utterances are kept, 0.2 minutes; 1 are rejected. It cannot be trained on yet." in words
    assert "2.8 more minutes of speech." in words
    assert "24 more utterances." in words
    assert "low_snr: 1" in words
    assert "speech is 1.0 dB above the noise; at least 12 dB are asked heard: some swords" in words
    assert shown.tags.count("svg") >= 5
    assert len(shown.sounds) == 7


def test_sounds_are_those_of_the_clips(project: Path, store: Store) -> None:
    made = prepared(project, store, 2)
    heard = [soundfile.read(io.BytesIO(sound), dtype="int16")[0] for sound in page_of(made).sounds]
    for name in ("u00", "u01"):
        assert any((samples == babble(name)).all() for samples in heard)


@pytest.mark.parametrize("where", ["text", "hypothesis", "source", "review", "name", "detail"])
def test_nothing_from_a_stranger_is_markup(project: Path, store: Store, where: str) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=\"alert('1')\">"
    made = prepared(project, store, 3)
    if where == "review":
        made.review(f"reject:\n  u01: {json.dumps(evil)}\n")
    elif where == "name":
        made = _named(made, evil)
    elif where == "detail":
        made.add("x", wav="", problem="audio_undecodable", detail=evil)
    elif where == "source":
        made.add("x", source=f"{evil}.wav", snr_db=1.0)
    else:
        made.add("x", snr_db=1.0, **({"text": evil} if where == "text" else {"hypothesis": evil, "cer": 0.1}))
    shown = page_of(made)
    assert "script" not in shown.tags
    assert "img" not in shown.tags
    if where != "source":  # not shown at all
        assert evil in shown.words


def _named(made: Prepared, name: str) -> Prepared:
    class Named(Prepared):
        @property
        def voice(self):  # type: ignore[no-untyped-def]
            return super().voice.model_copy(update={"display_name": name})

    return Named(**vars(made))


def test_the_page_needs_nothing_else(project: Path, store: Store) -> None:
    text = store.resolve(prepared(project, store, 3).make().page).read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)
    assert "<script" not in text


def test_the_sounds_have_a_limit(project: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_SOUND_BYTES", 150_000)
    made = prepared(project, store, 8)
    shown = page_of(made)
    assert 1 <= len(shown.sounds) < 8


def test_some_of_every_reason_is_shown(project: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_REJECTED", 4)
    made = prepared(project, store, 3)
    for number in range(6):
        made.add(f"n{number}", snr_db=1.0)
    made.add("z", speaker_similarity=0.1)
    words = " ".join(page_of(made).words.split())
    assert "like the voice's speaker" in words
    assert "and 3 more; dataset.parquet has them all." in words


# -- what to record next ---------------------------------------------------------------------------


def test_the_sounds_of_a_language() -> None:
    english = inventory(SYMBOL_TABLE)
    assert len(english) == 39
    assert {"AH", "ZH", "B"} <= english
    assert inventory(Letters.symbol_table) == frozenset("abcdefghijklmnopqrstuvwxyz")
    assert inventory(["<pad>", " ", "è", "a", "-"]) == frozenset("èa")
    assert (plain("AH0"), plain("B"), plain("a")) == ("AH", "B", "a")


def test_coverage_counts_sounds_and_pairs() -> None:
    sounds = Sounds(Letters())
    sounds.add("ab ba.")
    assert sounds.phones == {"a": 2, "b": 2}
    assert sounds.pairs == {("a", "b"): 1, ("b", "b"): 1, ("b", "a"): 1}
    assert sounds.coverage == pytest.approx(2 / 26)
    assert len(sounds.missing) == 24
    sounds.add("é")  # not a normalised text: covers nothing
    assert len(sounds.missing) == 24


def test_english_is_advised_with_words_and_sentences(project: Path, store: Store) -> None:
    from voice_pipeline.recordings import manifest
    from voice_pipeline.text.frontend import TextFrontend

    frontend = TextFrontend.for_language("en-US")
    made = prepared(project, store)
    for number in range(4):
        made.add(f"u{number}", "The cat sat on the mat.")
    made.add("r", "A vision of pleasure and measure.", snr_db=1.0)
    made.write()
    record = manifest.run(project, made.voice, store, frontend, *made.stages())
    assert "ZH" in record.figures.missing_phones
    words = " ".join(Page(store.resolve(record.page).read_text(encoding="utf-8")).words.split())
    assert "A vision of pleasure and measure." in words  # worth a second take
    assert "ZH never" in words
    assert re.search(r"ZH never [a-z]{4,7}, [a-z]{4,7}", words)
    assert "hardly any questions" in words
