"""Recordings to a dataset: ``import`` and ``dataset``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from voice_pipeline.commands.options import (
    JsonOption,
    StoreOption,
    VoiceArgument,
    open_store,
    project_root,
    say_failure,
)
from voice_pipeline.failures import ConfigError

if TYPE_CHECKING:
    from voice_pipeline.recordings.detection import Kind
    from voice_pipeline.voice import TextKind


def import_(
    source: Annotated[Path, typer.Argument(help="A recording, a folder of recordings or clips, or a corpus.")],
    voice: Annotated[str, typer.Option("--voice", help="The new voice's id: a-z, 0-9, _ and -.")],
    language: Annotated[str, typer.Option(help="The language that is spoken, such as en-US.")] = "en-US",
    speaker: Annotated[str | None, typer.Option(help="The speaker's name or pseudonym.")] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="A program speaks, not a person.")] = False,
    consented_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day on which the person agreed.")
    ] = None,
    evidence: Annotated[
        str | None, typer.Option(help="The signed consent: its file, or in words where it is kept.")
    ] = None,
    evidence_sha256: Annotated[
        str | None, typer.Option("--evidence-sha256", help="Of the signed file. [default: computed, when it is here]")
    ] = None,
    commercial_use: Annotated[
        bool, typer.Option("--commercial-use", help="The consent covers a voice that is sold.")
    ] = False,
    purpose: Annotated[
        list[str] | None, typer.Option(help="What the person agreed to, such as text_to_speech; may be repeated.")
    ] = None,
    territory: Annotated[
        list[str] | None, typer.Option(help="Where: worldwide, or a country such as US; may be repeated.")
    ] = None,
    consent_language: Annotated[
        list[str] | None, typer.Option(help="In which language, such as en. [default: the one that is spoken]")
    ] = None,
    consent_until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day of the consent, where it ends.")
    ] = None,
    how: Annotated[str | None, typer.Option(help="How the consent was given, such as 'signed on paper'.")] = None,
    pseudonymous: Annotated[
        bool, typer.Option("--pseudonymous", help="The person wants no name in what is handed on.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option("--license", help="Of the recordings: an SPDX id or LicenseRef-….")
    ] = None,
    recipe: Annotated[str, typer.Option(help="How to train: a file in configs/recipes/.")] = "cpu_small",
    kind: Annotated[str | None, typer.Option(help="recording, clips or parquet. [default: detected]")] = None,
    text: Annotated[
        str | None, typer.Option(help="How the text is written, such as ljspeech or srt. [default: detected]")
    ] = None,
    text_path: Annotated[
        Path | None, typer.Option("--text-path", help="The text, where it does not lie beside the audio.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the config of a voice that is there.")
    ] = False,
) -> int:
    """Describe recordings as a new voice: write its config from what is found, and say what was assumed."""
    from voice_pipeline.recordings.importing import Agreement, import_source

    agreement = None
    if consented_on is not None and evidence:
        agreement = Agreement(
            consented_on.date(), evidence, commercial_use, tuple(purpose or ()), tuple(consent_language or ()),
            tuple(territory or ()), consent_until.date() if consent_until else None, how, evidence_sha256, pseudonymous,
        )  # fmt: skip
    elif any((consented_on, evidence, evidence_sha256, commercial_use, purpose, territory, consent_language,
              consent_until, how, pseudonymous)):  # fmt: skip
        raise ConfigError("a consent needs both --consented-on and --evidence")
    imported = import_source(
        project_root(), source, voice, language=language, speaker=speaker, synthetic=synthetic, agreement=agreement,
        license=licence, recipe=recipe, kind=cast("Kind | None", kind), text=cast("TextKind | None", text),
        text_path=text_path, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(str(imported.path))
    for assumption in imported.assumptions:
        typer.echo(f"- {assumption}")
    first = "complete the consent there, then: " if imported.consent_problem else ""
    typer.echo(f"Next: {first}voice-pipeline dataset {voice}")
    return 0


def dataset(
    voice: VoiceArgument,
    store: StoreOption = None,
    kept: Annotated[bool, typer.Option("--kept", help="List kept utterances only.")] = False,
    rejected: Annotated[bool, typer.Option("--rejected", help="List rejected utterances only.")] = False,
    limit: Annotated[int, typer.Option(help="How many of each to list; 0 lists all.", min=0)] = 10,
    as_json: JsonOption = False,
    last: Annotated[bool, typer.Option("--last", help="Show the last dataset as it is; prepare nothing.")] = False,
) -> int:
    """Prepare a voice's dataset and list which utterances are kept, which are rejected, and why."""
    from voice_pipeline.recordings.dataset.summary import is_about_dataset, summary_json, summary_text
    from voice_pipeline.voice import load_voice_by_id

    if kept and rejected:
        raise ConfigError("--kept and --rejected exclude each other; without both, both are listed")
    project, opened = project_root(), open_store(store)
    configured = load_voice_by_id(project, voice)
    code = 0
    if not last:
        from rich.console import Console

        from voice_pipeline.definitions import defs
        from voice_pipeline.orchestration.terminal import run_job

        console = Console(stderr=as_json)
        outcome = run_job(project, opened, configured, job=defs.resolve_job_def("dataset"), console=console)
        code = outcome.exit_code
        if outcome.failure is not None:
            say_failure(outcome.failure)
            if not is_about_dataset(opened, outcome.failure):
                return code  # what is there is of an earlier run, and says nothing about these recordings
    most = limit or None
    if as_json:
        value = summary_json(opened, voice, kept=not rejected, rejected=not kept, limit=most)
        typer.echo(json.dumps(value, indent=2, sort_keys=True))
    else:
        typer.echo(summary_text(opened, voice, kept=not rejected, rejected=not kept, limit=most))
    return code
