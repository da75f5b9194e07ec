"""Where somebody speaks: Silero's voice activity detector, without torch.

    detector = VoiceActivity.load()
    detector.probabilities(samples)         # float32 [ceil(N / 512)], of speech in each 32 ms

The model comes inside the package silero-vad (MIT), which is not imported: it wants torch. The distribution's
``silero_vad_16k_sequence.onnx`` takes any number of windows in one call and hands its recurrent state on; its answers
are those of the model that is fed window by window.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import identity, sha256_file

MODEL_ID = "silero-vad/16k"  # in configs/licensing/allowlist.yaml
DISTRIBUTION = "silero-vad"
WEIGHTS = "silero_vad/data/silero_vad_16k_sequence.onnx"  # in the distribution
SAMPLE_RATE = 16_000  # Hz
WINDOW = 512  # samples, 32 ms: one probability
_CONTEXT = 64  # samples before each window that the model also sees
_STATE = (1, 1, 128)
# Silence that the model is taken to have heard before. From its blank state it is slow to hear speech that begins at
# once: of 550 short prompts 7 began more than 0.15 s late, after two seconds of silence none did.
_SILENT_WINDOWS = 64
_WINDOWS_A_CALL = 128  # fixed, so that rounding is the same whatever the length; 20 to 1,000 are equally fast

Samples = NDArray[np.float32]


class VoiceActivity:
    """A loaded detector. One thread: whoever wants more cores starts more processes."""

    def __init__(self, session: Any, sha256: str) -> None:
        self._session = session
        self._sha256 = sha256
        blank = np.zeros(_STATE, np.float32)
        silence = np.zeros((_SILENT_WINDOWS, _CONTEXT + WINDOW), np.float32)
        _, *self._state = self._answer(silence, blank, blank)

    @classmethod
    def load(cls, *, voice: str | None = None) -> VoiceActivity:
        """Load the packaged model, some 30 ms. Raises VoiceFailure ``voice_activity_unavailable``."""
        try:
            path = Path(str(metadata.distribution(DISTRIBUTION).locate_file(WEIGHTS)))
            sha256 = sha256_file(path)
            session = _session(path)
        except Exception as error:  # onnxruntime's own errors have no other class in common
            detail = f"{MODEL_ID} cannot be loaded: {type(error).__name__}: {error}"
            raise VoiceFailure("voice_activity_unavailable", detail, voice=voice) from error
        return cls(session, sha256)

    @property
    def model_id(self) -> str:
        """``silero-vad/16k``."""
        return MODEL_ID

    @property
    def sha256(self) -> str:
        """sha256 of the ONNX file, as it was loaded."""
        return self._sha256

    @property
    def settings(self) -> dict[str, str | int]:
        """Everything else that decides what it answers."""
        return {
            "sample_rate": SAMPLE_RATE,
            "silent_windows": _SILENT_WINDOWS,
            "window": WINDOW,
            "windows_a_call": _WINDOWS_A_CALL,
        }

    @property
    def identity(self) -> str:
        """sha256 over model and settings: the key of what it measured."""
        return identity(model_id=self.model_id, sha256=self.sha256, **self.settings)

    def probabilities(self, samples: Samples) -> Samples:
        """Probability of speech, 0 to 1, in each 32 ms: float32 [N] mono at 16 kHz to float32 [ceil(N / 512)].

        The last window is filled with silence, and two seconds of silence are taken to have gone before. Nothing is
        remembered from one call to the next.
        """
        count = -(-len(samples) // WINDOW)
        padded = np.zeros(_CONTEXT + count * WINDOW, np.float32)
        padded[_CONTEXT : _CONTEXT + len(samples)] = samples
        found = np.empty(count, np.float32)
        hidden, cell = self._state
        for first in range(0, count, _WINDOWS_A_CALL):
            last = min(first + _WINDOWS_A_CALL, count)
            piece = padded[first * WINDOW : last * WINDOW + _CONTEXT]
            windows = np.lib.stride_tricks.sliding_window_view(piece, _CONTEXT + WINDOW)[::WINDOW]
            found[first:last], hidden, cell = self._answer(np.ascontiguousarray(windows), hidden, cell)
        return found

    def _answer(self, windows: Samples, hidden: Samples, cell: Samples) -> tuple[Samples, Samples, Samples]:
        """Probabilities of windows [N, 576], and the state behind them."""
        values = {"input": windows, "h": hidden, "c": cell}
        probabilities, hidden, cell = self._session.run(["speech_probs", "hn", "cn"], values)
        return probabilities, hidden, cell


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
