"""A local NeMo speech recogniser, ``.nemo``: run as a program in the trainer's interpreter, which has NeMo.

    recognizer = NemoRecognizer.load(Path("models/asr.nemo"), model_id="somebody/asr")
    recognizer.transcribe(samples, sample_rate)

The file comes from elsewhere: its archive, its pickles and its config are checked before NeMo sees them, its weights
are read by torch's restricted reader, and what runs is the file with the sha256 that was checked. The program starts
at the first clip (importing NeMo takes a quarter of a minute) and ends with this process. Clips are heard one by one
on one thread, so that no clip changes another's text.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from voice_pipeline.doctor import trainer_python
from voice_pipeline.failures import REASONS, VoiceFailure
from voice_pipeline.nemo_archive import open_archive
from voice_pipeline.recognition.nemo_config import PARENT_ENVIRONMENT, checked_config
from voice_pipeline.recognition.recognizer import Samples, Word, recognizer_identity

PROGRAM = "voice_pipeline.recognition.nemo_program"
START_SECONDS = 900.0  # NeMo's first import on a busy machine takes minutes
_CLIP_SECONDS = 60.0  # to answer a clip, and ten times as long as it is
_PROBE = "import importlib.metadata as m; print(*(m.version(n) for n in ('nemo_toolkit', 'torch', 'voice-pipeline')))"


class NemoRecognizer:
    """A NeMo model behind a pipe."""

    def __init__(self, path: Path, *, model_id: str, sha256: str, versions: dict[str, str], voice: str | None) -> None:
        self._path = path
        self._model_id = model_id
        self._sha256 = sha256
        self._versions = versions
        self._voice = voice
        self._program: _Program | None = None

    @classmethod
    def load(cls, path: Path, *, model_id: str, voice: str | None = None) -> NemoRecognizer:
        """Check the file and the interpreter; nothing of the model is loaded yet.

        Raises VoiceFailure ``recognizer_unavailable`` without the file, ``nemo_runtime_unavailable`` without NeMo,
        ``base_checkpoint_unsafe`` or ``base_checkpoint_incompatible`` for a file that must not, or cannot, be loaded.
        """
        if not path.is_file():
            raise VoiceFailure("recognizer_unavailable", "there is no such file", voice=voice, file=path)
        with open_archive(path) as archive:
            checked_config(archive.config, path)
        return cls(path, model_id=model_id, sha256=archive.sha256, versions=_versions(voice), voice=voice)

    @property
    def model_id(self) -> str:
        """What the model's manifest says."""
        return self._model_id

    @property
    def sha256(self) -> str:
        """sha256 of the .nemo file."""
        return self._sha256

    @property
    def settings(self) -> dict[str, str | int]:
        """The versions of NeMo and torch."""
        return {**self._versions}

    @property
    def identity(self) -> str:
        """sha256 of everything that decides what it answers."""
        return recognizer_identity(self)

    @property
    def has_words(self) -> bool:
        """Not every NeMo model times its words, so none is asked to."""
        return False

    def transcribe(self, samples: Samples, sample_rate: int) -> str:
        """The text of speech: float32 [N] within -1..1, mono. Raises VoiceFailure as ``transcribe_many``."""
        return self.transcribe_many([samples], sample_rate)[0]

    def transcribe_many(self, clips: Sequence[Samples], sample_rate: int) -> list[str]:
        """The text of each clip, "" for one without samples.

        Raises VoiceFailure ``nemo_runtime_unavailable``, ``base_checkpoint_unsafe``, ``base_checkpoint_incompatible``,
        or ``recognizer_unavailable`` when the program ends or does not answer.
        """
        texts = [""] * len(clips)
        asked = [index for index, clip in enumerate(clips) if len(clip)]
        if not asked:
            return texts
        if self._program is None:
            self._program = _Program(self._path, self._sha256, self._voice)
        program = self._program
        with tempfile.TemporaryDirectory(prefix="voice-nemo-") as folder:
            wavs = []
            for index in asked:
                wavs.append(str(Path(folder) / f"{index}.wav"))
                _write(Path(wavs[-1]), clips[index], sample_rate, program.sample_rate)
            seconds = sum(_CLIP_SECONDS + 10 * len(clips[index]) / sample_rate for index in asked)
            try:
                found = program.ask({"wavs": wavs}, seconds).get("texts")
            except VoiceFailure:
                self.close()  # the next clip starts it again
                raise
        if not isinstance(found, list) or len(found) != len(asked):
            raise program.failure("it answered something else than texts")
        for index, text in zip(asked, found, strict=True):
            texts[index] = str(text)
        return texts

    def words(self, samples: Samples, sample_rate: int) -> tuple[Word, ...]:
        """Raises VoiceFailure ``recognizer_unavailable``: see ``has_words``."""
        raise VoiceFailure("recognizer_unavailable", f"{self.model_id} does not say when a word was spoken")

    def close(self) -> None:
        """End the program. The next clip starts it again."""
        if self._program is not None:
            self._program.close()
            self._program = None


