"""A process that is killed at one point of a promotion, as by kill -9 or a power cut."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from voice_pipeline.promotion import registry
from voice_pipeline.promotion.promote import moment
from voice_pipeline_tests.promotion.releasing import roll_back
from voice_pipeline_tests.ready_voice import NAME, TODAY, ReadyVoice


def server() -> ForkServerContext:
    """Makes processes quickly: it has loaded once what each of them needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "voice_pipeline_tests.promotion.warm"])
    return context


def killed_at(project: Path, point: str, act: str = "promote") -> int:
    """Run ``act`` in a process that dies ``before`` or ``after`` a function; its exit code, -9 for a kill.

    ``point`` is written as ``before module.function``.
    """
    process = server().Process(target=_die, args=(project, point, act))
    process.start()
    process.join(60)
    assert process.exitcode is not None, f"{point}: it hangs"
    return process.exitcode


def _die(project: Path, point: str, act: str) -> None:
    when, _, place = point.partition(" ")
    module, _, name = place.rpartition(".")
    owner = importlib.import_module(module if module == "os" else f"voice_pipeline.promotion.{module}")
    original = getattr(owner, name)

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            original(*args, **kwargs)
        if when == "within":  # half of a line is on the disk
            original(args[0], args[1][: len(args[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)
    ready = ReadyVoice(project)
    if act == "promote":
        ready.promote()
    elif act == "rollback":
        roll_back(ready)
    else:
        registry.withdraw(ready.store, NAME, by="dora", reason="asked for it", at=moment(TODAY)[1])
