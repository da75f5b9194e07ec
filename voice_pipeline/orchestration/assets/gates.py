"""The licence gate."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from voice_pipeline.licensing import gate
from voice_pipeline.orchestration.assets.speech import voice_bundle, voice_evaluation
from voice_pipeline.orchestration.partitions import VOICES
from voice_pipeline.orchestration.refusal import refuse
from voice_pipeline.orchestration.shown import table
from voice_pipeline.orchestration.workspace import OWNERS, Workspace

GROUP = "gates"


@dg.asset(
    partitions_def=VOICES,
    deps=[voice_bundle, voice_evaluation],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"json"},
    code_version=gate.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "licences_allow",
            asset="license_gate",
            description="All weights with a part in the voice are known, unaltered, and licensed for commercial use.",
        )
    ],
)
def license_gate(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """The licence of every set of weights with a part in the voice, and of the recordings."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        record = gate.run(workspace.project_root(), voice, store, store.bundle(name))
    except Exception as error:
        yield from refuse(error, name, "licences_allow")
        return
    rows = [weights.model_dump(mode="json") for weights in record.weights]
    yield dg.MaterializeResult(
        metadata={
            "go": record.go,
            "recordings_license": record.recordings_license,
            "weights": table(rows, ("role", "model_id", "weights_license", "code_license", "blockers")),
            "evidence": dg.MetadataValue.json({row["model_id"]: row["evidence_links"] for row in rows}),
        },
        data_version=dg.DataVersion(record.identity),
        check_results=[
            dg.AssetCheckResult(
                check_name="licences_allow",
                passed=record.go,
                severity=dg.AssetCheckSeverity.ERROR,
                description="; ".join(record.blockers) or "Every licence allows a voice that is sold.",
            )
        ],
    )
