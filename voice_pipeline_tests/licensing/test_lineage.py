"""Lineages: what counts for a voice, how the way to it is told, and how the graph is written, read and drawn."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from voice_pipeline.licensing.lineage import MAX_LINEAGE_BYTES, Lineage, lineage_of, lineage_text
from voice_pipeline.licensing.lineage_builder import UNRECORDED, LineageBuilder
from voice_pipeline.licensing.lineage_picture import lineage_png
from voice_pipeline.licensing.packages import Package
from voice_pipeline.licensing.parts import Part
from voice_pipeline.store import Store
from voice_pipeline.voice import load_voice
from voice_pipeline_tests.conftest import PROJECT
from voice_pipeline_tests.licensing.lineages import CODE, POLICY, allowlist, known, lineage, part

RESEARCH = "LicenseRef-Research-Only"
SPEAKER = {"speaker_type": "synthetic", "speaker": "a program", "status": "not_applicable"}

# The voice's base is joe, unless a case says otherwise; `listens` is the recogniser, `speaks` a synthetic speaker.
# what it is about, the allowlist's weights, its data sets, who listens, who speaks, the blockers' beginnings
CASES: list[tuple[str, list[dict[str, Any]], dict[str, str], str | None, str | None, list[str]]] = [
    ("a permissive base of which nothing more is recorded", [known("joe")], {}, None, None, []),
    ("a base made from a permissive base", [known("joe", bases=["amy"]), known("amy", "MIT")], {}, None, None, []),
    ("data in the public domain", [known("joe", trained_on=["lj"])], {"lj": "CC0-1.0"}, None, None, []),
    (
        "research data behind a base that says Apache-2.0",
        [known("joe", trained_on=["lessac"])],
        {"lessac": RESEARCH},
        None,
        None,
        ["license_noncommercial: dottie_default ← joe ← lessac: LicenseRef-Research-Only: research only"],
    ),
    (
        "the same, three steps away",
        [known("joe", bases=["amy"]), known("amy", "MIT", bases=["bob"]), known("bob", trained_on=["lessac"])],
        {"lessac": RESEARCH},
        None,
        None,
        ["license_noncommercial: dottie_default ← joe ← amy ← bob ← lessac: "],
    ),
    (
        "a non-commercial base of a base",
        [known("joe", bases=["xtts"]), known("xtts", "LicenseRef-Coqui-Public-Model-License-1.0.0")],
        {},
        None,
        None,
        ["license_noncommercial: dottie_default ← joe ← xtts: weights licence LicenseRef-Coqui"],
    ),
    (
        "permissive weights, and code that is not",
        [known("joe", bases=["amy"]), known("amy", code_license="CC-BY-NC-4.0")],
        {},
        None,
        None,
        ["license_noncommercial: dottie_default ← joe ← amy: code licence CC-BY-NC-4.0"],
    ),
    (
        "a record that says no, whatever the licence is",
        [known("joe", bases=["amy"]), known("amy", commercial_use_allowed=False)],
        {},
        None,
        None,
        ["license_noncommercial: dottie_default ← joe ← amy: its record says that commercial use is not allowed"],
    ),
    (
        "a base that nobody has looked at",
        [known("joe", bases=["stranger"])],
        {},
        None,
        None,
        ["license_unclear: dottie_default ← joe ← stranger: stranger is not in configs/licensing/allowlist.yaml"],
    ),
    (
        "data that nobody has looked at",
        [known("joe", trained_on=["the-web"])],
        {},
        None,
        None,
        ["license_unclear: dottie_default ← joe ← the-web: the-web is not in"],
    ),
    (
        "data whose licence is none",
        [known("joe", trained_on=["scraped"])],
        {"scraped": "none given"},
        None,
        None,
        ["license_unclear: dottie_default ← joe ← scraped: "],
    ),
    (
        "one may choose the licence that allows",
        [known("joe", trained_on=["both"])],
        {"both": "CC-BY-4.0 OR CC-BY-NC-4.0"},
        None,
        None,
        [],
    ),
    (
        "both licences hold",
        [known("joe", trained_on=["both"])],
        {"both": "CC-BY-4.0 AND CC-BY-NC-4.0"},
        None,
        None,
        ["license_noncommercial: dottie_default ← joe ← both: CC-BY-NC-4.0"],
    ),
    (
        "a circle of bases",
        [known("joe", bases=["amy"]), known("amy", bases=["joe"])],
        {},
        None,
        None,
        [
            "license_unclear: dottie_default ← joe ← amy: configs/licensing/allowlist.yaml says that it was made from",
            "license_unclear: dottie_default ← joe: configs/licensing/allowlist.yaml says that it was made from itself",
        ],
    ),
    (
        "the shortest way to what two bases share",
        [known("joe", bases=["amy", "old"]), known("amy", bases=["old"]), known("old", RESEARCH)],
        {},
        None,
        None,
        ["license_noncommercial: dottie_default ← joe ← old: "],
    ),
    (
        "a recogniser that learned from data of unclear licence only listened",
        [known("joe"), known("ear", trained_on=["the-web"])],
        {"the-web": "none given"},
        "ear",
        None,
        [],
    ),
    (
        "a recogniser whose own licence forbids",
        [known("joe"), known("ear", RESEARCH)],
        {},
        "ear",
        None,
        ["license_noncommercial: dottie_default ← ear: weights licence LicenseRef-Research-Only"],
    ),
    (
        "what only listened counts where it is also a base",
        [known("joe", bases=["ear"]), known("ear", trained_on=["the-web"])],
        {"the-web": "none given"},
        "ear",
        None,
        ["license_unclear: dottie_default ← joe ← ear ← the-web: "],
    ),
    (
        "recordings that a program spoke hand its own bases on",
        [known("joe"), known("mouth", bases=["teacher"]), known("teacher", RESEARCH)],
        {},
        None,
        "mouth",
        ["license_noncommercial: dottie_default ← recordings ← mouth ← teacher: "],
    ),
    (
        "a program of which it is only partly known what it learned from",
        [known("joe"), known("mouth", bases=["teacher"]), known("teacher", not_known="It names no recordings.")],
        {},
        None,
        "mouth",
        [],
    ),
]


def built(
    folder: Path, weights: list[dict[str, Any]], datasets: dict[str, str], listens: str | None, speaks: str | None
) -> Lineage:
    by_id = {one["id"]: one for one in weights}
    parts = [part(folder, by_id["joe"])]
    if listens:
        parts.append(part(folder, by_id[listens], "recogniser", shipped=False))
    if speaks:
        parts.append(part(folder, by_id[speaks], "synthetic speaker", shipped=False))
    return lineage(allowlist(weights, datasets), parts, **({"consent": SPEAKER} if speaks else {}))


@pytest.mark.parametrize(
    ("weights", "datasets", "listens", "speaks", "wanted"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_counts(
    weights: list[dict[str, Any]],
    datasets: dict[str, str],
    listens: str | None,
    speaks: str | None,
    wanted: list[str],
    tmp_path: Path,
) -> None:
    found = built(tmp_path, weights, datasets, listens, speaks)
    blockers = [str(blocker) for blocker in found.blockers()]
    assert len(blockers) == len(wanted), blockers
    for blocker, beginning in zip(blockers, wanted, strict=True):
        assert blocker.startswith(beginning)
    worst = "forbidden" if any("noncommercial" in one for one in wanted) else "unclear" if wanted else "allowed"
    assert found.verdict == worst
    assert Lineage.from_json(found.to_json()) == found
    assert built(tmp_path, weights, datasets, listens, speaks).to_json() == found.to_json()
    again = LineageBuilder("dottie_default", allowlist(weights, datasets), POLICY).again(found, POLICY)
    assert {blocker.reason for blocker in again.blockers()} == {blocker.reason for blocker in found.blockers()}


def test_recordings_and_code_count_too(tmp_path: Path) -> None:
    gpl = Package("readline", "1", "GPL-3.0-only", "License", "", (), "unclear", "GPL code in the speaking path", True)
    own = Package("voice-pipeline", "1", "MIT", "License", "", ("readline",), "allowed", "permissive", True)
    found = lineage(allowlist([]), [], (own, gpl), source={"path": "x", "license": "CC-BY-NC-4.0"})
    assert [str(one) for one in found.blockers()] == [
        "license_unclear: dottie_default ← voice-pipeline ← readline: GPL code in the speaking path",
        "license_noncommercial: dottie_default ← recordings: CC-BY-NC-4.0: no commercial use "
        "(https://spdx.org/licenses/CC-BY-NC-4.0.html)",
    ]
    assert [one.reason for one in found.blockers(but={"package:readline"})] == ["license_noncommercial"]


def test_parts_without_a_manifest_are_unclear(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    parts = [
        Part("fastpitch base", "unknown/x", None, None, shipped=True),
        Part("hifigan base", "broken", tmp_path / "broken.json", None),
        Part("judge", "gone", tmp_path / "gone.json", None),
    ]
    found = lineage(allowlist([]), parts)
    assert {node.name: node.reason for node in found.nodes if node.kind == "weights"} == {
        "unknown/x": "no weights manifest is known for it",
        "broken": "its weights manifest: invalid_json of manifest",
        "gone": "its weights manifest: manifest_not_found of manifest",
    }
    assert len(found.blockers()) == 3
    assert str(tmp_path) not in found.to_json().decode()


def test_the_same_part_in_two_roles_is_one_node(tmp_path: Path) -> None:
    entry = known("ear")
    parts = [part(tmp_path, entry, role, shipped=False) for role in ("judge", "recogniser")]
    found = lineage(allowlist([entry]), parts)
    assert [edge.role for edge in found.edges if edge.parent == "weights:ear"] == ["judge", "recogniser"]
    assert "judge, recogniser: ear" in lineage_text(found)


def test_notes_say_what_is_not_known(tmp_path: Path) -> None:
    weights = [known("joe"), known("ear"), known("mouth", not_known="It names no recordings.")]
    found = built(tmp_path, weights, {}, "ear", "mouth")
    notes = {node.name: node.note for node in found.nodes if node.kind == "weights"}
    assert notes == {"joe": UNRECORDED, "ear": None, "mouth": "It names no recordings."}


def test_the_sample_voice_passes_and_says_what_is_not_known_of_its_speaker() -> None:
    voice = load_voice(PROJECT / "configs/voices/sample_speaker.yaml")
    found = lineage_of(PROJECT, voice, Store(PROJECT / "store"))
    assert found.blockers() == ()
    kokoro = found.node("weights:hexgrad/kokoro-82m")
    assert kokoro.judged
    assert kokoro.licenses == ("Apache-2.0", "Apache-2.0")
    assert "names neither the recordings" in str(kokoro.note)
    assert found.way(kokoro.id) == "sample_speaker ← recordings ← hibari-tts/heart ← hexgrad/kokoro-82m"
    assert not found.node("weights:openai/whisper-tiny.en").judged


TREE = """\
dottie_default [its own licence is not set] FORBIDDEN: something with a part in it must not be sold
├─ speaks by: voice-pipeline 0.1.0 [Apache-2.0] ok
├─ trained on: recordings [LicenseRef-Proprietary-Own-Recording] ok
├─ recogniser: ear [Apache-2.0] ok
│  └─ trained on: the-web [none given] UNCLEAR, shown only: 'none given' names no licence
└─ fastpitch base: joe [Apache-2.0] ok
   ├─ made from: amy [Apache-2.0] ok
   │  └─ made from: old [LicenseRef-Research-Only / Apache-2.0] FORBIDDEN: weights licence
   └─ made from: old (above)
