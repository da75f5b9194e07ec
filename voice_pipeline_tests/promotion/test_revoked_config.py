from __future__ import annotations

import contextlib
import stat
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion import revoked_config
from voice_pipeline.promotion.revoked_config import edited, write_revoked
from voice_pipeline.voice import load_voice_by_id

DAY = date(2026, 6, 1)
CONFIG = """\
# Ada, recorded in May.
voice_profile_id: ada
display_name: "Ada: the \N{SNOWMAN}"
source:
  path: data/ada   # beside the project
consent:  # hers
  speaker_type: human
  speaker: Ada Example
  status: granted  # on paper
  commercial_use: true
  granted_on: 2026-01-31
  evidence: 'papers/status: granted.pdf'
gates: {}
"""


def test_two_fields_change_and_every_comment_stays() -> None:
    wanted = CONFIG.replace("  status: granted  #", "  revoked_on: 2026-06-01\n  status: revoked  #")
    assert edited(CONFIG, DAY) == wanted
    assert edited(wanted, date(2026, 7, 1)) == wanted  # the first day stays


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("status: granted  # on paper", "status: revoked", "revoked_on: 2026-06-01\n  status: revoked"),
        ("status: granted", 'status: "granted"', "revoked_on: 2026-06-01\n  status: revoked"),
        ("status: granted", "revoked_on: null\n  status: granted", "revoked_on: 2026-06-01\n  status: revoked"),
        ("status: granted", "revoked_on:\n  status: granted", "revoked_on: 2026-06-01\n  status: revoked"),
        ("status: granted", "revoked_on: 2026-05-01\n  status: granted", "revoked_on: 2026-05-01\n  status: revoked"),
        ("speaker_type: human", "speaker_type: synthetic", "revoked_on: 2026-06-01\n  status: revoked"),
    ],
)
def test_the_ways_to_write_it(old: str, new: str, wanted: str) -> None:
    assert wanted in edited(CONFIG.replace(old, new), DAY)


def test_braces_and_other_line_ends() -> None:
    one_line = "consent: {speaker: A, speaker_type: human, status: missing, commercial_use: false}\n"
    text = CONFIG[: CONFIG.index("consent:")] + one_line
    assert "status: revoked, revoked_on: 2026-06-01, commercial_use" in edited(text, DAY)
    windows = "\ufeff" + CONFIG.replace("\n", "\r\n")
    changed = edited(windows, DAY)
    assert changed.count("\r\n") == changed.count("\n") == windows.count("\n") + 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no consent"),
        ("- a", "no consent"),
        ("a: [", "cannot be parsed"),
        ("consent: granted", "no consent"),
        (CONFIG.replace("  status: granted  # on paper\n", ""), "does not spell out status"),
        (CONFIG.replace("display_name", "name"), "would be no voice"),
        ("x: &x\n  status: granted\n" + CONFIG.replace("status: granted  #", "<<: *x  #"), "does not spell out"),
        ("x: &x granted\n" + CONFIG.replace("status: granted", "status: *x"), "cannot be parsed|would be no voice"),
        (CONFIG.replace("status: granted", "? status\n  : granted", 1), "cannot be parsed|would be no voice"),
    ],
)
def test_what_cannot_be_edited_for_certain_is_left(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        edited(text, DAY)


values: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.dates(), st.sampled_from(["granted", "status: granted", "a # b", "é\n"])
)
styles = st.sampled_from([None, True, False])


@settings(deadline=None)
@given(extra=st.dictionaries(st.sampled_from(["evidence", "how", "revoked_on", "zz", "a"]), values), flow=styles)
def test_an_edit_is_exact_or_is_not_made(extra: dict[str, Any], flow: bool | None) -> None:
    before = yaml.safe_load(CONFIG)
    before["consent"] |= extra
    text = yaml.safe_dump(before, default_flow_style=flow, allow_unicode=True)
    try:
        after = yaml.safe_load(edited(text, DAY))
    except ValueError:
        return
    day = extra.get("revoked_on") or DAY
    assert after == {**before, "consent": {**before["consent"], "status": "revoked", "revoked_on": day}}


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_edited_or_refused(text: str) -> None:
    for whole in (text, CONFIG + text, text + CONFIG):
        with contextlib.suppress(ValueError):
            assert yaml.safe_load(edited(whole, DAY))["consent"]["status"] == "revoked"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    config = tmp_path / "configs/voices/ada.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_the_file_is_written_with_its_mode(project: Path) -> None:
    config = project / "configs/voices/ada.yaml"
    config.chmod(0o640)
    assert write_revoked(project, "ada", DAY) is None
    voice = load_voice_by_id(project, "ada")
    assert (voice.consent.status, voice.consent.revoked_on) == ("revoked", DAY)
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    before = config.stat()
    assert write_revoked(project, "ada", DAY) is None
    assert config.stat().st_ino == before.st_ino


def test_a_linked_config_stays_a_link(project: Path) -> None:
    config = project / "configs/voices/ada.yaml"
    config.rename(project / "ada.yaml")
    config.symlink_to("../../ada.yaml")
    assert write_revoked(project, "ada", DAY) is None
    assert config.is_symlink()
    assert load_voice_by_id(project, "ada").consent.status == "revoked"


def test_what_is_left_to_do_is_said(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = project / "configs/voices/ada.yaml"
    config.write_text("a: [")
    left = str(write_revoked(project, "ada", DAY))
    assert left.startswith("set consent.status: revoked and consent.revoked_on: 2026-06-01 in configs/voices/ada.yaml")
    assert config.read_text() == "a: ["
    config.write_bytes(b"\xff")
    assert "set consent.status" in str(write_revoked(project, "ada", DAY))
    config.unlink()
    assert "is gone" in str(write_revoked(project, "ada", DAY))
    outside = tmp_path_factory.mktemp("outside") / "ada.yaml"
    outside.write_text(CONFIG)
    config.symlink_to(outside)
    assert "leaves" in str(write_revoked(project, "ada", DAY))
    assert outside.read_text() == CONFIG


def test_a_config_that_may_not_be_written_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, data: bytes) -> None:
        raise VoiceFailure("permission_denied", "Read-only file system", file=path)

    monkeypatch.setattr(revoked_config, "write_bytes", refused)
    assert str(write_revoked(project, "ada", DAY)).endswith("ada.yaml: permission_denied")
