"""What a person does to a voice that is promoted: roll it back, or revoke it. Jobs for the UI; the CLI has both."""

import dagster as dg
from pydantic import Field

from voice_pipeline.orchestration.partitions import VOICES
from voice_pipeline.orchestration.refusal import failed
from voice_pipeline.orchestration.shown import figures
from voice_pipeline.orchestration.workspace import Workspace
from voice_pipeline.promotion import registry, revoke, rollback

PROMOTED = dg.AssetKey("promoted_voice")


class RollbackConfig(dg.Config):
    """Which release to go back to."""

    to: int | None = Field(None, description="The release's number in the history; the one before, by default.")
    by: str | None = Field(None, description="Who decides this; by default the user that Dagster runs as.")
    reason: str | None = Field(None, description="Why: one line, kept in the registry.")


class RevokeConfig(dg.Config):
    """Why a consent is revoked."""

    reason: str = Field(description="Why: one line, kept in the registry.")
    by: str | None = Field(None, description="Who decides this; by default the user that Dagster runs as.")


@dg.op(description="Promote an earlier release again, after everything that can be asked of it was asked again.")
def roll_back(context: dg.OpExecutionContext, workspace: Workspace, config: RollbackConfig) -> None:
    """Roll one voice back."""
    name = context.partition_key
    try:
        entry = rollback.run(
            workspace.project_root(),
            workspace.voice(name),
            workspace.open_store(),
            to=config.to,
            by=config.by,
            reason=config.reason,
        )
    except Exception as error:
        raise failed(error, name) from error
    context.log_event(dg.AssetObservation(PROMOTED, partition=name, metadata=figures(entry.model_dump(mode="json"))))


@dg.op(description="Mark the consent as revoked, and withdraw what is promoted. Only a consent given anew lifts it.")
def revoke_consent(context: dg.OpExecutionContext, workspace: Workspace, config: RevokeConfig) -> None:
    """Revoke one voice's consent."""
    name = context.partition_key
    try:
        done = revoke.revoke(
            workspace.project_root(),
            name,
            workspace.open_store(),
            by=registry.operator(config.by),
            reason=config.reason,
        )
    except Exception as error:
        raise failed(error, name) from error
    context.log.info(str(done))
    context.log_event(
        dg.AssetObservation(PROMOTED, partition=name, metadata={"revoked": True, "reason": config.reason})
    )


@dg.job(
    partitions_def=VOICES,
    executor_def=dg.in_process_executor,
    description="Promote an earlier release of a voice again. It is judged by today's rules first.",
)
def rollback_voice() -> None:
    """Roll back, as a job."""
    roll_back()


@dg.job(
    partitions_def=VOICES,
    executor_def=dg.in_process_executor,
    description="Revoke the consent behind a voice: it is withdrawn, and silent until a consent is given anew.",
)
def revoke_voice() -> None:
    """Revoke, as a job."""
    revoke_consent()


OPERATIONS = (rollback_voice, revoke_voice)
