from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from voice_pipeline.failures import ConfigError
from voice_pipeline.project import find_project, voice_ids
from voice_pipeline.voice import load_voice, load_voice_by_id

PROJECT = Path(__file__).parents[1]
VALID = {
    "voice_profile_id": "ada",
    "display_name": "Ada",
    "source": {"path": "data/ada"},
    "consent": {"speaker_type": "synthetic", "speaker": "a program", "status": "not_applicable"},
}


def write(folder: Path, **changes: object) -> Path:
    path = folder / "configs/voices/ada.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**VALID, **changes}))
    return path


def test_the_shipped_voices_load() -> None:
    assert {"dottie_default", "sample_speaker"} <= set(voice_ids(PROJECT))
    for voice in voice_ids(PROJECT):
        assert load_voice_by_id(PROJECT, voice).voice_profile_id == voice
    dottie = load_voice_by_id(PROJECT, "dottie_default")
    assert dottie.display_name == "Auntie Dottie"
    assert dottie.source.path == Path("data/knowledge_audio_source/auntie_dottie.flac")


def test_a_voice_has_safe_defaults(tmp_path: Path) -> None:
    voice = load_voice(write(tmp_path))
    assert voice.source.min_bytes == 5_000_000
    assert voice.job_type == "tts_prod_train_nemo"
    assert not voice.consent.commercial_use


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"display_name": ""}, "display_name"),
        ({"lane": "fast"}, "lane"),
        ({"source": {}}, "source.path"),
        ({"source": {"path": "x", "min_bytes": 0}}, "source.min_bytes"),
        ({"source": {"path": "x", "kind": "tape"}}, "source.kind"),
        ({"recipe": "../../etc/passwd"}, "recipe"),
        ({"language": "English"}, "language"),
        ({"seed": -1}, "seed"),
        ({"consent": {"speaker_type": "human", "speaker": "A", "status": "granted"}}, "consent"),
        ({"consent": {"speaker_type": "human", "speaker": "A", "status": "not_applicable"}}, "consent"),
        ({"voice_profile_id": "../ada"}, "voice_profile_id"),
        ({"voice_profile_id": "bob"}, "voice_profile_id"),
        ({"gates": {"max_wer": "high"}}, "gates.max_wer"),
    ],
)
def test_an_error_names_the_file_and_the_field(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ConfigError) as caught:
        load_voice(path)
    assert str(path) in str(caught.value)
    assert field in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "!!python/object/apply:os.system ['true']", "\xff"])
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"ada\.yaml"):
        load_voice(path)


def test_an_unknown_voice_names_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ConfigError, match="voices: ada"):
        load_voice_by_id(tmp_path, "eve")


def test_the_project_is_found_from_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICE_PROJECT", raising=False)
    write(tmp_path)
    (tmp_path / "deep/down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep/down")
    assert find_project() == tmp_path
    monkeypatch.setenv("VOICE_PROJECT", str(tmp_path / "deep"))
    with pytest.raises(ConfigError, match="VOICE_PROJECT"):
        find_project()
