"""license_gate in the graph: the lineage is drawn, and each kind of blocker has a check of its own."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from voice_pipeline.orchestration.assets.gates import license_gate
from voice_pipeline.orchestration.workspace import Workspace
from voice_pipeline_tests.ready_voice import NAME, ReadyVoice, ready_voice

__all__ = ["ready_voice"]
pytestmark = pytest.mark.evaluation


def materialized(ready: ReadyVoice) -> tuple[dict[str, bool], dict[str, str]]:
    """(check -> whether it passed, metadata -> its text)."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("voices", [NAME])
        result = dg.materialize(
            [license_gate],
            instance=instance,
            partition_key=NAME,
            resources={"workspace": Workspace(project=str(ready.project), store=str(ready.store.root))},
        )
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    return checks, {key: str(getattr(value, "md_str", value.value)) for key, value in metadata.items()}


def test_what_is_shown(ready_voice: ReadyVoice, tmp_path: Path) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    checks, shown = materialized(ready)
    assert set(checks) == {"licences_allow", "packages_allowed", "attribution_present"}
    assert checks["packages_allowed"]
    assert checks["attribution_present"]
    assert shown["lineage"].startswith("![lineage](data:image/png;base64,")
    assert "gruut-lang-en/lexicon" in shown["lineage_nodes"]
    assert "onnxruntime" in shown["packages"]
    assert "['" not in shown["lineage_nodes"] + shown["weights"]

    (ready.bundle / "NOTICE").unlink()
    ready.seal()
    checks, shown = materialized(ready)
    assert (checks["packages_allowed"], checks["attribution_present"]) == (True, False)
    assert shown["go"] == "False"
