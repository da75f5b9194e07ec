"""What may be shipped: verification, promotion, going back, revocation, lineage."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from voice_pipeline.commands.options import JsonOption, StoreOption, VoiceArgument, open_store, project_root, say
from voice_pipeline.failures import EXIT_PROMOTION_BLOCKED, EXIT_USAGE, VoiceFailure

AdapterOption = Annotated[
    str | None,
    typer.Option("--adapter", envvar="VOICE_ADAPTER", help="Also need the PASS of the adapter at this URL."),
]
ByOption = Annotated[
    str | None, typer.Option("--by", envvar="VOICE_OPERATOR", help="Who decides this. [default: this user's name]")
]


def verify(
    voice: VoiceArgument, store: StoreOption = None, adapter: AdapterOption = None, as_json: JsonOption = False
) -> int:
    """Verify a voice's newest bundle: every constraint from stored evidence, and a certificate. Promotes nothing."""
    from voice_pipeline.promotion.verification import verify as run
    from voice_pipeline.voice import load_voice_by_id

    project = project_root()
    found = run(project, load_voice_by_id(project, voice), open_store(store), adapter_url=adapter)
    if as_json:
        typer.echo(json.dumps(found.result, indent=2, sort_keys=True))
    else:
        for one in found.constraints:
            limit = "" if one.limit is None else f", limit {_short(one.limit)}"
            detail = f": {one.detail}" if one.detail else ""
            figure = "" if one.value is None else f" {_short(one.value)}{limit}"
            typer.echo(f"{one.status:<8}{one.severity:<5} {one.id}{figure}{detail}")
        certificate = found.certificate
        whole = "integrity ok" if certificate.integrity_ok else "integrity BROKEN"
        typer.echo(f"{found.result['verdict']}: {certificate.status}, {whole}, {certificate.certificate_id}")
    return 0 if found.go else EXIT_PROMOTION_BLOCKED


def promote(
    voice: VoiceArgument,
    store: StoreOption = None,
    adapter: AdapterOption = None,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> int:
    """Decide on a voice's newest bundle from its very bytes, and on GO make it the promoted voice."""
    from voice_pipeline.promotion import promote as promotion
    from voice_pipeline.voice import load_voice_by_id

    project = project_root()
    opened, configured = open_store(store), load_voice_by_id(project, voice)
    try:
        record = promotion.run(project, configured, opened, by=by, adapter_url=adapter)
    except VoiceFailure as failure:
        if as_json:
            value = {"go": False, "reason": failure.reason, "detail": failure.detail}
            typer.echo(json.dumps(value, indent=2, sort_keys=True))
        raise
    if as_json:
        typer.echo(json.dumps(record.model_dump(mode="json"), indent=2, sort_keys=True))
    else:
        signed = f"signed by {record.signed_by[:12]}" if record.signed_by else "not signed: no key is configured"
        typer.echo(f"GO: {voice} speaks from release {record.release}, {signed}")
    return 0


def rollback(
    voice: VoiceArgument,
    store: StoreOption = None,
    to: Annotated[int | None, typer.Option(help="The release's number. [default: the one before]", min=1)] = None,
    by: ByOption = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the history.")] = None,
) -> int:
    """Promote an earlier release again, if today's rules still allow it."""
    from voice_pipeline.promotion import rollback as rolling
    from voice_pipeline.voice import load_voice_by_id

    project = project_root()
    entry = rolling.run(project, load_voice_by_id(project, voice), open_store(store), to=to, by=by, reason=reason)
    typer.echo(f"{voice} speaks from release {entry.release}")
    return 0


def history(voice: VoiceArgument, store: StoreOption = None, as_json: JsonOption = False) -> int:
    """Show every promotion, rollback and withdrawal of a voice: when, who, which bytes."""
    from voice_pipeline.promotion import registry
    from voice_pipeline.store import profile_id

    opened, name = open_store(store), profile_id(voice)
    entries = registry.history(opened, name)
    now = registry.current(opened, name)
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2, sort_keys=True))
        return 0
    for entry in entries:
        mark = "*" if now is not None and entry.seq == now.seq else " "
        release = "–" if entry.release is None else str(entry.release)
        content = (entry.content_digest or "–")[:12]
        signed = f"signed by {entry.signed_by[:12]}" if entry.signed_by else ""
        words = "  ".join(word for word in (entry.by, signed, entry.reason or "") if word)
        typer.echo(f"{mark} {entry.seq:>3}  {entry.at}  {entry.action:<9} release {release:<4} {content:<12}  {words}")
    typer.echo(f"promoted: release {now.release}" if now is not None else "promoted: nothing")
    return 0


def revoke(
    voice: VoiceArgument,
    reason: Annotated[str, typer.Option(help="Why; kept in the store and in the history.")],
    store: StoreOption = None,
    by: ByOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Take a voice out of service because its speaker revoked the consent. Servers stop speaking with it at once."""
    from voice_pipeline.promotion import registry
    from voice_pipeline.promotion.revoke import revoke as run

    if not yes and not _confirmed(f"Revoke {voice}? It is withdrawn, and not trained or promoted again"):
        return say("Nothing was revoked. Where nobody can answer, add --yes.", EXIT_USAGE)
    done = run(project_root(), voice, open_store(store), by=registry.operator(by), reason=reason)
    for line in done.lines():
        typer.echo(line)
    return 0


def lineage(voice: VoiceArgument, store: StoreOption = None, as_json: JsonOption = False) -> int:
    """Show everything with a part in a voice, with its licences: bases, their bases, data, models, code."""
    from voice_pipeline.licensing.allowlist import load_allowlist
    from voice_pipeline.licensing.lineage import lineage_of, lineage_text
    from voice_pipeline.licensing.parts import parts_of
    from voice_pipeline.licensing.policy import load_policy
    from voice_pipeline.voice import load_voice_by_id

    project, opened = project_root(), open_store(store)
    configured = load_voice_by_id(project, voice)
    found = lineage_of(
        project,
        configured,
        opened,
        parts_of(project, configured, opened),
        load_allowlist(project),
        load_policy(project),
    )
    typer.echo(found.to_json().decode() if as_json else lineage_text(found), nl=not as_json)
    return 0


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort:  # no terminal, or Ctrl-C
        return False


def _short(value: object) -> str:
    """A digest by its first digits; anything else as it is."""
    text = str(value)
    return f"{text[:12]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else text
