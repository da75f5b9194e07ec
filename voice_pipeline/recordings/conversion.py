"""Any audio to WAV or FLAC, once: what a stage opens is always a format whose end is certain.

    decoded = as_native(store, path, sha256)     # None: the file is WAV or FLAC and is read as it is

Everything that libsndfile reads (MP3, Ogg Vorbis and Opus, AIFF, CAF, Wave64 and others) is decoded by it; what it
does not read (M4A, video, G.722 and others) by the program ffmpeg, where that is installed. The result, 24-bit FLAC,
stands in the store's cache under the sha256 of the original.

A file is somebody's: ffmpeg gets it by name only, without a shell, may open nothing but local files and no format
that names further files (playlists), and has a time limit.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from voice_pipeline.atomic import atomic_path
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.containers import is_lengthless, is_native, what_it_is
from voice_pipeline.recordings.decoding import (
    DecodeError,
    check_shape,
    check_whole,
    clause,
    head,
    open_audio,
    open_stream,
)
from voice_pipeline.store import Store, identity

VERSION = "1"
NATIVE_SUFFIXES = frozenset({".wav", ".wave", ".rf64", ".flac"})
LIBSNDFILE_SUFFIXES = frozenset(
    {".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".caf", ".w64", ".au", ".snd"}
)
FFMPEG_SUFFIXES = frozenset(
    {".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".aac", ".wma", ".wmv", ".avi", ".mkv", ".mka", ".webm", ".3gp", ".amr"}
    | {".flv", ".mpg", ".mpeg", ".ape", ".wv", ".tta", ".ac3", ".g722"}
)
AUDIO_SUFFIXES = NATIVE_SUFFIXES | LIBSNDFILE_SUFFIXES | FFMPEG_SUFFIXES

_RAW_DEMUXERS = {".g722": "g722"}  # formats without a header: the name alone says what they are
_NOT_AUDIO = ("a text file", "a Git LFS pointer", "a PDF", "a ZIP file", "a gzip file", "a Parquet file")
# Demuxers of single files. Those that open other files (hls, dash, concat, image2 and the like) are not among them.
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,ogg,mp3,aac,amr,amrnb,amrwb,ape,wv,tta,ac3,eac3,dts,"
    "wav,w64,aiff,caf,flac,au,g722,voc,nistsphere,tak,mpc,mpc8,oma,rm,gsm,shn"
)
_FLAC_CHANNELS = 8
_SECONDS_A_BYTE = 1 / 20_000  # ffmpeg's time limit: 160 kbit of input a second, and a minute to start with
_LEAST_SECONDS = 60.0
_SPARE_BYTES = 16 << 20  # with less left on the disk, a write that failed has failed for space


class DecoderMissing(DecodeError):
    """The file may be sound; what would read it is not installed."""


def key_suffix(name: str) -> str:
    """The part of a name that says how to read a file whose bytes do not say it; empty where they do."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in FFMPEG_SUFFIXES else ""


def as_native(store: Store, path: Path, sha256: str) -> Path | None:
    """The WAV or FLAC of the cache that holds the audio of ``path``, whose bytes have ``sha256``; made when missing.

    None for a file that is WAV or FLAC itself, and says how long it is. Raises DecodeError (DecoderMissing without
    ffmpeg, where only that reads the file), VoiceFailure ``disk_full`` or ``permission_denied``.
    """
    start = head(path)
    if is_native(start) and not is_lengthless(start):
        return None
    for suffix in (".flac", ".wav"):
        cached = decoded_path(store, path.name, sha256, suffix)
        if cached.exists():
            return cached
    kind, suffix = what_it_is(start), path.suffix.lower()
    if kind in _NOT_AUDIO or (kind == "a file of another kind" and suffix in NATIVE_SUFFIXES):
        raise DecodeError(f"is {kind}, no audio, whatever its name says")
    if suffix not in FFMPEG_SUFFIXES:
        try:
            return _by_libsndfile(path, store, sha256)
        except DecodeError as error:
            if shutil.which("ffmpeg") is None or isinstance(error, _Judged):
                raise DecodeError(f"is {kind} that {error}") from error
    target = decoded_path(store, path.name, sha256, ".flac")
    _by_ffmpeg(path, target, kind)
    return target


def decoded_path(store: Store, name: str, sha256: str, suffix: str) -> Path:
    """Where the decoded form of a file with these bytes stands."""
    key = identity(kind="decoded", version=VERSION, sha256=sha256, read_as=key_suffix(name))
    return store.cache("decoded", key, suffix)


class _Judged(DecodeError):
    """The file was read and is no recording: another decoder need not be asked."""


