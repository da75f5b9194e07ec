"""The command ``voice-pipeline``. Each command calls one function of the package, imported when it is needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from voice_pipeline.failures import EXIT_USAGE, ConfigError, VoiceFailure

if TYPE_CHECKING:
    from voice_pipeline.recordings.detection import Kind
    from voice_pipeline.store import Store
    from voice_pipeline.voice import TextKind

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's own, which typer carries but does not export

app = typer.Typer(
    name="voice-pipeline",
    help="Turn one speaker's recordings into a voice one may ship.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

StoreOption = Annotated[
    Path | None, typer.Option("--store", envvar="VOICE_STORE", help="The store's folder. [default: store]")
]
VoiceArgument = Annotated[str, typer.Argument(help="The voice's id: its file's name in configs/voices/.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1, 2, 3 or 64."""
    try:
        result = typer.main.get_command(app).main(
            args=list(sys.argv[1:] if arguments is None else arguments),
            prog_name="voice-pipeline",
            standalone_mode=False,
        )
        return result if isinstance(result, int) else 0
    except UsageError as error:
        error.show()  # type: ignore[attr-defined]
        return EXIT_USAGE
    except ConfigError as error:
        return _say(str(error), error.exit_code)
    except VoiceFailure as failure:
        return _say(f"{failure}\nNext: {failure.next_unblock_action}", failure.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _say("Interrupted. Run the command again to go on from the last checkpoint.", 130)


@app.command()
def demo(store: StoreOption = None) -> int:
    """Record the synthetic sample speaker, train a small voice on it, judge it, and let it speak."""
    from voice_pipeline.definitions import defs
    from voice_pipeline.orchestration.demo import run_demo

    return run_demo(_project(), _store(store), defs.resolve_job_def("tts_prod_train_nemo"))


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A recording, a folder of recordings or clips, or a corpus.")],
    voice: Annotated[str, typer.Option("--voice", help="The new voice's id: a-z, 0-9, _ and -.")],
    language: Annotated[str, typer.Option(help="The language that is spoken, such as en-US.")] = "en-US",
    speaker: Annotated[str | None, typer.Option(help="The speaker's name or pseudonym.")] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="A program speaks, not a person.")] = False,
    consented_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day on which the person agreed.")
    ] = None,
    evidence: Annotated[str | None, typer.Option(help="Where the signed consent is kept.")] = None,
    commercial_use: Annotated[
        bool, typer.Option("--commercial-use", help="The consent covers a voice that is sold.")
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
        agreement = Agreement(consented_on.date(), evidence, commercial_use)
    elif consented_on is not None or evidence or commercial_use:
        raise ConfigError("a consent needs both --consented-on and --evidence")
    imported = import_source(
        _project(), source, voice, language=language, speaker=speaker, synthetic=synthetic, agreement=agreement,
        license=licence, recipe=recipe, kind=cast("Kind | None", kind), text=cast("TextKind | None", text),
        text_path=text_path, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(str(imported.path))
    for assumption in imported.assumptions:
        typer.echo(f"- {assumption}")
    first = "record the consent there, then: " if imported.voice.consent.status == "missing" else ""
    typer.echo(f"Next: {first}voice-pipeline dataset {voice}")
    return 0


@app.command()
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
    project, opened = _project(), _store(store)
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
            _say(f"{outcome.failure}\nNext: {outcome.failure.next_unblock_action}", code)
            if not is_about_dataset(opened, outcome.failure):
                return code  # what is there is of an earlier run, and says nothing about these recordings
    most = limit or None
    if as_json:
        value = summary_json(opened, voice, kept=not rejected, rejected=not kept, limit=most)
        typer.echo(json.dumps(value, indent=2, sort_keys=True))
    else:
        typer.echo(summary_text(opened, voice, kept=not rejected, rejected=not kept, limit=most))
    return code


@app.command()
def train(voice: VoiceArgument, store: StoreOption = None) -> int:
    """Run the whole job for one voice: recordings in, a promoted voice or a reasoned NO-GO out."""
    from rich.console import Console

    from voice_pipeline.definitions import defs
    from voice_pipeline.orchestration.terminal import run_job
    from voice_pipeline.report import report_header
    from voice_pipeline.voice import load_voice_by_id

    project = _project()
    configured = load_voice_by_id(project, voice)
    if configured.job_type not in {job.name for job in defs.jobs or ()}:
        raise ConfigError(f"{voice}: the {configured.lane} lane has no job in this version; use lane: production")
    job = defs.resolve_job_def(configured.job_type)
    outcome = run_job(project, _store(store), configured, job=job, console=Console())
    typer.echo(outcome.report.render(report_header(configured)), nl=False)
    if outcome.failure is not None:
        typer.echo(str(outcome.failure), err=True)
    return outcome.exit_code


@app.command()
def status(
    voice: Annotated[str | None, typer.Argument(help="A voice's id; all voices without it.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what a voice's training is doing, or how it ended."""
    from voice_pipeline.overview import voice_states

    states = voice_states(_project(), _store(store), voice)
    if as_json:
        typer.echo(json.dumps(states if voice is None else states[0], indent=2, sort_keys=True))
        return 0
    for state in states:
        typer.echo(
            f"{state['voice_profile_id']:<24} {state['state']:<10} {state['progress']:<12} "
            f"promoted: {state['promoted']:<4} {state['message']}"
        )
    return 0


@app.command()
def report(voice: VoiceArgument, store: StoreOption = None, as_json: JsonOption = False) -> int:
    """Print the report of a voice's last run."""
    from voice_pipeline.overview import last_report

    typer.echo(last_report(_project(), _store(store), voice, "json" if as_json else "txt"), nl=False)
    return 0


@app.command()
def speak(
    voice: Annotated[str, typer.Argument(help="A voice's id, or the folder of a bundle.")],
    text: Annotated[str, typer.Argument(help="What to say; - reads standard input.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The WAV file to write.")],
    store: StoreOption = None,
    pace: Annotated[float, typer.Option(help="1.0 is the voice's own pace; 1.2 is faster.", min=0.5, max=2.0)] = 1.0,
) -> int:
    """Speak a text with a voice's bundle: the promoted one, else the newest."""
    from voice_pipeline.bundle.speaking import bundle_of, speak_to_file

    words = sys.stdin.read() if text == "-" else text
    speech = speak_to_file(bundle_of(_store(store), voice), words, output, pace=pace)
    typer.echo(f"{output}: {speech.duration:.2f} s at {speech.sample_rate} Hz")
    return 0


@app.command("verify-bundle")
def verify_bundle(
    folder: Annotated[Path, typer.Argument(help="The bundle's folder, with its manifest.json.")],
    as_json: JsonOption = False,
) -> int:
    """Check a voice bundle: every listed file, its size and its digest, and nothing else."""
    from voice_pipeline.bundle.validation import validate_bundle
    from voice_pipeline.failures import EXIT_PROMOTION_BLOCKED

    problems = validate_bundle(folder)
    if as_json:
        typer.echo(json.dumps({"valid": not problems, "problems": [str(problem) for problem in problems]}, indent=2))
    else:
        for problem in problems:
            typer.echo(str(problem))
        typer.echo("bundle valid" if not problems else f"bundle invalid: {len(problems)} problem(s)")
    return EXIT_PROMOTION_BLOCKED if problems else 0


@app.command("verify-weights")
def verify_weights(
    manifest: Annotated[Path, typer.Argument(help="A weights manifest (JSON).")],
    file: Annotated[Path | None, typer.Option("--file", help="The weights, to compare with the checksum.")] = None,
) -> int:
    """Check a weights manifest; prints one line and exits with the validator's own code, 0 to 11."""
    from voice_pipeline.licensing.weights_manifest import validate_weights_manifest

    code, line = validate_weights_manifest(manifest, file)
    typer.echo(line)
    return code


@app.command()
def doctor(store: StoreOption = None, as_json: JsonOption = False) -> int:
    """Show what this machine can run, which lanes are blocked, and why."""
    from dataclasses import asdict

    from voice_pipeline.doctor import examine

    findings = examine(_store(store))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        return 0
    marks = {"ok": "ok", "blocked": "BLOCKED", "absent": "-"}
    for finding in findings:
        reason = f" [{finding.reason}] {finding.next_unblock_action}" if finding.reason else ""
        typer.echo(f"{marks[finding.state]:<8} {finding.name:<28} {finding.detail}{reason}")
    return 0


@app.command()
def ui(
    store: StoreOption = None,
    port: Annotated[int, typer.Option(help="The port on this machine.", min=1, max=65535)] = 3000,
    host: Annotated[str, typer.Option(help="The address to listen on; this machine only, by default.")] = "127.0.0.1",
) -> int:
    """Start the Dagster UI with the store's own instance: dagster dev, all set up."""
    from voice_pipeline.orchestration.webserver import serve_ui

    return serve_ui(_project(), _store(store), host, port)


def _project() -> Path:
    from voice_pipeline.project import find_project

    return find_project()


def _store(option: Path | None) -> Store:
    from voice_pipeline.project import find_project
    from voice_pipeline.store import Store

    try:
        return Store.open(option, default=find_project() / "store")
    except ConfigError:
        return Store.open(option)  # a bundle speaks without a project


def _say(message: str, code: int) -> int:
    typer.echo(message, err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
