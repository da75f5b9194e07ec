"""A voice bundle speaks: numpy, onnxruntime and the text code, nothing else.

    synthesizer = Synthesizer.load(folder)
    speech = synthesizer.speak("Good morning. It is $23.50.")
    write_wav(path, speech)

Laws, held by tests:

- the same text, pace, bundle and number of threads give the same samples on one machine;
- ``concatenate(stream(text))`` has the samples of ``speak(text)``;
- no sample is louder than the settings' ceiling.

A bundle is verified by ``validation.validate_bundle``; speaking does not read every byte again.
"""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voice_pipeline.atomic import write_bytes
from voice_pipeline.bundle import levels
from voice_pipeline.bundle.settings import SYNTHESIZER_NAME, SynthesizerSettings
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.text.errors import EMPTY_TEXT, TEXT_TOO_LONG, TextError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voice_pipeline.text.frontend import TextFrontend

MIN_PACE, MAX_PACE = 0.5, 2.0
_PARAGRAPH = re.compile(r"\n[ \t\r\f\v]*\n")
_SENTENCE_END = (".", "!", "?", "…")
_CLOSING = "\"'”’)]}»"


@dataclass(frozen=True)
class Speech:
    """Spoken audio: float32 samples [N] within -1..1, mono."""

    samples: NDArray[np.float32]
    sample_rate: int  # Hz

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class _Piece:
    """A sentence, or a part of a long one, and the pause that follows it."""

    text: str
    pause: float  # seconds


