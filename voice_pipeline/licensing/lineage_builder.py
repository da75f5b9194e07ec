"""From the parts of a voice to its lineage: the allowlist's bases and data sets, followed to the last.

    LineageBuilder(voice.voice_profile_id, allowlist, policy).build(voice, parts, packages)
    LineageBuilder(carried.voice_profile_id, allowlist, policy).again(carried, code_policy(policy, config))

What is not known, and what leads back to itself, is unclear; neither is ever left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from voice_pipeline.failures import Blocker
from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH, Allowlist, KnownWeights
from voice_pipeline.licensing.lineage import Binds, Edge, Lineage, Node
from voice_pipeline.licensing.packages import OWN_PACKAGE, Package
from voice_pipeline.licensing.parts import Part
from voice_pipeline.licensing.policy import Policy, Verdict
from voice_pipeline.licensing.weights_manifest import InvalidManifestError, WeightsManifest, read_weights_manifest
from voice_pipeline.voice import Voice

SPEAKER_ROLE = "synthetic speaker"
MADE_FROM, TRAINED_ON = "made from", "trained on"
UNRECORDED = "what it was made from is not recorded"
_BADNESS: dict[Verdict, int] = {"allowed": 0, "unclear": 1, "forbidden": 2}
_STRENGTH: dict[Binds, int] = {"none": 0, "own": 1, "all": 2}
_Found = tuple[Verdict, str]


class LineageBuilder:
    """Collects nodes and edges of one lineage; they come out sorted, each once."""

    def __init__(self, voice_profile_id: str, allowlist: Allowlist, policy: Policy) -> None:
        self._voice_id, self._allowlist, self._policy = voice_profile_id, allowlist, policy
        self._root = f"voice:{voice_profile_id}"
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, str, str], Edge] = {}

    def build(self, voice: Voice, parts: Sequence[Part], packages: Sequence[Package]) -> Lineage:
        """The lineage of ``voice``, which has ``parts`` and speaks by ``packages``."""
        recordings = self._recordings(voice)
        for part in parts:
            speaks = part.role == SPEAKER_ROLE
            held = part.shipped or speaks  # of a speaker that is a program, the recordings are its substance
            node = self._add(self._part(replace(part, shipped=held)))
            child, role = (recordings, "spoken by") if speaks else (self._root, part.role)
            self._link(child, node.id, role, binds="all" if held else "own")
            self._ancestors(part.model_id, binds=held)
        self._code(packages)
        return self._whole((self._policy.canonical(voice.license),) if voice.license else ())

    def again(self, carried: Lineage, code: Policy) -> Lineage:
        """A lineage that a bundle carries, judged by what is known today; ``code`` is the policy about packages.

        What it says and what the allowlist says both count: neither makes the other's word better.
        """
        for node in carried.nodes:
            if node.kind != "voice":
                verdict, reason = _worst(self._today(node, code if node.kind == "package" else self._policy))
                self._add(node.model_copy(update={"verdict": verdict, "reason": reason}))
        for edge in carried.edges:
            self._link(edge.child, edge.parent, edge.role, binds=edge.binds)
        for node in carried.nodes:
            if node.kind == "weights":
                self._ancestors(node.name, binds=node.judged and node.shipped)
        return self._whole(carried.root.licenses)

    def _today(self, node: Node, policy: Policy) -> Iterator[_Found]:
        decisions = [policy.decide(one) for one in node.licenses]
        yield from ((one.verdict, one.reason) for one in decisions)
        if not decisions:
            yield "unclear", "no licence is named for it"
        if node.kind == "weights":
            entry = self._allowlist.entry(node.name)
            if entry is None:
                yield "unclear", f"{node.name} is not in {ALLOWLIST_PATH}"
            else:
                known = self._ancestor(node.name, judged=True)
                yield known.verdict, known.reason
                if node.checksum is not None and node.checksum not in entry.checksums:
                    yield "unclear", f"{ALLOWLIST_PATH} does not know the bytes that it carries"
        if node.kind == "dataset":
            dataset = self._dataset(node.name, judged=True)
            yield dataset.verdict, dataset.reason

    def _whole(self, licenses: tuple[str, ...]) -> Lineage:
        self._refuse_cycles()
        nodes = {key: self._with_note(node) for key, node in self._nodes.items()}
        nodes[self._root] = self._own(nodes.values(), licenses)
        return Lineage(
            schema="voice_lineage/1",
            voice_profile_id=self._voice_id,
            nodes=tuple(sorted(nodes.values(), key=lambda node: node.id)),
            edges=tuple(sorted(self._edges.values(), key=lambda edge: (edge.child, edge.parent, edge.role))),
        )

    def _own(self, others: Iterable[Node], licenses: tuple[str, ...]) -> Node:
        """The voice itself: as bad as the worst that counts."""
        found: list[Verdict] = ["allowed", *(one.verdict for one in others if one.judged)]
        verdict = max(found, key=_BADNESS.__getitem__)
        reasons: dict[Verdict, str] = {
            "allowed": "everything with a part in it allows a voice that is sold",
            "unclear": "of something with a part in it the licence is unclear",
            "forbidden": "something with a part in it must not be sold",
        }
        return Node(
            id=self._root,
            kind="voice",
            name=self._voice_id,
            licenses=licenses,
            verdict=verdict,
            reason=reasons[verdict],
            judged=True,
            shipped=True,
        )

    def _recordings(self, voice: Voice) -> str:
        decision = self._policy.decide(voice.source.license)
        synthetic = voice.consent.speaker_type == "synthetic"
        node = Node(
            id=f"recordings:{voice.voice_profile_id}",
            kind="recordings",
            name="recordings",
            licenses=(decision.expression,),
            verdict=decision.verdict,
            reason=decision.reason,
            judged=True,
            shipped=True,
            attribution=decision.attribution,
            note="spoken by a program, not by a person" if synthetic else None,
        )
        self._add(node)
        self._link(self._root, node.id, "trained on", binds="all")
        return node.id

    def _part(self, part: Part) -> Node:
        manifest = _manifest(part)
        entry = self._allowlist.entry(part.model_id)
        if isinstance(manifest, WeightsManifest):
            licenses = (manifest.weights_license, manifest.code_license)
            commercial = manifest.commercial_use_allowed and (entry is None or entry.commercial_use_allowed)
            return self._weights(
                part.model_id, entry, licenses, commercial, part.shipped, manifest.attribution_required,
                manifest.source_url, manifest.checksum,
            )  # fmt: skip
        return Node(
            id=f"weights:{part.model_id}",
            kind="weights",
            name=part.model_id,
            verdict="forbidden" if manifest.reason == "license_noncommercial" else "unclear",
            reason=manifest.detail,
            judged=True,
            shipped=part.shipped,
        )

    def _ancestors(self, model_id: str, *, binds: bool) -> None:
        """What the allowlist says that weights were made from, followed to the last; each edge once."""
        how: Binds = "all" if binds else "none"
        waiting = [model_id]
        while waiting:
            child = waiting.pop()
            entry = self._allowlist.entry(child)
            if entry is None:
                continue
            for base in entry.bases:
                self._add(self._ancestor(base, judged=binds))
                if self._link(f"weights:{child}", f"weights:{base}", MADE_FROM, binds=how):
                    waiting.append(base)
            for dataset in entry.trained_on:
                self._add(self._dataset(dataset, judged=binds))
                self._link(f"weights:{child}", f"dataset:{dataset}", TRAINED_ON, binds=how)

    def _ancestor(self, model_id: str, *, judged: bool) -> Node:
        entry = self._allowlist.entry(model_id)
        if entry is None:
            return self._unknown("weights", model_id, judged)
        node = self._weights(
            model_id, entry, (entry.weights_license, entry.code_license), entry.commercial_use_allowed, judged,
            entry.attribution_required, entry.source, None,
        )  # fmt: skip
        return node.model_copy(update={"judged": judged})

    def _weights(
        self,
        model_id: str,
        entry: KnownWeights | None,
        licenses: tuple[str, str],
        commercial: bool,
        shipped: bool,
        attribution: bool,
        source_url: str,
        checksum: str | None,
    ) -> Node:
        decisions = [self._policy.decide(one) for one in licenses]
        kinds = ("weights", "code")
        found: list[_Found] = [
            (one.verdict, one.reason if one.verdict == "allowed" else f"{kind} licence {one.reason}")
            for kind, one in zip(kinds, decisions, strict=True)
        ]
        if not commercial:
            found.append(("forbidden", "its record says that commercial use is not allowed"))
        if entry is None:
            found.append(("unclear", f"{model_id} is not in {ALLOWLIST_PATH}"))
        verdict, reason = _worst(found)
        return Node(
            id=f"weights:{model_id}",
            kind="weights",
            name=model_id,
            licenses=tuple(one.expression for one in decisions),
            verdict=verdict,
            reason=reason,
            judged=True,
            shipped=shipped,
            attribution=attribution or any(one.attribution for one in decisions),
            provider=entry.provider if entry else None,
            source_url=source_url,
            license_url=entry.license_url if entry else None,
            checksum=checksum,
        )

    def _dataset(self, dataset_id: str, *, judged: bool) -> Node:
        known = self._allowlist.dataset(dataset_id)
        if known is None:
            return self._unknown("dataset", dataset_id, judged)
        decision = self._policy.decide(known.license)
        return Node(
            id=f"dataset:{dataset_id}",
            kind="dataset",
            name=dataset_id,
            licenses=(decision.expression,),
            verdict=decision.verdict,
            reason=decision.reason,
            judged=judged,
            attribution=decision.attribution,
            provider=known.provider,
            source_url=known.source,
            license_url=known.license_url,
        )

    def _unknown(self, kind: str, name: str, judged: bool) -> Node:
        reason = f"{name} is not in {ALLOWLIST_PATH}"
        value = {"id": f"{kind}:{name}", "kind": kind, "name": name, "verdict": "unclear", "reason": reason}
        return Node.model_validate({**value, "judged": judged})

    def _code(self, packages: Sequence[Package]) -> None:
        for one in packages:
            self._add(
                Node(
                    id=f"package:{one.name}",
                    kind="package",
                    name=one.name,
                    licenses=(one.license,) if one.license else (),
                    verdict=one.verdict,
                    reason=one.reason,
                    judged=True,
                    attribution=one.attribution,
                    version=one.version,
                    source_url=f"https://pypi.org/project/{one.name}/",
                )
            )
        for one in packages:
            if one.name == OWN_PACKAGE:
                self._link(self._root, f"package:{one.name}", "speaks by", binds="all")
            for required in one.requires:
                self._link(f"package:{one.name}", f"package:{required}", "requires", binds="all")

    def _refuse_cycles(self) -> None:
        """A base that was made from itself: the record is wrong, and what is true is not known."""
        bases: dict[str, set[str]] = {}
        for edge in self._edges.values():
            if edge.role == MADE_FROM:
                bases.setdefault(edge.child, set()).add(edge.parent)
        for node_id in sorted(bases):
            reached: set[str] = set()
            waiting = sorted(bases[node_id])
            while waiting:
                one = waiting.pop()
                if one not in reached:
                    reached.add(one)
                    waiting.extend(sorted(bases.get(one, ())))
            if node_id in reached:
                node = self._nodes[node_id]
                circle: _Found = ("unclear", f"{ALLOWLIST_PATH} says that it was made from itself")
                verdict, reason = _worst([(node.verdict, node.reason), circle])
                self._nodes[node_id] = node.model_copy(update={"verdict": verdict, "reason": reason})

    def _with_note(self, node: Node) -> Node:
        """Says what is not known of how weights were made; of those whose ancestors count, also when nothing is."""
        if node.kind != "weights":
            return node
        entry = self._allowlist.entry(node.name)
        followed = any(child == node.id for child, _, _ in self._edges)
        unrecorded = UNRECORDED if node.judged and node.shipped and not followed else None
        note = entry.not_known if entry is not None and entry.not_known else unrecorded
        return node.model_copy(update={"note": note})

    def _add(self, node: Node) -> Node:
        """Keep a node; the same thing in two parts counts where it counts in one, and is as bad as its worse face."""
        if (known := self._nodes.get(node.id)) is not None:
            verdict, reason = _worst([(known.verdict, known.reason), (node.verdict, node.reason)])
            fuller = known if known.checksum or not node.checksum else node
            node = fuller.model_copy(
                update={
                    "verdict": verdict,
                    "reason": reason,
                    "judged": known.judged or node.judged,
                    "shipped": known.shipped or node.shipped,
                    "attribution": known.attribution or node.attribution,
                }
            )
        self._nodes[node.id] = node
        return node

    def _link(self, child: str, parent: str, role: str, *, binds: Binds) -> bool:
        """Keep an edge; whether it said anything new."""
        key = (child, parent, role)
        known = self._edges.get(key)
        if known is not None and _STRENGTH[known.binds] >= _STRENGTH[binds]:
            return False
        self._edges[key] = Edge(child=child, parent=parent, role=role, binds=binds)
        return True


def _manifest(part: Part) -> WeightsManifest | Blocker:
    """What its weights manifest says, or why there is nothing to read."""
    if part.manifest is None:
        return Blocker("license_unclear", "no weights manifest is known for it")
    try:
        return read_weights_manifest(part.manifest)
    except InvalidManifestError as error:
        noncommercial = error.code == "commercial_use_required"
        return Blocker(
            "license_noncommercial" if noncommercial else "license_unclear",
            f"its weights manifest: {error.code} of {error.field}",
        )


def _worst(found: Iterable[_Found]) -> _Found:
    """The worst verdict, with the reasons of all that are as bad."""
    listed = list(found)
    verdict = max((one[0] for one in listed), key=_BADNESS.__getitem__)
    return verdict, "; ".join(dict.fromkeys(reason for one, reason in listed if one == verdict))
