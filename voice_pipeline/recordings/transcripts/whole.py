"""The whole text of long recordings: one .txt beside each, or one for all of them in the order of their names."""

from __future__ import annotations

from pathlib import PurePosixPath

from voice_pipeline.recordings.tables import Unmatched
from voice_pipeline.recordings.transcripts.files import (
    CONTROL,
    MAX_LONG_BYTES,
    TextFolder,
    decode_text,
    printable,
    safe_id,
    without_suffix,
)
from voice_pipeline.recordings.transcripts.model import TranscriptError, WholeText


def read(folder: TextFolder) -> tuple[tuple[WholeText, ...], tuple[Unmatched, ...]]:
    """The texts and what they are of. Raises VoiceFailure for a text that cannot be read."""
    usable = [file.name for file in folder.files if file.problem is None]
    broken = {without_suffix(file.name) for file in folder.files if file.problem is not None}
    texts = {PurePosixPath(name).with_suffix("").as_posix(): name for name in folder.names(".txt")}
    if folder.one is not None:
        return (_whole(folder, folder.one.name, usable),), ()
    own = {name: texts[without_suffix(name)] for name in usable if without_suffix(name) in texts}
    without = [name for name in usable if name not in own]
    left = [name for stem, name in texts.items() if name not in own.values() and stem not in broken]
    found = [_whole(folder, text, [name]) for name, text in own.items()]
    if len(left) == 1 and without:
        found.append(_whole(folder, left[0], without))
        left = []
    detail = "there is no recording beside it"
    unmatched = (
        Unmatched(printable(name), safe_id(printable(name)[:-4]), "audio_missing", detail) for name in sorted(left)
    )
    return tuple(sorted(found, key=lambda one: one.files)), tuple(unmatched)


def _whole(folder: TextFolder, name: str, files: list[str]) -> WholeText:
    try:
        text = CONTROL.sub(" ", decode_text(folder.read(name, MAX_LONG_BYTES))).strip()
        if not text:
            raise TranscriptError("is empty")
    except TranscriptError as error:
        raise folder.failure(name, error) from error
    return WholeText(tuple(files), folder.shown(name), text)