class Synthesizer:
    """One loaded bundle. Safe to use from several threads: it holds no state between calls."""

    def __init__(self, settings: SynthesizerSettings, frontend: TextFrontend, acoustic: Any, vocoder: Any) -> None:
        self.settings = settings
        self._frontend = frontend
        self._acoustic = acoustic
        self._vocoder = vocoder

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> Synthesizer:
        """Load the bundle in ``folder``; ``threads`` are those of one network run.

        Raises VoiceFailure ``bundle_invalid`` for a folder that is no bundle or does not fit together.
        """
        from voice_pipeline.text.frontend import TextFrontend

        try:
            settings = SynthesizerSettings.read(folder / SYNTHESIZER_NAME)
            acoustic = _session(folder / settings.acoustic, threads)
            vocoder = _session(folder / settings.vocoder, threads)
            frontend = TextFrontend.load(folder / settings.frontend)
        except ImportError:  # the installation is at fault, not the bundle
            raise
        except Exception as error:  # onnxruntime's own exceptions have no common base but Exception
            raise VoiceFailure("bundle_invalid", f"{type(error).__name__}: {error}", file=folder) from error
        if len(frontend.symbol_table) != settings.symbols:
            detail = f"the text frontend has {len(frontend.symbol_table)} symbols, the model {settings.symbols}"
            raise VoiceFailure("bundle_invalid", detail, file=folder)
        return cls(settings, frontend, acoustic, vocoder)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.settings.sample_rate

    def speak(self, text: str, *, pace: float = 1.0) -> Speech:
        """Speak the whole text. ``pace`` 2.0 is twice as fast.

        Raises TextError for a text that is empty, too long or in a script that the voice does not read,
        ValueError for a pace outside MIN_PACE..MAX_PACE.
        """
        return concatenate(self.stream(text, pace=pace), self.sample_rate)

    def stream(self, text: str, *, pace: float = 1.0) -> Iterator[Speech]:
        """Speak sentence by sentence: the first one can be played while the next is made. Raises as ``speak``.

        The whole text is checked before the first sentence is spoken.
        """
        if not MIN_PACE <= pace <= MAX_PACE:
            raise ValueError(f"pace must be within {MIN_PACE}..{MAX_PACE}, not {pace}")
        return self._spoken(list(self._encoded(self._pieces(text))), pace)

    def _encoded(self, pieces: Iterable[_Piece]) -> Iterator[tuple[_Piece, Sequence[int]]]:
        """Each piece with its symbol ids; a piece of nothing but punctuation, as in "Well ... no.", is left out."""
        empty: TextError | None = None
        found = False
        for piece in pieces:
            try:
                ids = self._frontend.encode(piece.text)
            except TextError as error:
                if error.code != EMPTY_TEXT:
                    raise
                empty = error
                continue
            found = True
            yield piece, ids
        if empty is not None and not found:
            raise empty

    def _spoken(self, pieces: Sequence[tuple[_Piece, Sequence[int]]], pace: float) -> Iterator[Speech]:
        rate, heard = self.sample_rate, False
        for number, (piece, ids) in enumerate(pieces):
            samples = self._synthesize(ids, pace)
            if not len(samples):
                continue
            heard = True
            pause = 0.0 if number == len(pieces) - 1 else piece.pause / pace
            samples = levels.limit(samples, rate, self.settings.ceiling)
            samples = levels.end_softly(levels.trim_silence(samples, rate), rate)
            silence = np.zeros(round(pause * rate), np.float32)
            yield Speech(np.concatenate([samples, silence]), rate)
        if not heard:
            raise VoiceFailure("bundle_invalid", "the acoustic model predicts no sound at all for this text")

    def _synthesize(self, ids: Sequence[int], pace: float) -> NDArray[np.float32]:
        """Symbol ids [N] -> samples [T * hop]; none when the model gives every symbol no time."""
        shape = (1, len(ids))
        inputs = {"text": np.array([ids], np.int64), "pitch": np.zeros(shape, np.float32)}
        mel = self._acoustic.run(["spect"], inputs | {"pace": np.full(shape, pace, np.float32)})[0]
        if mel.shape[2] == 0:
            return np.zeros(0, np.float32)
        samples: NDArray[np.float32] = self._vocoder.run(["audio"], {"spec": mel})[0].reshape(-1)
        if not np.isfinite(samples).all():
            raise VoiceFailure("bundle_invalid", "the networks' output is not finite")
        return samples

    def _pieces(self, text: str) -> list[_Piece]:
        settings = self.settings
        if len(text) > settings.max_text_chars:
            detail = (
                f"the text has {len(text)} characters; {settings.max_text_chars} is the most that is spoken at once"
            )
            raise TextError(TEXT_TOO_LONG, detail)
        pieces = []
        for paragraph in _PARAGRAPH.split(text):
            if not paragraph.strip():
                continue
            sentences = self._frontend.split_sentences(paragraph, max_chars=settings.max_sentence_chars)
            for number, sentence in enumerate(sentences):
                last = number == len(sentences) - 1
                ends = sentence.rstrip(_CLOSING + " ").endswith(_SENTENCE_END)
                pause = settings.paragraph_pause if last else settings.sentence_pause if ends else settings.clause_pause
                pieces.append(_Piece(sentence, pause))
        if not pieces:
            raise TextError(EMPTY_TEXT, "there is nothing to say: the text is empty")
        return pieces


def concatenate(parts: Iterable[Speech], sample_rate: int) -> Speech:
    """One speech of all parts, in order."""
    samples = [part.samples for part in parts]
    return Speech(np.concatenate(samples) if samples else np.zeros(0, np.float32), sample_rate)


def wav_bytes(speech: Speech) -> bytes:
    """A WAV file, mono, 16-bit PCM. The same samples give the same bytes."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)  # bytes
        file.setframerate(speech.sample_rate)
        file.writeframes(np.rint(np.clip(speech.samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return buffer.getvalue()


def write_wav(path: Path, speech: Speech) -> None:
    """Write a WAV file atomically. Raises VoiceFailure when the disk refuses."""
    write_bytes(path, wav_bytes(speech))


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; warnings about unused initialisers are no news for a listener
    if threads > 1:
        # Workers that spin between operators burn a core that the next sentence, or another voice, could use.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
