"""The end of the path: everything verified and certified, and the promotion that decides over it again."""

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.orchestration.assets.gates import GROUP, license_gate
from voice_pipeline.orchestration.assets.speech import voice_evaluation
from voice_pipeline.orchestration.partitions import VOICES
from voice_pipeline.orchestration.refusal import refuse
from voice_pipeline.orchestration.shown import figures, table
from voice_pipeline.orchestration.workspace import OWNERS, Workspace
from voice_pipeline.promotion import promote, registry
from voice_pipeline.promotion.constraints import PACK_ID, PACK_VERSION
from voice_pipeline.promotion.verification import verify

ADAPTER_ENVIRONMENT = "VOICE_ADAPTER"  # the URL of another verification adapter, whose PASS is then needed too
_CONSTRAINT_COLUMNS = ("id", "severity", "status", "value", "limit", "detail")
_HISTORY_COLUMNS = ("seq", "at", "action", "release", "by", "signed_by", "content_digest", "reason")
_SHOWN_ENTRIES = 20


@dg.asset(
    partitions_def=VOICES,
    deps=[voice_evaluation, license_gate],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"json"},
    code_version=PACK_VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "constraints_hold",
            asset="verification",
            description=f"Every HARD constraint of the pack {PACK_ID} passes, read from stored evidence.",
        ),
        dg.AssetCheckSpec(
            "integrity",
            asset="verification",
            description="Every file that the evidence names was hashed again, and the certificate's hash recomputed.",
        ),
    ],
)
def verification(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """The certificate: each constraint with its figure and limit, over evidence that was hashed again."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        found = verify(
            workspace.project_root(), voice, store, source="dagster", adapter_url=os.environ.get(ADAPTER_ENVIRONMENT)
        )
    except Exception as error:
        yield from refuse(error, name, "constraints_hold", "integrity")
        return
    rows = [one.to_json() for one in found.constraints]
    open_rows = [row for row in rows if row["status"] != "pass"]
    failed = [one for one in found.constraints if one.severity == "HARD" and one.status != "pass"]
    certificate = found.certificate
    yield dg.MaterializeResult(
        metadata={
            "verdict": str(found.result["verdict"]),
            "certificate": certificate.certificate_id,
            "certificate_hash": certificate.certificate_hash,
            "failed_constraints": len(failed),
            **({"not passed": table(open_rows, _CONSTRAINT_COLUMNS)} if open_rows else {}),
            "constraints": table(rows, _CONSTRAINT_COLUMNS),
            "result": dg.MetadataValue.path(store.verification(name) / "result.json"),
        },
        data_version=dg.DataVersion(certificate.certificate_hash),
        check_results=[
            dg.AssetCheckResult(
                check_name="constraints_hold",
                passed=found.go,
                severity=dg.AssetCheckSeverity.ERROR,
                description="; ".join(f"{one.id}: {one.detail or one.status}" for one in failed) or "All hold.",
            ),
            dg.AssetCheckResult(
                check_name="integrity",
                passed=certificate.integrity_ok,
                severity=dg.AssetCheckSeverity.ERROR,
                description=certificate.certificate_hash,
            ),
        ],
    )


@dg.asset(
    partitions_def=VOICES,
    deps=[voice_evaluation, license_gate, verification],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"json", "onnx"},
    code_version=promote.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "promotion",
            asset="promoted_voice",
            description="GO: every gate holds for the very bytes that were copied, decided anew each time.",
        )
    ],
)
def promoted_voice(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """The voice one may ship, with its decision beside it; refuses with every blocker, and keeps the former voice."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        record = promote.run(workspace.project_root(), voice, store, adapter_url=os.environ.get(ADAPTER_ENVIRONMENT))
        decision = read_json(store.resolve(record.decision))
        entries = [entry.model_dump(mode="json") for entry in registry.history(store, name)]
    except VoiceFailure as failure:
        context.log.error(f"NO-GO: {failure}")
        yield from refuse(failure, name, "promotion")
        return
    except Exception as error:
        yield from refuse(error, name, "promotion")
        return
    yield dg.MaterializeResult(
        metadata={
            **figures(record.model_dump(mode="json", exclude={"metrics"})),
            **figures(dict(record.metrics)),
            "history": table(list(reversed(entries))[:_SHOWN_ENTRIES], _HISTORY_COLUMNS),
            "evidence": dg.MetadataValue.json(decision["evidence"]),
            "gate_overrides": dg.MetadataValue.json(decision["gate_overrides"]),
        },
        data_version=dg.DataVersion(record.content_digest),
        check_results=[dg.AssetCheckResult(check_name="promotion", passed=True, description="GO")],
    )
