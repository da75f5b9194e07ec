"""YAML that people write, read as plain data: no key twice, no tag that builds anything.

    value = parse_yaml(text)                # ValueError, in one sentence, for anything else

Of two equal keys YAML's libraries keep the last without a word: a verdict, or a consent, would be another than the one
that a person reads first.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if (key.tag, key.value) in seen:
                        raise yaml.constructor.ConstructorError(
                            "while reading a mapping", node.start_mark, f"found {key.value!r} twice", key.start_mark
                        )
                    seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """The value of a YAML document. Raises ValueError, which says where; the caller bounds the size."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:  # a day such as 2026-02-30
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
