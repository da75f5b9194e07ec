from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.strict_json import parse_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_json_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"a": 1, "a": 1}', "key 'a' twice"),
        (b'{"b": {"a": 1, "a": 2}}', "key 'a' twice"),
        (b"[NaN]", "NaN is not JSON"),
        (b"-Infinity", "-Infinity is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff", "utf-8"),
        (b"", "Expecting value"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
)
def test_what_is_not_is_a_value_error_in_a_sentence(data: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_json(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_value_error(data: bytes) -> None:
    try:
        parse_json(data)
    except ValueError:
        return
