"""The rules of consent as a table: what a person said, and whether a voice may be trained and shipped on it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline import consent
from voice_pipeline.atomic import write_json
from voice_pipeline.consent import Mark, Revocation
from voice_pipeline.store import Store
from voice_pipeline.voice import Consent, Voice
from voice_pipeline_tests.conftest import PROJECT

TODAY = date(2026, 6, 1)
PAPER = "I agree."
DIGEST = hashlib.sha256(PAPER.encode()).hexdigest()
OTHER = "b" * 64
PERSON: dict[str, Any] = {
    "speaker_type": "human",
    "speaker": "A. Person",
    "status": "granted",
    "commercial_use": True,
    "purposes": ["text_to_speech"],
    "territories": ["worldwide"],
    "granted_on": "2026-01-01",
    "expires_on": "2027-01-01",
    "how": "signed on paper",
    "evidence": "consent.txt",
    "evidence_sha256": DIGEST,
}
PROGRAM: dict[str, Any] = {
    "speaker_type": "synthetic",
    "speaker": "a program",
    "status": "not_applicable",
    "commercial_use": True,
}


def voice(changes: dict[str, Any] | None = None, base: dict[str, Any] = PERSON, **more: Any) -> Voice:
    said = {**base, **(changes or {})}
    return Voice.model_validate(
        {"voice_profile_id": "ada", "display_name": "Ada", "source": {"path": "x"}, "consent": said, **more}
    )


def found(one: Voice, revocation: Revocation | None = None, today: date = TODAY) -> str | None:
    return consent.problem(one, today, project=None, revocation=revocation)


def mark(day: str = "2026-05-01", *digests: str, known: bool = True) -> Revocation:
    one = {"schema": "voice_revocation/1", "voice_profile_id": "ada", "revoked_on": day, "at": f"{day}T00:00:00Z"}
    more = {"by": "x", "reason": "x", "evidence_known": known, "evidence_sha256": list(digests)}
    return Revocation(Mark.model_validate_json(json.dumps({**one, **more})))


# fmt: off
CASES: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    # what the consent says          what the voice says            what is wrong
    ({},                                          {}, None),
    ({"expires_on": None},                        {}, None),
    ({"how": None},                               {}, None),
    ({"speaker": "S. Peaker", "pseudonymous": True}, {}, None),
    # status and dates
    ({"status": "missing"},                       {}, "no consent of A. Person"),
    ({"status": "revoked"},                       {}, "A. Person has revoked"),
    ({"revoked_on": "2026-06-01"},                {}, "has revoked the consent on 2026-06-01"),
    ({"revoked_on": "2026-06-02"},                {}, None),  # from tomorrow on
    ({"granted_on": "2026-06-01"},                {}, None),  # the first day
    ({"granted_on": "2026-06-02"},                {}, "begins on 2026-06-02, which is not yet"),
    ({"expires_on": "2026-06-01"},                {}, None),  # the last day
    ({"expires_on": "2026-05-31"},                {}, "expired on 2026-05-31"),
    # evidence
    ({"evidence_sha256": None},                   {}, "add the sha256"),
    ({"evidence_sha256": hashlib.sha256(b"").hexdigest()}, {}, "empty file"),
    # purposes
    ({"commercial_use": False},                   {}, "commercial use"),
    ({"purposes": []},                            {}, "names no purposes"),
    ({"purposes": ["singing"]},                   {}, "covers singing, not text_to_speech"),
    ({"purposes": ["singing", "text_to_speech"]}, {}, None),
    # languages
    ({"languages": []},                           {"language": "de-DE"}, None),  # the one of the recordings
    ({"languages": ["en-US"]},                    {}, None),
    ({"languages": ["de-DE", "en"]},              {}, None),  # all of English
    ({"languages": ["en-GB"]},                    {}, "covers the languages en-GB, not en-US"),
    ({"languages": ["en-US"]},                    {"language": "en"}, "not en"),
    ({"languages": ["de"]},                       {}, "not en-US"),
    ({"languages": ["en"]},                       {"language": "enm"}, "not enm"),
    # territories
    ({"territories": []},                         {}, "names no territories"),
    ({"territories": ["DE", "AT"]},               {}, "covers DE, AT, but the voice's distribution names worldwide"),
    ({"territories": ["DE", "AT"]},               {"distribution": ["AT"]}, None),
    ({"territories": ["DE", "AT"]},               {"distribution": ["AT", "CH", "LI"]}, "distribution names CH, LI"),
    ({},                                          {"distribution": ["US"]}, None),
]
# fmt: on


@pytest.mark.parametrize(("said", "wanted", "told"), CASES)
def test_what_a_person_agreed_to(said: dict[str, Any], wanted: dict[str, Any], told: str | None) -> None:
    one = voice(said, **wanted)
    problem = found(one)
    assert (problem is None) == (told is None), problem
    assert told is None or told in str(problem)
    # A server that knows the bundle's record only comes to the same decision.
    assert (consent.record_problem(consent.public_record(one), TODAY) is None) == (told is None)


def test_all_that_is_missing_is_said_at_once() -> None:
    problem = str(found(voice({"purposes": [], "territories": [], "evidence_sha256": None, "commercial_use": False})))
    for field in ("purposes", "territories", "evidence_sha256", "commercial use"):
        assert field in problem


def test_a_synthetic_speaker_has_nobody_to_ask() -> None:
    assert found(voice(base=PROGRAM)) is None
    assert "its licence allows commercial use" in str(found(voice({"commercial_use": False}, PROGRAM)))
    assert consent.public_record(voice(base=PROGRAM))["synthetic"] is True


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "not_applicable"},  # a person cannot be declared to be nobody
        {"speaker_type": "synthetic"},  # and a program cannot agree
        {"evidence_sha256": "abc"},
        {"territories": ["UK"]},
        {"territories": ["worldwide", "DE"]},
        {"territories": [False]},  # YAML's NO
        {"languages": ["English"]},
        {"purposes": ["Text to speech"]},
        {"how": ""},
    ],
)
def test_what_is_no_consent_record(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"consent(\.{next(iter(changes))})?"):
        voice(changes)


def test_norway_in_yaml_is_explained() -> None:
    with pytest.raises(ValueError, match='write "NO" for Norway'):
        voice({"territories": [False]})
    with pytest.raises(ValueError, match="the United Kingdom is GB"):
        voice(distribution=["UK"])
    with pytest.raises(ValueError, match="distribution"):
        voice(distribution=[])


# -- evidence --------------------------------------------------------------------------------------


def judged(project: Path, **changes: Any) -> str | None:
    return consent.problem(voice(changes), TODAY, project=project, revocation=None)


def test_the_evidence_is_compared_where_it_can_be_looked_at(tmp_path: Path) -> None:
    paper = tmp_path / "papers/consent.txt"
    paper.parent.mkdir()
    paper.write_text(PAPER)
    assert judged(tmp_path, evidence="papers/consent.txt") is None
    assert judged(tmp_path / "elsewhere", evidence=str(paper)) is None
    paper.write_text(PAPER + " For ever.")
    for evidence in ("papers/consent.txt", str(paper)):
        assert "put the signed file back" in str(judged(tmp_path, evidence=evidence))


@pytest.mark.parametrize("evidence", ["drawer 3: top", "../outside.txt", "/nowhere/consent.pdf", "x" * 5000, "a\0b"])
def test_evidence_that_is_kept_elsewhere_stands_by_its_digest(tmp_path: Path, evidence: str) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "outside.txt").write_text("something else")
    assert judged(tmp_path / "project", evidence=evidence) is None


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "outside.txt").write_text("something else")
    (tmp_path / "project/consent.txt").symlink_to(tmp_path / "outside.txt")
    assert judged(tmp_path / "project", evidence="consent.txt") is None


def test_evidence_that_cannot_be_read_is_no_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "consent.txt").write_text(PAPER)

    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(consent, "sha256_file", refused)
    assert "cannot be read: Permission denied" in str(judged(tmp_path))


# -- revocation ------------------------------------------------------------------------------------

# fmt: off
ANEW: list[tuple[dict[str, Any], Revocation, bool]] = [
    # the consent now                                               the mark                  may speak
    ({},                                                            mark("2026-05-01", DIGEST), False),
    ({"granted_on": "2026-05-01"},                                  mark("2026-05-01", DIGEST), False),  # the old paper
    ({"evidence_sha256": OTHER},                                    mark("2026-05-01", DIGEST), False),  # the old day
    ({"evidence_sha256": OTHER, "granted_on": "2026-04-30"},        mark("2026-05-01", DIGEST), False),
    ({"evidence_sha256": OTHER, "granted_on": "2026-05-01"},        mark("2026-05-01", DIGEST), True),
    ({"evidence_sha256": OTHER, "granted_on": "2026-05-01"},        mark("2026-05-01", DIGEST, OTHER), False),
    ({"evidence_sha256": OTHER, "granted_on": "2026-05-01"},        mark("2026-05-01"), True),  # the old had no digest
    ({"evidence_sha256": OTHER, "granted_on": "2026-05-01"},        mark("2026-05-01", known=False), False),
    ({"evidence_sha256": None, "granted_on": "2026-05-01"},         mark("2026-05-01", DIGEST), False),
    ({"evidence_sha256": OTHER, "granted_on": "2026-05-01"},        Revocation(None, "torn"), False),
    ({"evidence_sha256": OTHER, "granted_on": "2026-05-01", "status": "missing"}, mark("2026-05-01", DIGEST), False),
    ({"evidence_sha256": OTHER, "granted_on": "2026-06-02"},        mark("2026-05-01", DIGEST), False),  # not yet
    ({},                                                            mark("2030-01-01", DIGEST), False),  # whatever day
]
# fmt: on


@pytest.mark.parametrize(("changes", "revocation", "may"), ANEW)
def test_only_a_consent_given_anew_lifts_a_revocation(
    changes: dict[str, Any], revocation: Revocation, may: bool
) -> None:
    one = voice(changes)
    assert (found(one, revocation) is None) is may
    record = consent.public_record(one)
    assert (consent.record_problem(record, TODAY, revocation=revocation) is None) is may


@given(days=st.integers(-3000, 3000), digest=st.sampled_from([DIGEST, OTHER]), today=st.integers(-3000, 3000))
def test_no_clock_lifts_a_revocation(days: int, digest: str, today: int) -> None:
    day = TODAY + timedelta(days=days)
    one = voice({"granted_on": str(day), "evidence_sha256": digest, "expires_on": None})
    now = TODAY + timedelta(days=today)
    may = consent.revoked(one, now, mark("2026-05-01", DIGEST)) is None
    assert may == (day >= date(2026, 5, 1) and digest == OTHER)


def test_declaring_the_speaker_synthetic_lifts_nothing() -> None:
    assert "no config lifts that" in str(found(voice(base=PROGRAM), mark("2026-05-01", DIGEST)))


def test_a_revocation_stops_the_experimental_lane_too() -> None:
    one = voice({"status": "missing"}, lane="experimental")
    assert consent.revoked(one, TODAY, None) is None
    assert consent.revoked(one, TODAY, mark()) is not None
    assert consent.revoked(voice({"status": "revoked"}, lane="experimental"), TODAY, None) is not None


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def stored(**changes: Any) -> dict[str, Any]:
    one = mark("2026-05-01", DIGEST).mark
    assert one is not None
    return {**one.model_dump(mode="json", by_alias=True), **changes}


def test_a_mark_is_read_back(store: Store) -> None:
    assert consent.read_revocation(store, "ada") is None
    write_json(store.revocation("ada"), stored())
    assert consent.read_revocation(store, "ada") == mark("2026-05-01", DIGEST)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b"{}" + b" " * (64 << 10),
        json.dumps(stored(schema="voice_revocation/2")).encode(),
        json.dumps(stored(voice_profile_id="eve")).encode(),
        json.dumps(stored(revoked_on="yesterday")).encode(),
        json.dumps(stored(more=1)).encode(),
        json.dumps({}).encode(),
    ],
)  # fmt: skip
def test_a_mark_that_cannot_be_read_counts_as_revoked(store: Store, data: bytes) -> None:
    path = store.revocation("ada")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    revocation = consent.read_revocation(store, "ada")
    assert revocation is not None and revocation.mark is None and revocation.fault
    fresh = voice({"granted_on": "2026-06-01", "evidence_sha256": OTHER})
    assert "cannot be read" in str(found(fresh, revocation))


@given(st.binary(max_size=200))
def test_no_bytes_are_read_as_no_revocation(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    store = Store(tmp_path_factory.getbasetemp() / "bytes")
    store.revocation("ada").parent.mkdir(parents=True, exist_ok=True)
    store.revocation("ada").write_bytes(data)
    assert consent.read_revocation(store, "ada") is not None


def _folder(path: Path) -> None:
    path.mkdir()


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def _link(path: Path) -> None:
    path.with_name("other.json").write_text(json.dumps(stored(revoked_on="2000-01-01", evidence_sha256=[])))
    path.symlink_to("other.json")


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("put", [_folder, _dangling, _link, os.mkfifo, _socket])
def test_what_lies_where_the_mark_belongs_counts_as_revoked(store: Store, put: Any) -> None:
    store.revocation("ada").parent.mkdir(parents=True)
    put(store.revocation("ada"))
    revocation = consent.read_revocation(store, "ada")
    assert revocation is not None and revocation.mark is None


def test_a_gate_looks_for_the_mark_itself(store: Store, tmp_path: Path) -> None:
    assert consent.blockers(tmp_path, voice(), store, TODAY) == ()
    write_json(store.revocation("ada"), stored())
    (blocker,) = consent.blockers(tmp_path, voice(), store, TODAY)
    assert blocker.reason == "consent_missing"
    assert "was revoked on 2026-05-01" in blocker.detail


# -- what a bundle carries -------------------------------------------------------------------------


def test_the_record_of_a_named_person() -> None:
    assert consent.public_record(voice({"languages": ["en"]})) == {
        "schema": "voice_consent/1",
        "voice_profile_id": "ada",
        "synthetic": False,
        "pseudonymous": False,
        "speaker": "A. Person",
        "status": "granted",
        "commercial_use": True,
        "purposes": ["text_to_speech"],
        "language": "en-US",
        "languages": ["en"],
        "territories": ["worldwide"],
        "distribution": ["worldwide"],
        "granted_on": "2026-01-01",
        "expires_on": "2027-01-01",
        "revoked_on": None,
        "how": "signed on paper",
        "evidence_sha256": DIGEST,
    }


def test_the_record_names_nobody_who_wants_no_name() -> None:
    said = {"pseudonymous": True, "how": "A. Person signed", "evidence": "A. Person.pdf"}
    text = json.dumps(consent.public_record(voice(said)))
    assert "Person" not in text
    assert consent.record_problem(json.loads(text), TODAY) is None
    late = consent.record_problem(json.loads(text), date(2028, 1, 1))
    assert late == "the consent of the speaker expired on 2027-01-01"


def test_the_place_of_the_evidence_is_not_handed_on() -> None:
    assert "consent.txt" not in json.dumps(consent.public_record(voice()))


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "voice_consent/2"},
        {"synthetic": "yes"},
        {"synthetic": True},  # with a status that says granted
        {"status": "agreed"},
        {"status": "not_applicable"},
        {"commercial_use": 1},
        {"purposes": "text_to_speech"},
        {"distribution": []},
        {"granted_on": None},
        {"granted_on": 20260101},
        {"evidence_sha256": "x"},
        {"evidence_sha256": None},
        {"extra": 1},
        {"speaker": float("nan")},
    ],
)
def test_a_record_is_untrusted(changes: dict[str, Any]) -> None:
    record = consent.public_record(voice())
    assert consent.record_problem(record, TODAY) is None
    assert consent.record_problem({**record, **changes}, TODAY) is not None


@pytest.mark.parametrize("field", sorted(consent.public_record(voice())))
def test_a_record_without_a_field_is_refused(field: str) -> None:
    record = consent.public_record(voice())
    del record[field]
    assert "consent.json" in str(consent.record_problem(record, TODAY))


def test_a_record_of_another_voice_is_refused() -> None:
    record = consent.public_record(voice())
    assert consent.record_problem(record, TODAY, voice_id="ada") is None
    assert "of the voice 'ada'" in str(consent.record_problem(record, TODAY, voice_id="eve"))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"schema": NaN}', b" " * 70_000])
def test_a_bundles_record_is_read_with_care(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "consent.json"
    assert "cannot be read" in str(carried(path))
    write_json(path, consent.public_record(voice()))
    assert carried(path) is None
    assert "was revoked" in str(carried(path, mark("2026-05-01", DIGEST)))
    path.write_bytes(data)
    assert "consent.json" in str(carried(path))
    path.unlink()
    os.mkfifo(path)
    assert "not a regular file" in str(carried(path))


def carried(path: Path, revocation: Revocation | None = None) -> str | None:
    return consent.carried_problem(path, TODAY, voice_id="ada", revocation=revocation)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=3), max_leaves=5
)


@given(st.dictionaries(st.sampled_from([*consent.public_record(voice()), "x"]), json_values))
def test_any_record_gives_a_decision(changes: dict[str, Any]) -> None:
    said = consent.record_problem({**consent.public_record(voice()), **changes}, TODAY)
    assert said is None or isinstance(said, str)


# -- the document ----------------------------------------------------------------------------------

DOCUMENT = (PROJECT / "docs/consent.md").read_text(encoding="utf-8")


def test_the_documents_examples_are_what_it_says() -> None:
    person, program = (yaml.safe_load(block.split("```")[0]) for block in DOCUMENT.split("```yaml")[1:3])
    one = voice(person["consent"], {}, language=person["language"], distribution=person["distribution"])
    assert found(one) is None
    assert set(person["consent"]) | {"revoked_on"} == set(Consent.model_fields)
    assert found(voice(program["consent"], {})) is None


def test_the_document_names_every_field() -> None:
    for field in [*Consent.model_fields, "distribution"]:
        assert f"`{field}`" in DOCUMENT, field
