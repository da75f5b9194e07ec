"""The lineage of a voice: everything with a part in it, what that was made from, and what each licence means.

    lineage = lineage_of(project, voice, store)
    lineage.verdict                                   # "allowed" when nothing in it is forbidden or unclear
    lineage.blockers()                                # "dottie_default ← joe ← lessac: LicenseRef-Research-Only: ..."
    Lineage.from_json(lineage.to_json()) == lineage   # lineage.json in the bundle

An edge leads from what was made (child) to what it was made from or with (parent). Whether a parent's licence binds the
voice is the edge's: the substance of base weights, lexicon and recordings is handed on in the voice, so their ancestors
count, to the last; a model that only listened or judged leaves nothing in it, so its own licence counts and what it was
made from is shown. docs/decisions/0008 gives the reasons.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voice_pipeline.failures import Blocker
from voice_pipeline.licensing.allowlist import Allowlist, load_allowlist
from voice_pipeline.licensing.packages import Package, speaking_packages
from voice_pipeline.licensing.parts import Part, parts_of
from voice_pipeline.licensing.policy import Policy, Verdict, load_policy
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice

SCHEMA = "voice_lineage/1"
MAX_LINEAGE_BYTES = 4 << 20
_MAX_NODES = 10_000
BY_VERDICT = {"forbidden": "license_noncommercial", "unclear": "license_unclear"}

Binds = Literal["all", "own", "none"]
Kind = Literal["voice", "recordings", "weights", "dataset", "package"]
_Text = Annotated[str, Field(max_length=10_000)]
_Id = Annotated[str, Field(min_length=1, max_length=500)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Node(_Strict):
    """One thing with a part in the voice."""

    id: _Id  # kind:name
    kind: Kind
    name: _Id
    licenses: tuple[_Text, ...] = ()  # SPDX expressions; of weights: of the weights, then of the code
    verdict: Verdict
    reason: _Text  # of the verdict
    judged: bool  # whether its verdict counts for the voice
    shipped: bool = False  # whether the bundle holds it, or what was made from it
    attribution: bool = False  # whether its licence asks for its makers to be named
    version: _Text | None = None
    provider: _Text | None = None
    source_url: _Text | None = None
    license_url: _Text | None = None
    checksum: _Text | None = None  # sha256:<64 hex>
    note: _Text | None = None


class Edge(_Strict):
    """``child`` was made from, or with, ``parent``."""

    child: _Id
    parent: _Id
    role: _Text
    binds: (
        Binds  # all: the parent's licence counts, and those of what it was made from; own: its own only; none: neither
    )


class Lineage(BaseModel):
    """All nodes and edges, sorted. The voice is the one node of kind ``voice``."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_name: Literal["voice_lineage/1"] = Field(alias="schema")
    voice_profile_id: _Id
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=_MAX_NODES)
    edges: tuple[Edge, ...] = Field(max_length=10 * _MAX_NODES)

    @model_validator(mode="after")
    def _whole(self) -> Lineage:
        ids = Counter(node.id for node in self.nodes)
        if twice := [one for one, count in ids.items() if count > 1]:
            raise ValueError(f"node {twice[0]!r} twice")
        if f"voice:{self.voice_profile_id}" not in ids or sum(node.kind == "voice" for node in self.nodes) != 1:
            raise ValueError("it needs one node of kind voice, the voice itself")
        for edge in self.edges:
            for end in (edge.child, edge.parent):
                if end not in ids:
                    raise ValueError(f"an edge names {end!r}, which is no node")
        return self

    @property
    def verdict(self) -> Verdict:
        """Of the voice: as bad as the worst that counts."""
        return self.root.verdict

    @property
    def root(self) -> Node:
        """The voice's own node."""
        return self.node(f"voice:{self.voice_profile_id}")

    def node(self, node_id: str) -> Node:
        """The node of an id that an edge names."""
        return self._by_id[node_id]

    def parents(self, node_id: str) -> tuple[Edge, ...]:
        """The edges to what a node was made from or with."""
        return self._parents.get(node_id, ())

    def path(self, node_id: str) -> tuple[str, ...]:
        """The ids from the voice to a node: the shortest way on which it counts, else any; the first of equals.

        () for a node that nothing leads to.
        """
        return self._ways.get(node_id, ())

    def blockers(self, *, but: Container[str] = ()) -> tuple[Blocker, ...]:
        """One for each node that counts and is not allowed, with the way to it; ``but`` leaves out nodes by id."""
        found = []
        for node in self.nodes:
            if node.kind != "voice" and node.judged and node.verdict != "allowed" and node.id not in but:
                found.append(Blocker(BY_VERDICT[node.verdict], f"{self.way(node.id)}: {node.reason}"))
        return tuple(found)

    def way(self, node_id: str) -> str:
        """``path`` for people: ``dottie_default ← joe ← lessac``."""
        return " ← ".join(self.node(one).name for one in self.path(node_id)) or self.node(node_id).name

    def to_json(self) -> bytes:
        """The one spelling of it: sorted keys, two spaces, a final newline, UTF-8. Holds no clock time."""
        value = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> Lineage:
        """Read a file that may come from anywhere. Raises ValueError, in one line."""
        if len(data) > MAX_LINEAGE_BYTES:
            raise ValueError(f"larger than {MAX_LINEAGE_BYTES} bytes")
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "lineage"
            raise ValueError(f"no {SCHEMA}: {where}: {first['msg']}") from None

    @cached_property
    def _by_id(self) -> dict[str, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def _parents(self) -> dict[str, tuple[Edge, ...]]:
        found: dict[str, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.child, []).append(edge)
        return {child: tuple(edges) for child, edges in found.items()}

    @cached_property
    def _ways(self) -> dict[str, tuple[str, ...]]:
        root = self.root.id
        counting = _ways_from(root, self._parents, ("all",))
        ways = {**_ways_from(root, self._parents, ("all", "own", "none")), **counting}
        for child, way in counting.items():
            for edge in self.parents(child):
                if edge.binds == "own" and len(way) + 1 < len(counting.get(edge.parent, (*way, "", ""))):
                    ways[edge.parent] = (*way, edge.parent)
        return ways


def lineage_of(
    project: Path,
    voice: Voice,
    store: Store,
    parts: Sequence[Part] | None = None,
    allowlist: Allowlist | None = None,
    policy: Policy | None = None,
    packages: Sequence[Package] | None = None,
) -> Lineage:
    """The lineage of ``voice``; what is not given is read from the project, the store and the installed packages.

    The same facts give the same lineage. Raises ConfigError for a wrong policy, allowlist or packages.yaml.
    """
    from voice_pipeline.licensing.lineage_builder import LineageBuilder

    policy = load_policy(project) if policy is None else policy
    allowlist = load_allowlist(project) if allowlist is None else allowlist
    parts = parts_of(project, voice, store) if parts is None else parts
    packages = speaking_packages(project, policy) if packages is None else packages
    return LineageBuilder(voice.voice_profile_id, allowlist, policy).build(voice, parts, packages)


def lineage_text(lineage: Lineage) -> str:
    """The lineage as a tree, one node a line; what was printed above is not printed again. Ends with a newline."""
    lines: list[str] = []
    printed: set[str] = set()
    waiting: list[tuple[str, str, str, str]] = [(lineage.root.id, "", "", "")]  # id, role, indent, branch
    while waiting:
        node_id, role, indent, branch = waiting.pop()
        node = lineage.node(node_id)
        again = node_id in printed
        printed.add(node_id)
        lines.append(f"{indent}{branch}{_line(node, role, again)}")
        if again:
            continue
        below = indent + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        edges = _joined_roles(lineage.parents(node_id))
        for place, (parent, roles) in reversed(list(enumerate(edges))):
            waiting.append((parent, roles, below, "└─ " if place == len(edges) - 1 else "├─ "))
    return "\n".join(lines) + "\n"


def _line(node: Node, role: str, again: bool) -> str:
    marks = {"allowed": "ok", "unclear": "UNCLEAR", "forbidden": "FORBIDDEN"}
    shown = f"{role}: {node.name}" if role else node.name
    if node.version:
        shown += f" {node.version}"
    if again:
        return f"{shown} (above)"
    nothing = "its own licence is not set" if node.kind == "voice" else "no licence named"
    licenses = " / ".join(dict.fromkeys(node.licenses)) or nothing
    mark = marks[node.verdict] if node.judged else f"{marks[node.verdict]}, shown only"
    reason = f": {node.reason}" if node.verdict != "allowed" else ""
    note = f" ({node.note})" if node.note else ""
    return f"{shown} [{licenses}] {mark}{reason}{note}"


def _joined_roles(edges: Iterable[Edge]) -> list[tuple[str, str]]:
    roles: dict[str, list[str]] = {}
    for edge in edges:
        roles.setdefault(edge.parent, []).append(edge.role)
    return [(parent, ", ".join(dict.fromkeys(found))) for parent, found in roles.items()]


def _ways_from(root: str, parents: dict[str, tuple[Edge, ...]], over: Container[Binds]) -> dict[str, tuple[str, ...]]:
    """Breadth first, so that a circle ends and the shortest way wins."""
    ways: dict[str, tuple[str, ...]] = {root: (root,)}
    waiting = [root]
    for node in waiting:
        for edge in parents.get(node, ()):
            if edge.parent not in ways and edge.binds in over:
                ways[edge.parent] = (*ways[node], edge.parent)
                waiting.append(edge.parent)
    return ways
