"""NOTICE and the model card: they name everybody they must, and no name can turn into anything else."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.consent import record_problem
from voice_pipeline.licensing.documents import bundle_documents, document_blockers
from voice_pipeline.licensing.lineage import Lineage
from voice_pipeline.licensing.notices import Facts, escaped, model_card, notice
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice, load_voice
from voice_pipeline_tests.conftest import PROJECT, make_project
from voice_pipeline_tests.licensing.lineages import POLICY, VOICE, allowlist, data, known, lineage, part

SAMPLE = load_voice(PROJECT / "configs/voices/sample_speaker.yaml")


def facts(folder: Path, entries: list[dict[str, Any]], datasets: dict[str, str] | None = None, **voice: Any) -> Facts:
    """A voice with the first of ``entries`` as its base; the licence texts are below ``folder``."""
    weights = allowlist(entries, datasets)
    graph = lineage(weights, [part(folder, entries[0])] if entries else [], **voice)
    return Facts(folder, Voice.model_validate({**VOICE, **voice}), graph, weights, POLICY)


def front_matter(card: bytes) -> dict[str, Any]:
    """The front matter as a hub reads it: YAML between the first two lines of three dashes."""
    found = re.match(r"---\n(.*?)\n---\n", card.decode(), re.DOTALL)
    assert found is not None
    value = yaml.safe_load(found[1])
    assert isinstance(value, dict)
    return value


def test_the_sample_voices_notice() -> None:
    """Golden where it counts: each work with its makers, its licence, and the text of it once."""
    documents = bundle_documents(PROJECT, SAMPLE, Store(PROJECT / "store"))
    text = documents["NOTICE"].decode()
    assert "\nSpeaker: A program spoke the recordings, not a person: hibari-tts" in text
    for line in (
        "* hibari-tts/heart (spoken by)",
        "  by Maureese Williams",
        "* hexgrad/kokoro-82m (made from)",
        "  licence: Apache-2.0",
        "* gruut-lang-en/lexicon (text frontend, made from)",
        "* whisper/tiny.en, by OpenAI; converted for CTranslate2 by Systran: MIT",
        "* onnxruntime ",
    ):
        assert f"\n{line}" in text
    stored = (PROJECT / "configs/licensing/texts/hibari-tts.license.txt").read_text().rstrip().splitlines()
    lines = [line.rstrip() for line in stored]
    assert "\n".join(lines) in text
    assert text.count("Licence or notice of hibari-tts/heart, hibari-tts/oov\n") == 2  # Apache-2.0 asks for both
    assert "This product includes software and data developed by third parties" in text
    assert documents == bundle_documents(PROJECT, SAMPLE, Store(PROJECT / "store"))


def test_a_stored_text_that_was_altered_is_not_handed_on(tmp_path: Path) -> None:
    texts = tmp_path / "configs/licensing/texts"
    texts.mkdir(parents=True)
    (texts / "base.txt").write_text("Use it as you like, and name us.\n")
    digest = hashlib.sha256((texts / "base.txt").read_bytes()).hexdigest()
    entry = known("joe", license_text="base.txt", license_text_sha256=digest, attribution="Joe, (c) 2020\nJoe's makers")
    text = notice(facts(tmp_path, [entry])).decode()
    assert "Use it as you like, and name us." in text
    assert "\n  Joe, (c) 2020\n  Joe's makers\n" in text
    (texts / "base.txt").write_text("Use it as you like.\n")
    assert "Use it as you like" not in notice(facts(tmp_path, [entry])).decode()


def test_the_source_of_data_is_named(tmp_path: Path) -> None:
    found = facts(tmp_path, [known("joe", trained_on=["corpus"])], {"corpus": "CC-BY-4.0"})
    assert (
        "* corpus (trained on)\n  by makers of corpus\n  from https://example.org/data/corpus\n"
        in notice(found).decode()
    )
    assert "| corpus | trained on | makers of corpus | `CC-BY-4.0` |" in model_card(found).decode()


def test_the_licence_of_a_reference_is_linked(tmp_path: Path) -> None:
    text = notice(facts(tmp_path, [known("joe", "LicenseRef-NVIDIA-Open-Model-License")])).decode()
    assert "https://www.nvidia.com/en-us/agreements/enterprise-software/nvidia-open-model-license/" in text


# A voice's licence -> what the hub reads.
LICENSES: list[tuple[str | None, dict[str, str]]] = [
    (None, {"license": "unknown"}),
    ("apache-2.0", {"license": "apache-2.0"}),
    ("CC-BY-SA-4.0", {"license": "cc-by-sa-4.0"}),
    (
        "0BSD",
        {"license": "other", "license_name": "0bsd", "license_link": "https://spdx.org/licenses/0BSD.html"},
    ),
    (
        "LicenseRef-NVIDIA-Open-Model-License",
        {
            "license": "other",
            "license_name": "nvidia-open-model-license",
            "license_link": "https://www.nvidia.com/en-us/agreements/enterprise-software/nvidia-open-model-license/",
        },
    ),
    ("MIT AND CC-BY-4.0", {"license": "other", "license_name": "mit-and-cc-by-4.0", "license_link": "NOTICE"}),
]


@pytest.mark.parametrize(("license_id", "wanted"), LICENSES)
def test_front_matter_for_a_hub(license_id: str | None, wanted: dict[str, str], tmp_path: Path) -> None:
    base = known("joe", source="https://huggingface.co/makers/joe", trained_on=["corpus"])
    weights = allowlist([base])
    value = data("corpus", "CC0-1.0") | {"source": "https://huggingface.co/datasets/makers/corpus"}
    weights = weights.model_copy(
        update={"datasets": type(weights).model_validate({"weights": [], "datasets": [value]}).datasets}
    )
    graph = lineage(weights, [part(tmp_path, base)], license=license_id)
    found = front_matter(
        model_card(Facts(tmp_path, Voice.model_validate({**VOICE, "license": license_id}), graph, weights, POLICY))
    )
    assert {key: value for key, value in found.items() if key.startswith("license")} == wanted
    assert found["pipeline_tag"] == "text-to-speech"
    assert (found["language"], found["library_name"]) == (["en"], "voice-pipeline")
    assert (found["base_model"], found["datasets"]) == (["makers/joe"], ["makers/corpus"])
    assert "text-to-speech" in found["tags"]
    assert "synthetic-speaker" not in found["tags"]


def test_a_synthetic_speaker_is_declared(tmp_path: Path) -> None:
    card = bundle_documents(PROJECT, SAMPLE, Store(PROJECT / "store"))["MODEL_CARD.md"]
    assert "synthetic-speaker" in front_matter(card)["tags"]
    assert b"A program spoke the recordings, not a person" in card


def test_a_person_who_wishes_no_name_has_none_anywhere(tmp_path: Path) -> None:
    consent = VOICE["consent"] | {"speaker": "Erika Mustermann", "pseudonymous": True}
    found = facts(tmp_path, [known("joe")], consent=consent)
    for text in (notice(found), model_card(found), found.lineage.to_json()):
        assert b"Erika" not in text
        assert b"Mustermann" not in text
    named = facts(tmp_path, [known("joe")])
    assert b"* recordings (trained on)\n  by Auntie Dottie\n" in notice(named)


HOSTILE = [
    "x\n---\nlicense: mit\n---\n",
    "]](https://evil.example) [click](javascript:alert(1))",
    "<script>alert(1)</script>",
    "a | b | c |\n| d | e | f |",
    "`code` **bold** _it_ ~~gone~~ # title $x$",
    "https://evil.example www.evil.example me@evil.example",
    "\u202e\u2066\x1b[31mred\x00",
    "&lt;b&gt; ![x](y)",
    "======\nLicence of everything\n======\nPublic domain",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_a_name(name: str, tmp_path: Path) -> None:
    consent = VOICE["consent"] | {"speaker": name}
    entry = known("joe", provider=name, attribution=name)
    found = facts(tmp_path, [entry], display_name=name[:200], consent=consent)
    plain = facts(
        tmp_path,
        [known("joe", provider="x", attribution="x")],
        display_name="x",
        consent=VOICE["consent"] | {"speaker": "x"},
    )
    card = model_card(found).decode()
    assert front_matter(model_card(found)) == front_matter(model_card(plain))
    assert len(card.splitlines()) == len(model_card(plain).decode().splitlines())
    assert [line.count(" | ") for line in _unescaped(card)] == [
        line.count(" | ") for line in _unescaped(model_card(plain).decode())
    ]
    for sign in ("<script", "](", "![", "](javascript", "www.", "@evil", "://evil", "\x1b", "\x00", "\u202e"):
        assert sign not in "\n".join(_unescaped(card))
    text = notice(found).decode()
    assert not any(
        line.startswith(("======\n", "Licence of everything", "Public domain")) for line in text.splitlines()
    )
    assert len([line for line in text.splitlines() if set(line) == {"="}]) == len(
        [line for line in notice(plain).decode().splitlines() if set(line) == {"="}]
    )


def _unescaped(card: str) -> list[str]:
    return [re.sub(r"\\.", "", line) for line in card.splitlines()]


@given(st.text(max_size=80))
def test_escaped_text_has_no_bare_sign(text: str) -> None:
    shown = escaped(text)
    assert "\n" not in shown
    assert shown.isprintable()
    assert not re.search(r"[`*_\[\]<>|&:@]", re.sub(r"\\.", "", shown))


# -- compared with the bundle's own --------------------------------------------------------------------------------


@pytest.fixture
def carried(tmp_path: Path) -> tuple[dict[str, bytes], Path]:
    """The documents of the sample voice, and a folder that holds them."""
    documents = bundle_documents(PROJECT, SAMPLE, Store(PROJECT / "store"))
    for name, value in documents.items():
        (tmp_path / name).write_bytes(value)
    return documents, tmp_path


def test_the_same_documents_pass(carried: tuple[dict[str, bytes], Path]) -> None:
    documents, folder = carried
    assert set(documents) == {"NOTICE", "MODEL_CARD.md", "lineage.json", "sbom.cdx.json", "consent.json"}
    assert document_blockers(documents, folder) == ()
    assert Lineage.from_json(documents["lineage.json"]).verdict == "allowed"


@pytest.mark.parametrize("name", ["NOTICE", "MODEL_CARD.md", "lineage.json", "sbom.cdx.json", "consent.json"])
def test_any_other_byte_is_told(name: str, carried: tuple[dict[str, bytes], Path]) -> None:
    documents, folder = carried
    for spoilt in (b"", documents[name] + b"\n", documents[name][:-1], documents[name].replace(b"a", b"e", 1), b"\xff"):
        (folder / name).write_bytes(spoilt)
        (blocker,) = document_blockers(documents, folder)
        assert blocker.reason == "bundle_invalid"
        assert blocker.detail.startswith(f"{name} ")
    (folder / name).unlink()
    assert [str(one) for one in document_blockers(documents, folder)] == [
        f"bundle_invalid: the bundle does not carry {name}: build it again"
    ]


def test_a_weaker_notice_is_told_by_what_it_lacks(carried: tuple[dict[str, bytes], Path]) -> None:
    documents, folder = carried
    lines = documents["NOTICE"].decode().splitlines(keepends=True)
    (folder / "NOTICE").write_text("".join(line for line in lines if "Maureese Williams" not in line))
    (blocker,) = document_blockers(documents, folder)
    assert "lacks: 'by Maureese Williams'" in blocker.detail


def test_a_link_out_of_the_bundle_is_not_followed(carried: tuple[dict[str, bytes], Path], tmp_path: Path) -> None:
    documents, folder = carried
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_bytes(documents["NOTICE"])
    (folder / "NOTICE").unlink()
    (folder / "NOTICE").symlink_to(outside)
    assert [one.detail for one in document_blockers(documents, folder)] == [
        "the bundle does not carry NOTICE: build it again"
    ]


def test_another_config_gives_other_documents(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    voice = SAMPLE.model_copy(update={"license": "CC-BY-4.0"})
    changed = bundle_documents(project, voice, Store(project / "store"))
    same = bundle_documents(project, SAMPLE, Store(project / "store"))
    assert {name for name in same if same[name] != changed[name]} == {
        "NOTICE",
        "MODEL_CARD.md",
        "lineage.json",
        "sbom.cdx.json",
    }


def test_the_documents_examples_are_true() -> None:
    """docs/bundle-format.md, section Rights."""
    text = (PROJECT / "docs/bundle-format.md").read_text()
    section = text[text.index("## Rights") : text.index("## Which bytes were judged")]
    plain, card, graph, component, consent = re.findall(r"```\w*\n(.*?)```", section, re.DOTALL)
    documents = bundle_documents(PROJECT, SAMPLE, Store(PROJECT / "store"))
    real = documents["NOTICE"].decode()
    for line in plain.splitlines():
        assert line in real or line.strip() == "…"
    assert yaml.safe_load(card)["license_name"] == "nvidia-open-model-license"
    (blocker,) = Lineage.from_json(graph.encode()).blockers()
    assert f"`{blocker!s}" in section.replace(" …`", " …")
    named = {one["bom-ref"]: one for one in json.loads(documents["sbom.cdx.json"])["components"]}
    assert set(json.loads(component)) == set(named["package:onnxruntime"])
    assert record_problem(json.loads(consent), date(2026, 6, 1), voice_id="dottie_default") is None
