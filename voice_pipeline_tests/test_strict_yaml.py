from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.strict_yaml import parse_yaml

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PLAIN)
def test_what_is_plain_is_read(value: Any) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "'a' twice"),
        ("x:\n  a: {b: 1, b: 2}", "'b' twice"),
        ("day: 2026-02-30", "day is out of range"),
        ('a: !!int "abc"', "abc"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: [", "expected"),
        ("[" * 100_000, "recursion"),
        ("a: " + "1" * 5000, "digits"),
    ],
)
def test_what_is_not_is_a_value_error_in_a_sentence(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=100))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    try:
        parse_yaml(text)
    except ValueError:
        return
