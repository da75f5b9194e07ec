"""A verification of a real store: what it answers, what it writes, and what it cannot be told."""

from __future__ import annotations

import json
import math
import multiprocessing
import re
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH
from voice_pipeline.promotion import certificate, verification
from voice_pipeline.promotion.entries import Entry, append
from voice_pipeline.promotion.verification import Verification, verify
from voice_pipeline.store import Store
from voice_pipeline_tests.promotion.test_trace import lines
from voice_pipeline_tests.ready_voice import CHECKED, CONFIG, NAME, TODAY, ReadyVoice, date_status, edit_json

pytestmark = pytest.mark.evaluation


@pytest.fixture
def voice(ready_voice: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return ready_voice.copy(tmp_path / "project")


def verified(voice: ReadyVoice, bundle: Path | None = None, **options: Any) -> Verification:
    return verify(voice.project, voice.voice, voice.store, bundle, **{"today": TODAY, **options})


def stored(voice: ReadyVoice, name: str) -> bytes:
    return (voice.store.verification(NAME) / name).read_bytes()


def test_a_good_voice_passes(voice: ReadyVoice) -> None:
    found = verified(voice, trace_id="adapter:42")
    result = found.result
    assert found.go
    assert (result["verdict"], result["pass"], result["firstFail"], result["deltas"]) == ("PASS", True, None, [])
    assert (result["traceId"], result["runId"]) == ("adapter:42", "1")
    assert result["artifacts"] == [{"kind": "training-trace-export", "ref": "/api/agi/training-trace/export"}]
    said = result["certificate"]
    assert (said["status"], said["integrityOk"]) == ("GREEN", True)
    assert re.fullmatch("[0-9a-f]{64}", said["certificateHash"])
    assert said["certificateId"] == f"constraint-pack:voice-promotion:{said['certificateHash'][:12]}"
    assert read_json(voice.store.verification(NAME) / "result.json") == result
    assert read_json(voice.store.verification(NAME) / "certificate.json") == found.certificate.to_json()
    assert certificate.certificate_hash(found.certificate.to_json()) == said["certificateHash"]


def test_its_line_in_the_trace(voice: ReadyVoice) -> None:
    result = verified(voice, source="tests").result
    (line,) = lines(voice.store)
    assert set(line) == {
        "kind", "version", "id", "seq", "ts", "traceId", "source", "signal", "pass", "deltas", "metrics", "certificate",
        "voice_profile_id",
    }  # fmt: skip
    assert (line["kind"], line["version"], line["seq"], line["source"]) == ("training-trace", 1, 1, "tests")
    assert line["signal"] == {
        "kind": "constraint-pack",
        "proxy": False,
        "ladder": {"tier": "certified", "policy": "voice-promotion", "policyVersion": "1"},
    }
    assert (line["pass"], line["certificate"], line["traceId"]) == (True, result["certificate"], result["traceId"])
    assert line["traceId"].startswith("adapter:")
    assert line["metrics"]["wer"] == 0.0


def test_a_bad_voice_fails_and_is_traced_too(voice: ReadyVoice) -> None:
    verified(voice)
    voice.evaluate(wrong_words=3)
    found = verified(voice)
    assert not found.go
    assert found.result["verdict"] == "FAIL"
    assert found.result["certificate"]["status"] == "RED"
    assert found.result["certificate"]["integrityOk"] is True
    first = found.result["firstFail"]
    assert (first["id"], first["severity"], first["status"], first["limit"]) == (
        "quality.max_wer",
        "HARD",
        "fail",
        0.15,
    )
    assert first["value"] == found.decision.evidence.figures()["wer"]
    good, bad = lines(voice.store)
    assert (bad["seq"], bad["pass"], bad["firstFail"]) == (2, False, first)
    assert bad["signal"]["ladder"]["tier"] == "diagnostic"
    assert bad["certificate"]["certificateHash"] != good["certificate"]["certificateHash"]


def test_what_changed_since_the_last_verification(voice: ReadyVoice) -> None:
    assert verified(voice).result["deltas"] == []
    assert verified(voice).result["deltas"] == []
    voice.evaluate(wrong_words=3)
    deltas = {delta["key"]: delta for delta in verified(voice).result["deltas"]}
    wer = deltas["wer"]
    assert wer["from"] == 0.0
    assert wer["to"] == wer["delta"] > 0.2
    assert "words" not in deltas
    assert "real_time_factor" not in deltas


def test_a_voice_without_anything_fails_with_all_reasons(voice: ReadyVoice, tmp_path: Path) -> None:
    empty = Store(tmp_path / "empty")
    found = verify(voice.project, voice.voice, empty, today=TODAY)
    assert not found.go
    assert {one.status for one in found.constraints if one.id.startswith("quality")} == {"unknown"}
    assert found.certificate.integrity_ok  # that nothing is there is what was certified
    assert len(lines(empty)) == 1


def test_the_same_evidence_gives_the_same_bytes_anywhere_and_on_any_day(voice: ReadyVoice, tmp_path: Path) -> None:
    other = voice.copy(tmp_path / "elsewhere")
    verified(voice)
    verified(other)
    verified(other, today=date(2026, 12, 31))
    assert stored(voice, "evidence.json") == stored(other, "evidence.json")
    assert stored(voice, "certificate.json") == stored(other, "certificate.json")


def test_a_copy_of_the_bundle_is_verified_as_the_bundle(voice: ReadyVoice, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(voice.bundle, tmp_path / "copy")
    first = verified(voice).certificate
    assert verified(voice, tmp_path / "copy").certificate == first
    (tmp_path / "copy/extra").write_text("x")
    assert not verified(voice, tmp_path / "copy").go
    assert verified(voice).go


# -- integrity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["bundle", "store", "evidence"])
def test_what_changes_while_it_is_verified_is_not_certified(
    voice: ReadyVoice, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    real = verification.write_json
    evidence = voice.store.verification(NAME) / "evidence.json"

    def hasty(path: Path, value: Any) -> None:
        real(path, value)
        if path == evidence:
            target = {"bundle": voice.bundle / "sample.wav", "store": voice.work_dir / "hifigan.nemo"}.get(what)
            if target is not None:
                data = target.read_bytes()
                target.unlink()
                target.write_bytes(data[::-1])
            else:
                evidence.write_text(evidence.read_text().replace('"status": "pass"', '"status": "fail"', 1))

    monkeypatch.setattr(verification, "write_json", hasty)
    found = verified(voice)
    assert not found.go
    assert not found.decision.go
    assert (found.certificate.status, found.certificate.integrity_ok) == ("RED", False)
    assert found.result["firstFail"]["id"] == "evidence.integrity"
    wanted = {"bundle": "voice_bundle/sample.wav changed", "store": "hifigan.nemo changed", "evidence": "another hash"}
    assert any(wanted[what] in blocker for blocker in found.result["blockers"])


def test_edited_times_are_no_evidence(voice: ReadyVoice) -> None:
    record = voice.store.record(NAME, "voice_evaluation")
    timing = read_json(record)["timing"]
    edit_json(record, timing={**timing, "real_time_factor": timing["real_time_factor"] + 0.1})
    assert "real-time factor does not follow" in blockers(voice)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("nemo_checkpoint", "fastpitch", 5),
        ("nemo_checkpoint", "work_dir", None),
        ("nemo_checkpoint", "loss", "0.5"),
        ("nemo_checkpoint", "loss", math.nan),
        ("nemo_checkpoint", "recipe", math.inf),
        ("voice_bundle", "content_digest", math.inf),
        ("train_status", "checkpoint_sha256", 5),
        ("train_status", "job_type", []),
        ("train_status", "loss", "0.5"),
        ("train_status", "loss", math.inf),
        ("train_status", "timestamp", None),
        ("train_status", "timestamp", 1e300),
        ("evaluation", "voice_profile_id", "../../x"),
    ],
)
def test_wrong_types_in_evidence_are_a_no_and_no_crash(voice: ReadyVoice, file: str, key: str, value: Any) -> None:
    paths = {
        "train_status": voice.store.train_status(NAME, voice.voice.job_type),
        "evaluation": voice.bundle / "evaluation.json",
    }
    path = paths.get(file, voice.store.record(NAME, file))
    content = {**read_json(path), key: value}
    path.unlink()
    path.write_text(json.dumps(content))
    assert not verified(voice).go


# -- the clock -----------------------------------------------------------------------------------------


def blockers(voice: ReadyVoice) -> str:
    found = verified(voice)
    assert not found.go
    return "\n".join(found.result["blockers"])


def test_a_clock_before_the_training_is_set_back(voice: ReadyVoice) -> None:
    date_status(voice, datetime(2026, 9, 9, tzinfo=UTC))
    told = blockers(voice)
    assert "verification_failed: the clock says 2026-06-01, but its training's status is of 2026-09-09" in told


def test_a_clock_before_the_last_promotion_is_set_back(voice: ReadyVoice) -> None:
    entry = Entry(
        seq=1, action="withdraw", release=None, at="2026-09-09T00:00:00Z", by="dora", reason=None, previous=None
    )  # fmt: skip
    append(voice.store.promotions(NAME), NAME, entry)
    assert "its last promotion's entry, withdraw is of 2026-09-09" in blockers(voice)


def test_a_damaged_registry_leaves_the_clock_unknown(voice: ReadyVoice) -> None:
    voice.store.promotions(NAME).write_text("{}\n")
    found = {one.id: one for one in verified(voice).constraints}["clock.not_set_back"]
    assert found.status == "unknown"


def test_a_clock_before_the_licences_were_checked_is_set_back(voice: ReadyVoice) -> None:
    path = voice.project / ALLOWLIST_PATH
    path.write_text(path.read_text().replace(str(CHECKED), "2026-09-09"))
    assert "the allowlist's latest check of a licence is of 2026-09-09" in blockers(voice)


def test_a_clock_before_the_consent_is_set_back(voice: ReadyVoice) -> None:
    voice.configure(consent={**CONFIG["consent"], "granted_on": "2026-09-09"})
    assert "its speaker's consent is of 2026-09-09" in blockers(voice)


# -- what a client says --------------------------------------------------------------------------------


def test_right_claims_change_nothing(voice: ReadyVoice) -> None:
    plain = verified(voice)
    given = {"wer": 0, "words": plain.decision.evidence.figures()["words"], "loss": 0.5000000001}
    told = verified(voice, given=given)
    assert told.go
    assert told.certificate == plain.certificate
    assert told.result["notes"] == []


@pytest.mark.parametrize(
    "claim", [{"wer": 0.2}, {"wer": True}, {"words": "209"}, {"loss": None}, {"wer": float("nan")}]
)
def test_a_claim_that_contradicts_fails(voice: ReadyVoice, claim: dict[str, Any]) -> None:
    found = verified(voice, given=claim)
    assert not found.go
    assert found.result["firstFail"]["id"] == "metrics.match"
    assert any("the client says" in blocker for blocker in found.result["blockers"])


def test_a_client_cannot_replace_bad_evidence(voice: ReadyVoice) -> None:
    voice.evaluate(wrong_words=3)
    found = verified(voice, given={"wer": 0.0})
    failed = {one.id for one in found.constraints if one.blocks}
    assert {"metrics.match", "quality.max_wer"} <= failed


def test_unknown_figures_are_noted_and_not_believed(voice: ReadyVoice) -> None:
    found = verified(voice, given={"mos": 5.0, **{f"x{n:03}": 1 for n in range(100)}})
    assert found.go
    assert "not a figure of the evidence, and not looked at: mos" in found.result["notes"]
    assert len(found.result["notes"]) <= 20
    assert lines(voice.store)[0]["notes"] == found.result["notes"]


# -- at once -------------------------------------------------------------------------------------------


def one_more(project: Path, count: int) -> None:
    for _ in range(count):
        assert verified(ReadyVoice(project)).go


def test_several_at_once_are_all_traced(voice: ReadyVoice) -> None:
    process = multiprocessing.get_context("spawn").Process(target=one_more, args=(voice.project, 2))
    threads = [threading.Thread(target=one_more, args=(voice.project, 1)) for _ in range(2)]
    for one in (process, *threads):
        one.start()
    for one in (process, *threads):
        one.join()
    assert process.exitcode == 0
    found = lines(voice.store)
    assert [line["seq"] for line in found] == list(range(1, 5))
    assert len({line["certificate"]["certificateHash"] for line in found}) == 1
    assert len({line["traceId"] for line in found}) == 4
    assert lines(voice.store, 1) == found[-1:]
