"""The whole asset graph, as a person reads it. A change here is a change of the product."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from voice_pipeline.definitions import defs

GRAPH = {
    "audio_preflight": ("recordings", set(), {"recordings_usable", "every_file_usable"}),
    "utterance_segments": ("recordings", {"audio_preflight"}, {"speech_found"}),
    "clean_utterances": ("recordings", {"utterance_segments"}, {"audio_measured"}),
    "utterance_texts": ("recordings", {"utterance_segments"}, {"texts_found", "nothing_unmatched"}),
    "dataset_manifest": (
        "recordings",
        {"clean_utterances", "utterance_texts"},
        {
            "dataset_usable",
            "enough_minutes",
            "enough_utterances",
            "rejected_share",
            "one_speaker",
            "no_leak",
            "phone_coverage",
            "nothing_rejected",
        },
    ),
    "training_features": ("training", {"dataset_manifest"}, {"features_usable"}),
    "nemo_checkpoint": ("training", {"training_features"}, {"training_complete"}),
    "voice_bundle": ("speech", {"nemo_checkpoint"}, {"bundle_valid"}),
    "voice_evaluation": ("speech", {"voice_bundle"}, {"quality"}),
    "license_gate": (
        "gates",
        {"voice_bundle", "voice_evaluation"},
        {"licences_allow", "packages_allowed", "attribution_present"},
    ),
    "verification": ("gates", {"voice_evaluation", "license_gate"}, {"constraints_hold", "integrity"}),
    "promoted_voice": ("gates", {"voice_evaluation", "license_gate", "verification"}, {"promotion"}),
}


def test_the_graph_is_this_one() -> None:
    graph = defs.resolve_asset_graph()
    shown = {
        key.to_user_string(): (
            graph.get(key).group_name,
            {parent.to_user_string() for parent in graph.get(key).parent_keys},
            {check.name for check in graph.get_check_keys_for_assets({key})},
        )
        for key in graph.get_all_asset_keys()
    }
    assert shown == GRAPH


def test_every_asset_is_described_owned_versioned_and_partitioned_by_voice() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description
        assert node.owners == ["team:voice"]
        assert node.code_version
        assert node.partitions_def is not None
        assert node.partitions_def.name == "voices"  # type: ignore[attr-defined]


@pytest.mark.parametrize("job", ["tts_prod_train_nemo", "dataset", "rollback_voice", "revoke_voice"])
def test_jobs_are_named_by_their_job_types(job: str) -> None:
    resolved = defs.resolve_job_def(job)
    assert resolved.description
    assert resolved.partitions_def is not None
    assert resolved.executor_def is dg.in_process_executor


def test_the_workspace_file_names_the_code_location() -> None:
    text = (Path(__file__).parents[2] / "workspace.yaml").read_text()
    assert "voice_pipeline.definitions" in text


def test_every_sensor_runs_by_itself_and_says_what_it_does() -> None:
    repository = defs.get_repository_def()
    sensors = repository.sensor_defs
    assert {sensor.name for sensor in sensors} == {
        "voices_in_step",
        "status_of_started_run",
        "report_of_successful_run",
        "report_of_failed_run",
        "report_of_cancelled_run",
    }
    for sensor in sensors:
        assert sensor.description
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