class _Program:
    """The running program. It is ended when this object goes, and when this process does."""

    def __init__(self, path: Path, sha256: str, voice: str | None) -> None:
        self._path, self._voice = path, voice
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the program
        ours = {PARENT_ENVIRONMENT: str(os.getpid()), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(
                [trainer_python(), "-m", PROGRAM, str(path.resolve()), sha256],
                env={**os.environ, **ours, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
        except OSError as error:
            detail = f"no interpreter to listen with: {trainer_python()}: {error.strerror}"
            raise VoiceFailure("nemo_runtime_unavailable", detail, voice=voice) from error
        self._finalizer = weakref.finalize(self, _end, self._process, self._log)
        ready = self._answer(START_SECONDS).get("ready")
        rate = ready.get("sample_rate") if isinstance(ready, dict) else None
        if not isinstance(rate, int) or not 1000 <= rate <= 384_000:
            raise self.failure("it never became ready")
        self.sample_rate = rate

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """One request's answer. Raises VoiceFailure."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: reading its answer tells why
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        return self._answer(seconds)

    def failure(self, detail: str) -> VoiceFailure:
        """A failure with the last line that the program wrote."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        last = f": {lines[-1][:300]}" if lines else ""
        missing = bool(lines) and "No module named" in lines[-1]
        reason = "nemo_runtime_unavailable" if missing else "recognizer_unavailable"
        return VoiceFailure(reason, f"{detail}{last}", voice=self._voice, file=self._path)

    def close(self) -> None:
        """End it."""
        self._finalizer()

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            self.close()
            detail = f"it did not answer for {seconds:.0f} s"
            raise VoiceFailure("recognizer_unavailable", detail, voice=self._voice, file=self._path)
        line = self._process.stdout.readline()
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            code = self._process.wait(timeout=10) if not line else None
            raise self.failure(f"it ended with exit code {code}" if code is not None else "it answered no JSON")
        told = value.get("failure")
        if isinstance(told, dict):
            reason = told.get("reason") if told.get("reason") in REASONS else "recognizer_unavailable"
            raise VoiceFailure(str(reason), str(told.get("detail"))[:500], voice=self._voice, file=self._path)
        return value


def _versions(voice: str | None) -> dict[str, str]:
    """The versions in the trainer's interpreter. Raises VoiceFailure ``nemo_runtime_unavailable``."""
    interpreter = trainer_python()
    try:
        done = subprocess.run([interpreter, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=True)
        nemo, torch, _ours = done.stdout.split()
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or ["no output"]
        raise VoiceFailure("nemo_runtime_unavailable", f"{interpreter}: {last[0][:300]}", voice=voice) from error
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise VoiceFailure("nemo_runtime_unavailable", f"{interpreter}: {error}", voice=voice) from error
    return {"nemo": nemo, "torch": torch}


def _write(path: Path, clip: Samples, sample_rate: int, wanted: int) -> None:
    import soundfile
    import soxr

    audio = soxr.resample(np.asarray(clip, np.float32), sample_rate, wanted, "HQ")
    soundfile.write(path, audio, wanted, subtype="FLOAT")


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, log):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
