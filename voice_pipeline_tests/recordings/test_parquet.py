from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import parquet, preflight
from voice_pipeline.recordings.decoding import open_audio
from voice_pipeline.recordings.source import read_from
from voice_pipeline.store import Store
from voice_pipeline_tests.recordings.material import found, tone, voice, write


def encoded(form: str, hertz: float = 200.0) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, tone(0.5, hertz=hertz), 22_050, format=form)
    return stream.getvalue()


def table(path: Path, row_group_size: int = 2, **columns: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=row_group_size)
    return path


def test_rows_are_clips(project: Path, store: Store) -> None:
    audio = [
        {"bytes": encoded("WAV", 100), "path": "a.wav"},
        {"bytes": encoded("MP3", 200), "path": "b.mp3"},
        {"bytes": b"", "path": None},
        {"bytes": b"This is no audio.", "path": "d.wav"},
        {"bytes": None, "path": None},
        {"bytes": encoded("FLAC", 300), "path": None},
    ]
    path = table(
        project / "source" / "data" / "train.parquet", audio=audio, id=["x", "y", "z", "v", "w", "x/1"],
        sentence=["One.", " Two. ", "Three.", "Four.", "Five.", None],
    )  # fmt: skip
    rows, text = found(project, store)
    assert text.kind == "column"
    assert {name: row.problem for name, row in rows.items()} == {
        "data/train.parquet#000000": None,
        "data/train.parquet#000001": None,
        "data/train.parquet#000002": "audio_undecodable",
        "data/train.parquet#000003": "audio_undecodable",
        "data/train.parquet#000004": "audio_undecodable",
        "data/train.parquet#000005": None,
    }
    assert rows["data/train.parquet#000003"].detail == "is a text file, no audio, whatever its name says"
    first = text.clips["data/train.parquet#000000"]
    assert (first.utterance_id, first.text) == ("x", "One.")
    assert text.clips["data/train.parquet#000001"].text == "Two."
    assert text.problems["data/train.parquet#000005"].reason == "transcript_missing"
    for number in (0, 1, 5):
        with open_audio(read_from(store, path.parent, rows[f"data/train.parquet#{number:06d}"])) as opened:
            assert sum(len(block) for block in opened.blocks()) >= 0.5 * 22_050


def test_paths_in_a_table(project: Path, store: Store) -> None:
    folder = project / "source"
    write(folder / "wavs" / "a.wav", tone(0.5))
    soundfile.write(folder / "wavs" / "b.ogg", tone(0.5), 22_050, format="OGG")
    write(project / "secret.wav", tone(0.5))
    names = ["wavs/a.wav", "wavs/b.ogg", "../secret.wav", "wavs/gone.wav", str(project / "secret.wav")]
    table(folder / "clips.parquet", audio=names, text=["One.", "Two.", "Three.", "Four.", "Five."])
    rows, text = found(project, store)
    assert [row.problem for row in rows.values()] == [None, None, *["missing_audio_path"] * 3]
    assert text.clips["clips.parquet#000000"].text == "One."
    assert text.clips["clips.parquet#000000"].utterance_id == "clips-000000"
    with open_audio(read_from(store, folder, rows["clips.parquet#000001"])) as opened:
        assert opened.sample_rate == 22_050


def test_a_single_table_is_a_source(project: Path, store: Store) -> None:
    table(project / "a.parquet", audio=[{"bytes": encoded("WAV"), "path": None}] * 3, text=["One.", "Two.", "Three."])
    rows, text = found(project, store, voice("a.parquet"))
    assert list(rows) == [f"a.parquet#{number:06d}" for number in range(3)]
    assert len(text.clips) == 3


def test_audio_is_taken_out_once(project: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    table(project / "source" / "a.parquet", audio=[{"bytes": encoded("WAV"), "path": None}], text=["One."])
    rows, _ = found(project, store)
    record = preflight.read_record(store, "v")
    monkeypatch.setattr(parquet, "open_table", None)
    store.record("v", preflight.STAGE).unlink()
    assert preflight.run(project, voice(), store) == record
    monkeypatch.undo()
    stored = read_from(store, project / "source", rows["a.parquet#000000"])
    data = stored.read_bytes()
    for spoil in (stored.unlink, lambda: stored.write_bytes(b"x")):
        spoil()
        store.record("v", preflight.STAGE).unlink()
        assert preflight.run(project, voice(), store) == record
        assert stored.read_bytes() == data


@pytest.mark.parametrize(
    ("columns", "words"),
    [({"text": ["One."]}, "has no column of audio"), ({"audio": [1.5]}, "has no column of audio")],
)
def test_a_table_without_audio(project: Path, store: Store, columns: dict[str, list[Any]], words: str) -> None:
    table(project / "source" / "a.parquet", **columns)
    with pytest.raises(VoiceFailure) as caught:
        preflight.run(project, voice(source={"min_bytes": 1}), store)
    assert (caught.value.reason, caught.value.file) == ("audio_undecodable", "source/a.parquet")
    assert words in caught.value.detail


def test_a_table_without_text_says_what_it_needs(project: Path, store: Store) -> None:
    table(project / "source" / "a.parquet", audio=[{"bytes": encoded("WAV"), "path": None}], label=[1])
    with pytest.raises(VoiceFailure, match="has no column of text; one of text, sentence"):
        found(project, store)
    assert not found(project, store, voice(source={"text": "none"}))[1].clips


def test_a_broken_table_is_a_row_with_its_problem(project: Path, store: Store) -> None:
    whole = table(project / "source" / "a.parquet", audio=[{"bytes": encoded("WAV"), "path": None}], text=["One."])
    (project / "source" / "b.parquet").write_bytes(whole.read_bytes()[:2_000])
    rows, text = found(project, store)
    assert rows["b.parquet"].problem == "audio_undecodable"
    assert "is no Parquet table that can be read" in rows["b.parquet"].detail
    assert list(text.clips) == ["a.parquet#000000"]


def test_speakers_are_said(project: Path, store: Store) -> None:
    audio = [{"bytes": encoded("WAV", hertz), "path": None} for hertz in (100, 200)]
    table(project / "source" / "a.parquet", audio=audio, text=["One.", "Two."], speaker_id=[7, 9])
    assert found(project, store)[1].notes == ("the text names 2 speakers (7, 9); a voice has one",)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_table_is_rows_or_one_clear_error(tmp_path: Path, data: st.DataObject) -> None:
    path = table(tmp_path / "a.parquet", audio=[{"bytes": b"RIFF" * 50, "path": "x"}] * 4, text=["One."] * 4)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        with parquet.open_table(path) as opened:
            assert all(isinstance(values, dict) for _, values in opened.rows([opened.audio_column], batch=2))
    except parquet.TableProblem as error:
        assert "\n" not in str(error)


def test_many_rows_are_streamed(tmp_path: Path, store: Store) -> None:
    noise = np.random.default_rng(0).bytes(200_000)
    path = table(tmp_path / "a.parquet", 4, audio=[{"bytes": noise + bytes([n]), "path": None} for n in range(40)])
    rows = parquet.extract(store, path, "0" * 64)
    assert [row.number for row in rows] == list(range(40))
    assert len({row.sha256 for row in rows}) == 40
