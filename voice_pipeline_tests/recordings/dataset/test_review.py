from __future__ import annotations

from pathlib import Path

import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import ConfigError
from voice_pipeline.recordings.dataset.review import Review, read_review
from voice_pipeline.recordings.manifest import read_record
from voice_pipeline.store import Store
from voice_pipeline_tests.recordings.dataset.prepared import Prepared, babble, prepared


def manifest(made: Prepared) -> dict[str, dict[str, object]]:
    value = read_json(made.store.dataset_manifest("v", "tts_prod_train_nemo"))
    return {row["utterance_id"]: row for row in (*value["entries"], *value["rejected"])}


def test_no_file_and_an_empty_one_say_nothing(project: Path, store: Store) -> None:
    made = prepared(project, store)
    assert read_review(project, "v") == Review()
    for text in ("", "# nothing yet\n", "keep:\nreject: {}\n"):
        made.review(text)
        assert read_review(project, "v").digest == Review().digest


def test_ids_are_never_numbers_or_dates(project: Path, store: Store) -> None:
    prepared(project, store).review("keep:\n  0017: why\n  2026-01-02: why\nreject:\n  yes: why\n  1e3: why\n")
    review = read_review(project, "v")
    assert list(review.keep) == ["0017", "2026-01-02"]
    assert list(review.reject) == ["yes", "1e3"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("keep: [u01]\n", "keep"),
        ("keep:\n  u01:\n", "keep.u01"),
        ("keep:\n  u01: [a]\n", "keep.u01"),
        ("kept:\n  u01: why\n", "kept"),
        ("- u01\n", "found list"),
        ("keep: {\n", "not valid YAML"),
        ("keep:\n  u01: one\n  u01: two\n", "'u01' stands twice"),
        ("keep:\n  u01: good\nreject:\n  u01: bad\n", "u01 is in keep and in reject"),
        ("keep: &a [*a]\n", "keep"),
        ("!!python/object/apply:os.system ['true']\n", "v.yaml"),
    ],
)
def test_a_wrong_review_names_file_and_key(project: Path, store: Store, text: str, words: str) -> None:
    prepared(project, store).review(text)
    with pytest.raises(ConfigError, match=r"v\.yaml") as caught:
        read_review(project, "v")
    assert words in str(caught.value)


def test_bytes_that_are_no_text(project: Path, store: Store) -> None:
    prepared(project, store).review("").write_bytes(b"keep:\n  u01: caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_review(project, "v")


def test_an_unknown_id_names_near_ones(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.review("reject:\n  u1: noise\n")
    with pytest.raises(ConfigError, match=r"no utterance has the id 'u1'; near are: u01"):
        made.make()
    assert read_record(store, "v") is None


def test_keep_overrules_what_is_a_matter_of_judgement(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.change("u02", snr_db=3.0, speaker_similarity=0.2)
    first = made.make()
    assert (first.count, first.rejected_reasons, first.reviewed) == (3, {"low_snr": 1}, 0)
    made.review("keep:\n  u02: the hiss is the sea\n")
    second = made.make()
    assert (second.count, second.rejected_count, second.reviewed) == (4, 0, 1)
    assert second.identity != first.identity
    entry = manifest(made)["u02"]
    assert entry["review"] == {"why": "the hiss is the sea", "overruled": ["low_snr", "other_speaker"]}
    page = store.resolve(second.page).read_text()
    assert "the hiss is the sea" in page
    assert "in spite of" in page


def test_reject_is_a_reason_of_its_own(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.review("reject:\n  u01: somebody coughs\n")
    record = made.make()
    assert record.rejected_reasons == {"rejected_by_review": 1}
    row = manifest(made)["u01"]
    assert row["detail"] == "a person rejected it: somebody coughs"
    assert row["review"] == {"why": "somebody coughs"}


def test_a_corrected_text_is_compared_again(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    made.add("x", "Wrong words here.", hypothesis="The right words.", cer=0.9)
    assert made.make().rejected_reasons == {"text_mismatch": 1}
    made.review("text:\n  x: The right words!\n")
    assert made.make().rejected_count == 0
    entry = manifest(made)["x"]
    assert (entry["text"], entry["normalized_text"], entry["cer"]) == ("The right words!", "the right words!", 0.0)
    assert entry["review"] == {"text_as_given": "Wrong words here."}


def test_a_corrected_text_heals_a_missing_one(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    made.add("x", "", problem_of_text="transcript_missing")
    assert made.make().rejected_reasons == {"transcript_missing": 1}
    made.review("text:\n  x: What she says.\n")
    assert made.make().rejected_count == 0


def test_a_corrected_text_that_cannot_be_read(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    made.review("text:\n  u01: Καλημέρα\n")
    with pytest.raises(ConfigError, match="u01"):
        made.make()


@pytest.mark.parametrize("what", ["undecodable", "no text", "short", "duplicate"])
def test_keep_cannot_overrule_facts(project: Path, store: Store, what: str) -> None:
    made = prepared(project, store, 3)
    if what == "undecodable":
        made.add("x", wav="", problem="audio_undecodable", detail="ends in the middle")
    elif what == "no text":
        made.add("x", "", problem_of_text="transcript_missing")
    elif what == "short":
        made.add("x", samples=babble("x", 0.2))
    else:
        made.add("x", samples=babble("u01"))
    made.review("keep:\n  x: I want it\n")
    with pytest.raises(ConfigError, match=r"v\.yaml: keep\.x: "):
        made.make()
