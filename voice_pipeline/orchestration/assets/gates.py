"""The licence gate."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from voice_pipeline.licensing import gate
from voice_pipeline.licensing.lineage_picture import lineage_png
from voice_pipeline.orchestration.assets.speech import voice_bundle, voice_evaluation
from voice_pipeline.orchestration.partitions import VOICES
from voice_pipeline.orchestration.refusal import refuse
from voice_pipeline.orchestration.shown import picture, table
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
            description="Everything with a part in the voice, and all that was made from, is known, unaltered, lately "
            "checked, and licensed for a voice that is sold.",
        ),
        dg.AssetCheckSpec(
            "packages_allowed",
            asset="license_gate",
            description="The packages that run when the bundle speaks are under known licences, none of them the GPL.",
        ),
        dg.AssetCheckSpec(
            "attribution_present",
            asset="license_gate",
            description="NOTICE, model card, lineage, bill of materials and consent in the bundle are as the facts "
            "give them.",
        ),
    ],
)
def license_gate(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """The licences of all that has a part in the voice: weights and what they were made from, recordings, packages."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        record = gate.run(workspace.project_root(), voice, store, store.bundle(name))
    except Exception as error:
        yield from refuse(error, name, "licences_allow", "packages_allowed", "attribution_present")
        return
    rows = [weights.model_dump() for weights in record.weights]
    nodes = [node.model_dump() for node in record.lineage.nodes]
    elsewhere = {*record.package_blockers, *record.document_blockers}
    licences = tuple(one for one in record.blockers if one not in elsewhere)
    yield dg.MaterializeResult(
        metadata={
            "go": record.go,
            "recordings_license": record.recordings_license,
            "lineage": picture("lineage", lineage_png(record.lineage)),
            "lineage_nodes": table(
                nodes, ("kind", "name", "version", "licenses", "verdict", "judged", "reason", "note")
            ),
            "weights": table(rows, ("role", "model_id", "weights_license", "code_license", "checked_on", "blockers")),
            **({"changes": table([{"change": one} for one in record.changes], ("change",))} if record.changes else {}),
            "packages": table(
                [node for node in nodes if node["kind"] == "package"], ("name", "version", "licenses", "verdict")
            ),
            "evidence": dg.MetadataValue.json({row["model_id"]: list(row["evidence_links"]) for row in rows}),
        },
        data_version=dg.DataVersion(record.identity),
        check_results=[
            _check("licences_allow", licences, "Every licence allows a voice that is sold."),
            _check("packages_allowed", record.package_blockers, "Every package may run when the bundle speaks."),
            _check("attribution_present", record.document_blockers, "The bundle carries all that licences ask for."),
        ],
    )


def _check(name: str, blockers: Sequence[str], passed: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=not blockers,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(blockers) or passed,
    )