"""


def test_the_tree(tmp_path: Path) -> None:
    weights = [
        known("joe", bases=["amy", "old"]),
        known("amy", bases=["old"]),
        known("old", RESEARCH),
        known("ear", trained_on=["the-web"]),
    ]
    text = lineage_text(built(tmp_path, weights, {"the-web": "none given"}, "ear", None))
    assert len(text.splitlines()) == len(TREE.splitlines())
    for line, wanted in zip(text.splitlines(), TREE.splitlines(), strict=True):
        assert line.startswith(wanted.rsplit(" names no", 1)[0])


@pytest.mark.parametrize("boxes", [2, 42])
def test_the_picture(boxes: int, tmp_path: Path) -> None:
    weights = [known("joe", trained_on=[f"data-{n}" for n in range(boxes)])]
    found = built(tmp_path, weights, {f"data-{n}": "MIT" for n in range(boxes)}, None, None)
    png = lineage_png(found)
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.width < 2000
        colours = image.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 5
    assert lineage_png(found) == png


def test_a_circle_is_drawn_too(tmp_path: Path) -> None:
    weights = [known("joe", bases=["amy"]), known("amy", bases=["joe"])]
    assert lineage_png(built(tmp_path, weights, {}, None, None))


WRONG = {
    "no JSON": b"{",
    "another schema": b'{"schema": "voice_lineage/9", "voice_profile_id": "v", "nodes": [], "edges": []}',
    "an unknown key": b'{"schema": "voice_lineage/1", "voice_profile_id": "v", "nodes": [], "edges": [], "more": 1}',
    "no nodes": b'{"schema": "voice_lineage/1", "voice_profile_id": "v", "nodes": [], "edges": []}',
    "too long": b" " * (MAX_LINEAGE_BYTES + 1),
    "nested": b"[" * 100_000,
    "no UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_lineage(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"voice_lineage/1|larger"):
        Lineage.from_json(data)


@pytest.mark.parametrize("spoil", ["twice", "edge", "two voices", "no voice"])
def test_a_graph_that_is_not_whole(spoil: str) -> None:
    value = json.loads(lineage(allowlist([]), []).to_json())
    if spoil == "twice":
        value["nodes"].append(value["nodes"][0])
    elif spoil == "edge":
        value["edges"][0]["parent"] = "weights:nowhere"
    elif spoil == "two voices":
        value["nodes"].append({**value["nodes"][-1], "id": "voice:other"})
    else:
        value["voice_profile_id"] = "other"
    with pytest.raises(ValueError, match="voice_lineage/1"):
        Lineage.from_json(json.dumps(value).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Lineage.from_json(data)


def test_today_judges_what_was_written_earlier(tmp_path: Path) -> None:
    """A licence that turned out to forbid, a base that was found out, weights that are known no more."""
    weights = [known("joe"), known("old", RESEARCH)]
    carried = built(tmp_path, [known("joe")], {}, None, None)

    def again(*entries: dict[str, Any]) -> list[str]:
        found = LineageBuilder("dottie_default", allowlist(list(entries)), POLICY).again(carried, POLICY)
        return [str(blocker).split(": Lic")[0] for blocker in found.blockers()]

    assert again(weights[0]) == []
    assert again(known("joe", bases=["old"]), weights[1])[0].startswith(
        "license_noncommercial: dottie_default ← joe ← old"
    )
    assert again(known("joe", RESEARCH))[0].startswith("license_noncommercial: dottie_default ← joe: ")
    assert again() == ["license_unclear: dottie_default ← joe: joe is not in configs/licensing/allowlist.yaml"]
    other = known("joe", checksums=["sha256:" + "1" * 64])
    (unknown_bytes,) = again(other)
    assert unknown_bytes.endswith("joe: configs/licensing/allowlist.yaml does not know the bytes that it carries")
    assert CODE.name in {node.name for node in carried.nodes}
