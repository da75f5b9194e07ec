"""A voice's config says that its consent is revoked: two fields of the YAML file are edited, every comment stays.

    left = write_revoked(project, "ada", date(2026, 6, 1))      # None: it is done; else what a person has to edit

The edit is made on the text, at the places that the YAML parser names, and believed only when the edited text, parsed
again, differs from the old one in these two fields and is a voice.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from voice_pipeline.atomic import read_bytes, write_bytes
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.project import VOICES_FOLDER
from voice_pipeline.store import inside
from voice_pipeline.strict_yaml import parse_yaml
from voice_pipeline.voice import Voice

MAX_BYTES = 1 << 20  # of a config; a long one has some thousand
_Pair = tuple[yaml.Node, yaml.Node]


def write_revoked(project: Path, voice_id: str, day: date) -> str | None:
    """Have the voice's config say ``status: revoked`` and ``revoked_on``. None when it does, else what to edit by hand.

    A config that says so already is left as it is. Never raises for a config that is gone, broken, or not ours to
    write.
    """
    name = VOICES_FOLDER / f"{voice_id}.yaml"
    by_hand = f"set consent.status: revoked and consent.revoked_on: {day} in {name}"
    try:
        path = inside(project, name.as_posix()).resolve(strict=True)
        if path.stat().st_size > MAX_BYTES:
            return f"{by_hand}: it has more than {MAX_BYTES} bytes"
        text = read_bytes(path, most=MAX_BYTES).decode()
        changed = edited(text, day)
        if changed == text:
            return None
        mode = path.stat().st_mode & 0o777
        write_bytes(path, changed.encode())
        path.chmod(mode)
    except FileNotFoundError:
        return f"{name} is gone; a new one of that name stays revoked"
    except VoiceFailure as failure:
        return f"{by_hand}: {failure.reason}"
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        return f"{by_hand}: {getattr(error, 'strerror', None) or error}"
    return None


def edited(text: str, day: date) -> str:
    """The config's text with its consent revoked. Raises ValueError where that cannot be done for certain."""
    try:
        before, root = _parsed(text), yaml.compose(text, Loader=yaml.SafeLoader)
        wanted = _wanted(before, day)
        if before == wanted:
            return text
        changed = _changed(text, _value(root, "consent"), day, add="revoked_on" not in before["consent"])
        after = _parsed(changed)
        Voice.model_validate(after)
    except ValidationError as error:
        raise ValueError(f"it would be no voice: {error.errors(include_url=False)[0]['msg']}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it cannot be parsed: {' '.join(str(error).split())}") from None
    if after != wanted:
        raise ValueError("an edit would change more than these two fields")
    return changed


def _parsed(text: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"it cannot be parsed: {error}") from None


def _wanted(before: Any, day: date) -> dict[str, Any]:
    if not isinstance(before, dict) or not isinstance(before.get("consent"), dict):
        raise ValueError("it has no consent")
    consent = before["consent"]
    return {**before, "consent": {**consent, "status": "revoked", "revoked_on": consent.get("revoked_on") or day}}


def _changed(text: str, consent: yaml.Node, day: date, *, add: bool) -> str:
    key, status = _pair(consent, "status")
    edits = [(status.start_mark.index, status.end_mark.index, "revoked")]
    if not add:
        _, old = _pair(consent, "revoked_on")
        start, end = old.start_mark.index, old.end_mark.index
        if not old.value or old.tag.endswith(":null"):
            edits.append((start, end, f" {day}" if start == end else str(day)))
    else:
        start = key.start_mark.index - key.start_mark.column
        if text[start : key.start_mark.index].strip(" "):  # in braces, on one line
            edits.append((status.end_mark.index, status.end_mark.index, f", revoked_on: {day}"))
        else:
            ending = "\r\n" if "\r\n" in text else "\n"
            line = f"{' ' * key.start_mark.column}revoked_on: {day}{ending}"
            edits.append((start, start, line))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _value(node: yaml.Node | None, name: str) -> yaml.Node:
    return _pair(node, name)[1]


def _pair(node: yaml.Node | None, name: str) -> _Pair:
    """The last pair of that name: the one that counts."""
    found: _Pair | None = None
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == name:
                found = (key, value)
    if found is None:
        raise ValueError(f"it does not spell out {name}")
    return found
