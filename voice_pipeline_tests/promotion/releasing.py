"""What the tests of releases share: copies with their links, further versions of a voice, and what a reader sees."""

from __future__ import annotations

import hashlib
import shutil
from datetime import date
from pathlib import Path

from voice_pipeline.bundle.build import facts_digest
from voice_pipeline.bundle.format import content_digest, read_manifest
from voice_pipeline.promotion import registry, rollback
from voice_pipeline.promotion.entries import Entry
from voice_pipeline_tests.ready_voice import NAME, TODAY, ReadyVoice, edit_json


def copy_of(ready: ReadyVoice, folder: Path) -> ReadyVoice:
    """A copy that may be spoilt, links as links."""
    shutil.copytree(ready.project, folder, symlinks=True)
    return ReadyVoice(folder)


def new_version(ready: ReadyVoice) -> None:
    """Build another bundle of the same training, and judge it: its sample has one more byte of silence."""
    sample = ready.bundle / "sample.wav"
    data = sample.read_bytes() + b"\0"
    sample.unlink()
    sample.write_bytes(data)
    ready.seal()
    manifest = read_manifest(ready.bundle)
    digests = {"content_digest": content_digest(manifest), "facts_digest": facts_digest(manifest)}
    edit_json(ready.store.record(NAME, "voice_bundle"), **digests)
    ready.evaluate()


def promote_next(ready: ReadyVoice) -> int:
    """Promote another version; the number of its release."""
    new_version(ready)
    return ready.promote().release


def roll_back(ready: ReadyVoice, to: int | None = None, today: date = TODAY) -> Entry:
    return rollback.run(ready.project, ready.voice, ready.store, to=to, today=today, by="dora")


def digest_of_tree(folder: Path) -> str:
    """One digest over all files below ``folder``, with their names."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()


def seen(ready: ReadyVoice) -> str | None:
    """What a reader finds promoted, read file by file; None for nothing."""
    folder = registry.current_folder(ready.store, NAME)
    return None if folder is None else digest_of_tree(folder)


def leftovers(ready: ReadyVoice) -> list[str]:
    """What lies beside the releases and links that the registry names."""
    place = ready.store.promoted(NAME).parent
    known = {one.release for one in registry.history(ready.store, NAME)}
    found = [path for path in place.iterdir() if path.name not in ("promoted", "releases", "voice_bundle")]
    folders = (place / "releases").iterdir() if (place / "releases").is_dir() else ()
    found += [path for path in folders if not path.name.isdecimal() or int(path.name) not in known]
    return sorted(path.name for path in found)
