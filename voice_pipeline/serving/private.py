"""A release's files in a folder that only this process writes: what is verified there is what is used.

A file in the store may change between two reads without a new time, through a mapping that its writer keeps.

    with private_copy(bundle, manifest, speaks(settings)) as folder:     # CopyDiffersError
        synthesizer = Synthesizer.load(folder)                           # nothing of it is read later
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from voice_pipeline.bundle.format import BundleManifest
from voice_pipeline.bundle.settings import SYNTHESIZER_NAME, SynthesizerSettings
from voice_pipeline.bundle.validation import check_file
from voice_pipeline.failures import disk_errors
from voice_pipeline.store import inside


class CopyDiffersError(ValueError):
    """What was copied is not what the manifest says."""


@contextmanager
def private_folder() -> Iterator[Path]:
    """An empty folder for this user alone (0700), removed in the end."""
    with disk_errors():
        temporary = tempfile.TemporaryDirectory(prefix="voice-serving-")
    with temporary as name:
        yield Path(name).resolve()


@contextmanager
def private_copy(bundle: Path, manifest: BundleManifest, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """The files of ``bundle`` that are ``wanted``, copied, and the copies verified against ``manifest``.

    Raises CopyDiffersError, VoiceFailure ``disk_full`` or ``permission_denied``, OSError.
    """
    with private_folder() as folder:
        for entry in manifest.files:
            if not wanted(entry.path):
                continue
            copy_in(bundle, folder, entry.path, entry.bytes)
            problem = check_file(folder, entry)
            if problem is not None:
                raise CopyDiffersError(str(problem))
        yield folder


def copy_in(bundle: Path, folder: Path, relative: str, most: int) -> None:
    """Copy one file of ``bundle``, ``most`` bytes of it. Raises ValueError, OSError, VoiceFailure from a disk."""
    descriptor = os.open(inside(bundle, relative), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as reader, disk_errors():
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{relative} is not a regular file")
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as writer:
            while most > 0 and (block := reader.read(min(most, 1 << 20))):
                most -= len(block)
                writer.write(block)


def speaks(settings: SynthesizerSettings) -> Callable[[str], bool]:
    """Whether a file of the bundle is one that ``Synthesizer.load`` reads."""
    files = {SYNTHESIZER_NAME, settings.acoustic, settings.vocoder}
    return lambda path: path in files or path.startswith(settings.frontend + "/")
