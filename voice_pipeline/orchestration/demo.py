"""``voice-pipeline demo``: the whole main job on the synthetic sample speaker."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from rich.console import Console

from voice_pipeline.bundle.speaking import speak_to_file
from voice_pipeline.failures import EXIT_SUCCESS, RootCause
from voice_pipeline.orchestration.terminal import run_job
from voice_pipeline.recordings.sample_speaker import record
from voice_pipeline.store import Store
from voice_pipeline.voice import load_voice_by_id

VOICE = "sample_speaker"
UNSEEN_SENTENCE = "Seven quiet boats drifted past the lighthouse at dawn."


def run_demo(project: Path, store: Store, job: dg.JobDefinition) -> int:
    """Record, train, judge, speak. Returns 0 when the job reached its decision, GO or NO-GO; else its exit code."""
    console = Console()
    voice = load_voice_by_id(project, VOICE)
    console.print(f"[bold]1. A synthetic speaker records its sentences[/] → {voice.source.path}")
    record(project / voice.source.path)
    console.print("[bold]2. The job turns the recordings into a gated voice[/]")
    outcome = run_job(project, store, voice, job=job, console=console)
    console.print(outcome.report.render(), highlight=False, markup=False, soft_wrap=True)
    failure = outcome.failure
    if failure is not None and failure.root_cause_class is not RootCause.PROMOTION_BLOCKED:
        console.print(str(failure), style="red", markup=False)
        return outcome.exit_code
    console.print("[bold]3. The new bundle says a sentence it never saw[/]")
    path = store.root / "demo" / "unseen_sentence.wav"
    speech = speak_to_file(store.bundle(VOICE), UNSEEN_SENTENCE, path)
    console.print(f'"{UNSEEN_SENTENCE}"')
    console.print(f"{path} ({speech.duration:.1f} s)", soft_wrap=True)
    if failure is not None:
        console.print(
            "\nThe decision is NO-GO, and honestly so: minutes of training from nothing make a voice that runs "
            "through every step, not one that may ship.",
            style="yellow",
        )
    return EXIT_SUCCESS
