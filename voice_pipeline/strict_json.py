"""JSON from elsewhere, read as RFC 8259 writes it: UTF-8, no key twice, no NaN or Infinity.

    value = parse_json(data)                # ValueError for anything else

Of two equal keys one program would take the first and another the last: what was checked would not be what is used.

This module needs the standard library only.
"""

from __future__ import annotations

import json
from typing import Any

_MOST_SHOWN = 64  # characters of a key in a message


def parse_json(data: bytes) -> Any:
    """The value of a JSON text. Raises ValueError in one sentence; the caller bounds the size."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f"key {key[:_MOST_SHOWN]!r} twice")
        value[key] = item
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
