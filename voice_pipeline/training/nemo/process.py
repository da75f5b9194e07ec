"""What a training process owes to its surroundings: end when told to, end when its parent has died.

    interruption = Interruption.install()
    with interruption.deferred():        # between two points at which the training can be saved
        ...
    interruption.check()                 # raises VoiceFailure "cancelled"

A run of Dagster that is terminated sends SIGINT and never kills; a step's process that is killed says nothing at
all, and an orphaned trainer would go on for hours. The kernel tells of the parent's death (PR_SET_PDEATHSIG), and
because the parent may have died before it was asked, the parent's number is looked at too, now and every second.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.training.launcher import PARENT_ENVIRONMENT

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL = 1.0  # seconds


class Interruption:
    """A wish to end, from a signal or from the parent's death, that is granted where the training can be saved."""

    def __init__(self) -> None:
        self._cause: str | None = None
        self._deferred = 0
        # Taken out of the environment: the processes of other ranks have this one as their parent.
        named = os.environ.pop(PARENT_ENVIRONMENT, "")
        self._parent = int(named) if named.isdigit() else os.getppid()

    @classmethod
    def install(cls) -> Interruption:
        """Handle SIGINT, SIGTERM and the parent's death in this process. Call it from the main thread."""
        self = cls()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        # A signal of its own: the kernel also sends it when merely the parent's thread ended, which is no reason.
        signal.signal(signal.SIGUSR2, self._on_parent_signal)
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGUSR2, 0, 0, 0)
        threading.Thread(target=self._watch, name="parent watch", daemon=True).start()
        if self._orphaned():
            self._want("the process that started the training is gone")
        return self

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a wish to end waits for ``check``; outside, it ends what is going on at once."""
        self._deferred += 1
        try:
            yield
        finally:
            self._deferred -= 1

    def check(self) -> None:
        """Raises VoiceFailure ``cancelled`` when an end is wished for."""
        if self._cause is not None:
            raise VoiceFailure("cancelled", self._cause)

    @property
    def wanted(self) -> bool:
        """Whether an end is wished for."""
        return self._cause is not None

    def _want(self, cause: str) -> None:
        first = self._cause is None
        self._cause = self._cause or cause
        if first and not self._deferred:
            self.check()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._want(f"the training was told to end by {signal.Signals(number).name}")

    def _on_parent_signal(self, number: int, frame: FrameType | None) -> None:
        if self._orphaned():
            self._want("the process that started the training is gone")

    def _orphaned(self) -> bool:
        return os.getppid() != self._parent

    def _watch(self) -> None:
        while not self._orphaned():
            threading.Event().wait(_POLL)
        # Python runs handlers in the main thread only: send it there.
        os.kill(os.getpid(), signal.SIGUSR2)
