"""The command ``voice-pipeline``. Each command calls one function of the package, imported when it is needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from voice_pipeline.commands import checking, preparing, releasing
from voice_pipeline.commands.options import (
    JsonOption,
    StoreOption,
    VoiceArgument,
    open_store,
    project_root,
    say,
    say_failure,
)
from voice_pipeline.failures import EXIT_USAGE, ConfigError, VoiceFailure

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's own, which typer carries but does not export

app = typer.Typer(
    name="voice-pipeline",
    help="Turn one speaker's recordings into a voice one may ship.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


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
        return say(str(error), error.exit_code)
    except VoiceFailure as failure:
        return say_failure(failure)
    except (KeyboardInterrupt, typer.Abort):
        return say("Interrupted. Run the command again to go on from the last checkpoint.", 130)


def demo(store: StoreOption = None) -> int:
    """Record the synthetic sample speaker, train a small voice on it, judge it, and let it speak."""
    from voice_pipeline.definitions import defs
    from voice_pipeline.orchestration.demo import run_demo

    return run_demo(project_root(), open_store(store), defs.resolve_job_def("tts_prod_train_nemo"))


def train(voice: VoiceArgument, store: StoreOption = None) -> int:
    """Run the whole job for one voice: recordings in, a promoted voice or a reasoned NO-GO out."""
    from rich.console import Console

    from voice_pipeline.definitions import defs
    from voice_pipeline.orchestration.terminal import run_job
    from voice_pipeline.report import report_header
    from voice_pipeline.voice import load_voice_by_id

    project = project_root()
    configured = load_voice_by_id(project, voice)
    if configured.job_type not in {job.name for job in defs.jobs or ()}:
        raise ConfigError(f"{voice}: the {configured.lane} lane has no job in this version; use lane: production")
    job = defs.resolve_job_def(configured.job_type)
    outcome = run_job(project, open_store(store), configured, job=job, console=Console())
    typer.echo(outcome.report.render(report_header(configured)), nl=False)
    if outcome.failure is not None:
        typer.echo(str(outcome.failure), err=True)
    return outcome.exit_code


def status(
    voice: Annotated[str | None, typer.Argument(help="A voice's id; all voices without it.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what a voice's training is doing, or how it ended."""
    from voice_pipeline.overview import voice_states

    states = voice_states(project_root(), open_store(store), voice)
    if as_json:
        typer.echo(json.dumps(states if voice is None else states[0], indent=2, sort_keys=True))
        return 0
    for state in states:
        typer.echo(
            f"{state['voice_profile_id']:<24} {state['state']:<10} {state['progress']:<12} "
            f"promoted: {state['promoted']:<4} {state['message']}"
        )
    return 0


def report(voice: VoiceArgument, store: StoreOption = None, as_json: JsonOption = False) -> int:
    """Print the report of a voice's last run."""
    from voice_pipeline.overview import last_report

    typer.echo(last_report(project_root(), open_store(store), voice, "json" if as_json else "txt"), nl=False)
    return 0


def speak(
    voice: Annotated[str, typer.Argument(help="A voice's id, or the folder of a bundle.")],
    text: Annotated[str, typer.Argument(help="What to say; - reads standard input.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The WAV file to write.")],
    store: StoreOption = None,
    pace: Annotated[float, typer.Option(help="1.0 is the voice's own pace; 1.2 is faster.", min=0.5, max=2.0)] = 1.0,
) -> int:
    """Speak a text with a voice's bundle: the promoted one, else the newest. For listening: no signature is asked."""
    from voice_pipeline.bundle.speaking import bundle_of, speak_to_file

    words = sys.stdin.read() if text == "-" else text
    speech = speak_to_file(bundle_of(open_store(store), voice), words, output, pace=pace)
    typer.echo(f"{output}: {speech.duration:.2f} s at {speech.sample_rate} Hz")
    return 0


def doctor(store: StoreOption = None, as_json: JsonOption = False) -> int:
    """Show what this machine can run, which lanes are blocked, and why."""
    from dataclasses import asdict

    from voice_pipeline.doctor import examine

    findings = examine(open_store(store))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        return 0
    marks = {"ok": "ok", "blocked": "BLOCKED", "absent": "-"}
    for finding in findings:
        reason = f"[{finding.reason}]" if finding.reason else ""
        action = f"→ {finding.next_unblock_action}" if finding.next_unblock_action else ""
        words = " ".join(word for word in (finding.detail, reason, action) if word)
        typer.echo(f"{marks[finding.state]:<8} {finding.name:<28} {words}")
    return 0


def serve(
    store: StoreOption = None,
    port: Annotated[int, typer.Option(help="The port on this machine.", min=0, max=65535)] = 8470,
    host: Annotated[str, typer.Option(help="The address to listen on; this machine only, by default.")] = "127.0.0.1",
    expose: Annotated[bool, typer.Option("--expose", help="Allow an address that other machines reach.")] = False,
    name: Annotated[list[str] | None, typer.Option("--name", help="A host name by which others call it.")] = None,
    key: checking.KeyOption = None,
    voice: Annotated[
        str | None, typer.Option("--voice", envvar="VOICE_DEFAULT", help="Speaks where a request names no voice.")
    ] = None,
) -> int:
    """Serve the promoted voices over HTTP. With a key, only what it signed speaks."""
    from voice_pipeline.serving.server import serve as run

    return run(
        project_root(), open_store(store), host, port,
        verification_key=key, default_voice=voice, expose=expose, hosts=name or (),
    )  # fmt: skip


def ui(
    store: StoreOption = None,
    port: Annotated[int, typer.Option(help="The port on this machine.", min=1, max=65535)] = 3000,
    host: Annotated[str, typer.Option(help="The address to listen on; this machine only, by default.")] = "127.0.0.1",
) -> int:
    """Start the Dagster UI with the store's own instance: dagster dev, all set up."""
    from voice_pipeline.orchestration.webserver import serve_ui

    return serve_ui(project_root(), open_store(store), host, port)


# The order of the help: that of the work.
for _name, _command in (
    ("demo", demo), ("import", preparing.import_), ("dataset", preparing.dataset), ("train", train), ("status", status),
    ("report", report), ("speak", speak), ("verify", releasing.verify), ("promote", releasing.promote),
    ("history", releasing.history), ("rollback", releasing.rollback), ("revoke", releasing.revoke),
    ("lineage", releasing.lineage), ("keygen", checking.keygen), ("verify-bundle", checking.verify_bundle),
    ("verify-weights", checking.verify_weights), ("serve", serve), ("ui", ui), ("doctor", doctor),
):  # fmt: skip
    app.command(_name)(_command)


if __name__ == "__main__":
    sys.exit(main())
