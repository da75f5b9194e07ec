"""The training program: its arguments, its surroundings, how it ends.

Exit codes: 0 trained; 1 train_failed; 2 blocked; 64 wrong usage. The reason is in train_status.json, and one line
on stderr says it to a person.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from voice_pipeline.failures import EXIT_SUCCESS, EXIT_USAGE, ConfigError, VoiceFailure
from voice_pipeline.training.nemo.checkpoints import TEMPORARY, remove_leftovers
from voice_pipeline.training.nemo.process import Interruption
from voice_pipeline.training.nemo.reporting import Reporter, take_stdout
from voice_pipeline.training.spec import TrainingSpec, read_spec, threads_of

_PIPES_ENVIRONMENT = "DAGSTER_PIPES_CONTEXT"
_log = logging.getLogger("voice_pipeline.training.nemo")


def run(arguments: list[str]) -> int:
    """Train what ``arguments`` (one spec file) describe; returns the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m voice_pipeline.training.nemo SPEC.json", file=sys.stderr)
        return EXIT_USAGE
    try:
        spec = read_spec(Path(arguments[0]))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    stream = take_stdout()
    first_rank = os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"
    reporter = Reporter(spec, stream if first_rank else None, spec.recipe.total_steps + 1)
    try:
        interruption = Interruption.install()
        _prepare(spec)
        reporter.start()
        with _pipes(enabled=first_rank) as report:
            from voice_pipeline.training.nemo.training import train

            figures = train(spec, reporter, interruption)
            report(figures)
    except VoiceFailure as failure:
        return _fail(reporter, failure, spec)
    except KeyboardInterrupt:
        return _fail(reporter, VoiceFailure("cancelled", "the training was interrupted"), spec)
    except Exception as error:
        classified = classify(error)
        if classified.reason == "trainer_exit_nonzero":
            traceback.print_exc()
        return _fail(reporter, classified, spec)
    finally:
        if first_rank:
            with suppress(OSError, ValueError):
                shutil.rmtree(spec.path(spec.work_dir) / TEMPORARY)
    return EXIT_SUCCESS


def classify(error: BaseException) -> VoiceFailure:
    """The classified failure behind an exception that no part of the training classified."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    chain, seen = error, set[int]()
    while id(chain) not in seen:
        seen.add(id(chain))
        if isinstance(chain, VoiceFailure):  # a signal that came while hydra built a model is wrapped by hydra
            return chain
        if isinstance(chain, BrokenPipeError):
            return VoiceFailure("cancelled", "the run that started the training is gone")
        if isinstance(chain, OSError) and chain.errno in (errno.ENOSPC, errno.EDQUOT):
            return VoiceFailure("disk_full", "no space left on the device", file=chain.filename)
        if isinstance(chain, OSError) and chain.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return VoiceFailure("permission_denied", chain.strerror or "", file=chain.filename)
        if isinstance(chain, MemoryError) or type(chain).__name__ == "OutOfMemoryError":
            return VoiceFailure("out_of_memory", text)
        if isinstance(chain, OSError) and chain.errno == errno.ENOMEM:
            return VoiceFailure("out_of_memory", text)
        # torch's CPU allocator raises a plain RuntimeError.
        if isinstance(chain, RuntimeError) and ("can't allocate memory" in str(chain) or "out of memory" in str(chain)):
            return VoiceFailure("out_of_memory", text)
        chain = chain.__cause__ or chain.__context__ or chain
    return VoiceFailure("trainer_exit_nonzero", text)


def _prepare(spec: TrainingSpec) -> None:
    """Threads, temporary files and determinism, before anything heavy is imported."""
    work_dir = spec.path(spec.work_dir)
    # NeMo packs its archives in a temporary folder: on the store's disk, so that one disk decides.
    temporary = work_dir / TEMPORARY
    temporary.mkdir(parents=True, exist_ok=True)
    remove_leftovers(work_dir)
    tempfile.tempdir = str(temporary)
    if threads := threads_of(spec):
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ[name] = str(threads)
    # Threads that wait asleep: on a machine with other work, spinning ones made a step five times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only with this
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _fail(reporter: Reporter, failure: VoiceFailure, spec: TrainingSpec) -> int:
    if failure.voice is None:
        failure = VoiceFailure(failure.reason, failure.detail, voice=spec.voice_profile_id, file=failure.file)
    if not reporter.silent:
        print(f"{failure}\nnext: {failure.next_unblock_action}", file=sys.stderr)
    reporter.fail(failure)
    return failure.exit_code


@contextmanager
def _pipes(*, enabled: bool) -> Iterator[Any]:
    """Dagster Pipes when a Dagster run started this process; yields a function that reports the figures."""

    def ignore(figures: Mapping[str, Any]) -> None:
        return None

    if not enabled or not os.environ.get(_PIPES_ENVIRONMENT):
        yield ignore
        return
    try:
        from dagster_pipes import open_dagster_pipes
    except ImportError:
        _log.warning("dagster-pipes is not installed; the run sees the protocol only")
        yield ignore
        return
    with open_dagster_pipes() as pipes:

        def report(figures: Mapping[str, Any]) -> None:
            shown = {key: value for key, value in figures.items() if value is not None}
            pipes.report_asset_materialization(
                metadata={
                    key: {"raw_value": dict(value), "type": "json"} if isinstance(value, Mapping) else value
                    for key, value in shown.items()
                }
            )

        yield report