def _by_libsndfile(path: Path, store: Store, sha256: str) -> Path:
    import numpy as np
    import soundfile

    try:
        check_whole(path)
    except DecodeError as error:
        raise _Judged(str(error)) from error
    try:
        file = open_stream(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise DecodeError(f"cannot be decoded: {clause(error)}") from error
    with file:
        rate, channels = file.samplerate, file.channels
        try:
            check_shape(rate, channels)
        except DecodeError as error:
            raise _Judged(str(error)) from error
        flac = channels <= _FLAC_CHANNELS
        target = decoded_path(store, path.name, sha256, ".flac" if flac else ".wav")
        with atomic_path(target) as temporary:
            total = 0
            with _writing(target):
                out = soundfile.SoundFile(
                    temporary, "w", rate, channels, "PCM_24", format="FLAC" if flac else "RF64",
                )  # fmt: skip
            with out:
                while True:
                    try:
                        block = file.read(rate, dtype="float32", always_2d=True)
                    except (soundfile.SoundFileError, OSError) as error:
                        raise DecodeError(f"breaks off after {total / rate:.1f} s: {clause(error)}") from error
                    if not len(block):
                        break
                    if not np.isfinite(block).all():
                        raise _Judged(f"holds samples that are no numbers after {total / rate:.1f} s")
                    total += len(block)
                    with _writing(target):
                        out.write(block)
            if not total:
                raise _Judged("holds a header and no audio")
            _check_written(temporary, target)
    return target


def _by_ffmpeg(path: Path, target: Path, kind: str) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        raise DecoderMissing(f"is {kind}; install ffmpeg to read it, or export it as WAV or FLAC")
    limit = _LEAST_SECONDS + path.stat().st_size * _SECONDS_A_BYTE
    raw = _RAW_DEMUXERS.get(path.suffix.lower()) if kind == "a file of another kind" else None
    with atomic_path(target) as temporary:
        command = [
            program, "-nostdin", "-hide_banner", "-v", "error", "-xerror", "-threads", "1",
            "-protocol_whitelist", "file,pipe", "-format_whitelist", _DEMUXERS, *(["-f", raw] if raw else []),
            "-i", f"file:{path.absolute()}", "-map", "0:a:0", "-map_metadata", "-1", "-fflags", "+bitexact",
            "-flags:a", "+bitexact", "-c:a", "flac", "-sample_fmt", "s32", "-bits_per_raw_sample", "24",
            "-f", "flac", "-y", f"file:{temporary}",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=limit,
                check=False, env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise DecoderMissing(f"is {kind} that ffmpeg did not finish in {limit:.0f} s") from None
        except OSError as error:
            raise DecoderMissing(f"is {kind}, and ffmpeg cannot be started: {error.strerror}") from error
        if done.returncode:
            if _disk_is_full(target):
                raise VoiceFailure("disk_full", "no space left on the device", file=target)
            raise DecodeError(f"is {kind} that cannot be decoded: {_said(done.stderr, path, temporary)}")
        _check_written(temporary, target)


def _said(stderr: bytes, path: Path, temporary: Path) -> str:
    """The first line that ffmpeg complained with, without addresses and paths: the next ones follow from it."""
    for line in stderr[:4_000].decode("utf-8", "replace").splitlines():
        line = re.sub(r"^\[[^\]]*\] *", "", line.strip())
        for known in (f"file:{path.absolute()}", f"file:{temporary}", str(path.absolute()), str(temporary)):
            line = line.replace(known, "the file")
        if line := line.removeprefix("the file: ").strip(" ."):
            return "".join(letter for letter in line if letter.isprintable())[:200]
    return "ffmpeg says no reason"


def _check_written(temporary: Path, target: Path) -> None:
    """That what was written can be opened: libsndfile says nothing when the last bytes found no room."""
    try:
        with open_audio(temporary) as audio:
            if audio.frames == 0:
                raise DecodeError("holds a header and no audio")
    except DecodeError:
        if _disk_is_full(target):
            raise VoiceFailure("disk_full", "no space left on the device", file=target) from None
        raise


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """libsndfile calls a full disk a "System error", or writes less than it was given."""
    import soundfile

    try:
        yield
    except (soundfile.SoundFileError, AssertionError, OSError) as error:
        if _disk_is_full(target):
            raise VoiceFailure("disk_full", "no space left on the device", file=target) from error
        raise DecoderMissing(f"cannot be written to the cache: {clause(error)}") from error


def _disk_is_full(target: Path) -> bool:
    status = os.statvfs(target.parent)
    return status.f_bavail * status.f_frsize < _SPARE_BYTES
