"""What the licences ask to be handed on with a voice: NOTICE, and MODEL_CARD.md for a hub of models.

    facts = Facts(project, voice, lineage, allowlist, policy)
    notice(facts); model_card(facts)                  # bytes; the same facts give the same bytes

Both are made from the lineage. NOTICE names everything whose licence asks for it, with the stored copy of that
licence. Names come from configs and records that others wrote: in NOTICE they are one line each, in the card they are
escaped, so that none can end the front matter, close a table, or become a link.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from voice_pipeline.bundle.format import CONSENT_NAME, LINEAGE_NAME, NOTICE_NAME, SBOM_NAME
from voice_pipeline.licensing.allowlist import Allowlist
from voice_pipeline.licensing.evidence import manifest_texts, stored_text
from voice_pipeline.licensing.lineage import Lineage, Node
from voice_pipeline.licensing.policy import LICENSE_REF, SPDX_LINK, Policy
from voice_pipeline.licensing.weights_manifest import InvalidManifestError, read_weights_manifest
from voice_pipeline.voice import Voice

_RULE = "=" * 100
_WIDTH = 100  # characters in a line of NOTICE; licence texts keep their own lines
_HUB = re.compile(r"https://huggingface\.co/(?!datasets/)([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)/?")
_HUB_DATA = re.compile(r"https://huggingface\.co/datasets/([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)/?")
# Of https://huggingface.co/docs/hub/repositories-licenses, those that a voice may be under; others are "other".
_HUB_LICENSES = frozenset(
    {
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "zlib", "bsl-1.0", "mpl-2.0", "unlicense"),
        *("pddl", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    }
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#!|~&:@$]|(?<=www)\.)", re.IGNORECASE)
_EXPRESSION = re.compile(r"[A-Za-z0-9.+() -]{1,500}")


@dataclass(frozen=True)
class Facts:
    """What the notices are made from."""

    project: Path
    voice: Voice
    lineage: Lineage
    allowlist: Allowlist
    policy: Policy
    manifests: Mapping[str, Path] = field(default_factory=dict)  # model id -> its weights manifest

    @property
    def speaker(self) -> str:
        """Whose voice it is, as far as the speaker wants it said."""
        consent = self.voice.consent
        if consent.speaker_type == "synthetic":
            return f"A program spoke the recordings, not a person: {_line(consent.speaker)}."
        if consent.pseudonymous:
            return "A person spoke the recordings, and wishes not to be named."
        return f"{_line(consent.speaker)} spoke the recordings."

    def handed_on(self) -> list[Node]:
        """The nodes whose substance the bundle holds: recordings and weights."""
        return [one for one in self.lineage.nodes if one.shipped and one.kind in ("recordings", "weights")]

    def of_kind(self, *kinds: str) -> list[Node]:
        """The other nodes of some kinds."""
        return [one for one in self.lineage.nodes if one.kind in kinds and not one.shipped]


# -- NOTICE --------------------------------------------------------------------------------------------------------


def notice(facts: Facts) -> bytes:
    """NOTICE: plain text, UTF-8. Attribution that nobody wrote down is the provider's name and the source."""
    voice = facts.voice
    license_name = facts.policy.canonical(voice.license) if voice.license else "not stated by its maker"
    lines = [
        f"{_line(voice.display_name)} ({voice.voice_profile_id})",
        "",
        "A synthetic voice. What it says was never said by a person.",
        f"Speaker: {facts.speaker}",  # not wrapped: no line begins with words of somebody else's
        f"Licence of the voice: {_line(license_name)}",
        "",
        *textwrap.wrap(
            "It was made from the works below, which were changed: a voice was trained from them. Each stays under "
            "its own licence; the texts are at the end.",
            _WIDTH,
        ),
    ]
    for node in facts.handed_on():
        lines += ["", *_entry(facts, node)]
    if data := [node for node in facts.of_kind("dataset") if node.judged]:
        lines += ["", _RULE, "Data that these were trained on; none of it is in this bundle."]
        lines += [line for node in data for line in ("", *_entry(facts, node))]
    if tools := facts.of_kind("weights"):
        lines += ["", _RULE, "Models that listened or judged; nothing of them is in this bundle.", ""]
        lines += [_short(node) for node in tools if node.judged]
    lines += ["", _RULE, "Software that speaks with it, installed beside it and not in this bundle.", ""]
    lines += [_short(node) for node in facts.of_kind("package")]
    for name, text in _texts(facts):
        lines += ["", _RULE, name, _RULE, "", *text.rstrip().splitlines()]
    return ("\n".join(line.rstrip() for line in lines) + "\n").encode()


def _entry(facts: Facts, node: Node) -> Iterator[str]:
    """A work, its makers, where it is from, and under what licence."""
    entry = facts.allowlist.entry(node.name) if node.kind == "weights" else None
    yield f"* {_line(node.name)} ({_roles(facts.lineage, node)})"
    if node.kind == "recordings" and not _anonymous(facts):
        yield f"  by {_line(facts.voice.consent.speaker)}"
    if node.provider:
        yield f"  by {_line(node.provider)}"
    if entry is not None and entry.attribution:
        yield from (f"  {_line(line)}" for line in entry.attribution.splitlines())
    if node.source_url:
        yield f"  from {_line(node.source_url)}"
    yield f"  licence: {_licenses(node)}"
    if node.license_url:
        yield f"  {_line(node.license_url)}"
    for one in _ids(node):
        if one.startswith(LICENSE_REF) and (known := facts.policy.licenses.get(one)) is not None and known.link:
            yield f"  {known.link}"
    if node.note:
        yield from textwrap.wrap(f"note: {_line(node.note)}", _WIDTH - 2, initial_indent="  ", subsequent_indent="  ")


def _short(node: Node) -> str:
    version = f" {node.version}" if node.version else ""
    provider = f", by {_line(node.provider)}" if node.provider else ""
    return f"* {_line(node.name)}{version}{provider}: {_licenses(node)}"


def _texts(facts: Facts) -> Iterator[tuple[str, str]]:
    """(heading, text) of the stored licences and notices of what is handed on; the same text once, for all it is of."""
    texts: dict[str, tuple[str, list[str]]] = {}
    for node in facts.handed_on():
        for text in _texts_of(facts, node) if node.kind == "weights" else ():
            names = texts.setdefault(hashlib.sha256(text.encode()).hexdigest(), (text, []))[1]
            names.extend([name] if (name := _line(node.name)) not in names else [])
    for text, names in sorted(texts.values(), key=lambda one: (one[1], one[0])):
        yield f"Licence or notice of {', '.join(names)}", text


def _texts_of(facts: Facts, node: Node) -> Iterator[str]:
    """Its licence text, and what else its weights manifest keeps: Apache-2.0 asks for the NOTICE of a work too."""
    entry, path = facts.allowlist.entry(node.name), facts.manifests.get(node.name)
    license_text = None if entry is None else stored_text(facts.project, entry)
    if license_text is not None:
        yield license_text
    if path is None:
        return
    try:
        manifest = read_weights_manifest(path)
    except InvalidManifestError:
        return
    yield from (text for _, text in manifest_texts(facts.project, path, manifest))


# -- MODEL_CARD.md -------------------------------------------------------------------------------------------------


def model_card(facts: Facts) -> bytes:
    """MODEL_CARD.md: front matter that Hugging Face reads (YAML), then Markdown."""
    voice = facts.voice
    front = yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True, width=10_000)
    lines = [
        "---",
        front.rstrip("\n"),
        "---",
        "",
        f"# {escaped(voice.display_name)}",
        "",
        "A synthetic voice: a text-to-speech model in the form `voice_bundle/1`. Tell those who hear it that a "
        "machine speaks.",
        "",
        "| | |",
        "|---|---|",
        f"| voice | `{voice.voice_profile_id}` |",
        f"| language | {escaped(voice.language)} |",
        f"| licence | {_code(voice.license) if voice.license else 'not stated by its maker'} |",
        f"| speaker | {escaped(facts.speaker)} |",
        f"| rights of the speaker | `{CONSENT_NAME}` |",
        "",
        "## Use",
        "",
        "```sh",
        'voice-pipeline speak BUNDLE "Good morning." -o out.wav',
        "```",
        "",
        "It needs the packages in `sbom.cdx.json`, and neither torch nor NeMo.",
        "`fastpitch.nemo` and `hifigan.nemo` are the same models for NVIDIA NeMo.",
        "",
        "Do not use it to pass for a person, nor for what the speaker's consent does not cover.",
        "",
        "## Made from",
        "",
        f"The whole graph, with what each of these was made from, is `{LINEAGE_NAME}`; names and licence texts are in "
        f"`{NOTICE_NAME}`; the packages that it speaks by are in `{SBOM_NAME}`.",
        "",
        *_table(facts, facts.handed_on()),
    ]
    if data := facts.of_kind("dataset"):
        lines += ["", "Data that these, or the models below, were trained on:", "", *_table(facts, data)]
    if tools := facts.of_kind("weights"):
        lines += ["", "Models that listened or judged, of which nothing is in the voice:", "", *_table(facts, tools)]
    return ("\n".join(lines) + "\n").encode()


def _front_matter(facts: Facts) -> dict[str, Any]:
    """The keys of https://huggingface.co/docs/hub/model-cards. Base models and datasets as far as they are there."""
    nodes = facts.handed_on()
    bases = [found[1] for node in nodes if node.kind == "weights" and (found := _hub(_HUB, node))]
    data = [found[1] for node in facts.of_kind("dataset") if node.judged and (found := _hub(_HUB_DATA, node))]
    tags = ["text-to-speech", "speech-synthesis", "voice", "onnx", "nemo", "voice-bundle"]
    if facts.voice.consent.speaker_type == "synthetic":
        tags.append("synthetic-speaker")
    return {
        **_hub_license(facts),
        "language": [facts.voice.language.partition("-")[0]],
        "library_name": "voice-pipeline",
        "pipeline_tag": "text-to-speech",
        "tags": tags,
        **({"base_model": list(dict.fromkeys(bases))} if bases else {}),
        **({"datasets": list(dict.fromkeys(data))} if data else {}),
    }


def _hub_license(facts: Facts) -> dict[str, str]:
    if facts.voice.license is None:
        return {"license": "unknown"}
    name = facts.policy.canonical(facts.voice.license)
    if name.lower() in _HUB_LICENSES:
        return {"license": name.lower()}
    known = facts.policy.licenses.get(name)
    link = NOTICE_NAME if known is None else known.link or SPDX_LINK.format(name.split(" WITH ")[0])
    slug = re.sub(r"[^a-z0-9.]+", "-", name.removeprefix(LICENSE_REF).lower()).strip("-")
    return {"license": "other", "license_name": slug[:100] or "other", "license_link": link}


def _hub(pattern: re.Pattern[str], node: Node) -> re.Match[str] | None:
    return pattern.fullmatch(node.source_url or "")


def _table(facts: Facts, nodes: Iterable[Node]) -> Iterator[str]:
    yield "| what | part | by | licence |"
    yield "|---|---|---|---|"
    for node in nodes:
        licenses = ", ".join(_code(one) for one in dict.fromkeys(node.licenses)) or "none named"
        yield (
            f"| {escaped(node.name)} | {escaped(_roles(facts.lineage, node))} | {escaped(node.provider or '')} "
            f"| {licenses} |"
        )


def escaped(text: str) -> str:
    """One line of Markdown that shows ``text`` and means nothing more: no link, no table's end, no HTML."""
    return _MARKDOWN.sub(r"\\\1", _line(text))


def _code(expression: str) -> str:
    return f"`{expression}`" if _EXPRESSION.fullmatch(expression) else escaped(expression)


# -- both ----------------------------------------------------------------------------------------------------------


def _anonymous(facts: Facts) -> bool:
    consent = facts.voice.consent
    return consent.speaker_type == "human" and consent.pseudonymous


def _roles(lineage: Lineage, node: Node) -> str:
    return ", ".join(dict.fromkeys(edge.role for edge in lineage.edges if edge.parent == node.id)) or "part"


def _ids(node: Node) -> Iterator[str]:
    return (one for text in dict.fromkeys(node.licenses) for one in dict.fromkeys(re.split(r"[() ]+", text)))


def _licenses(node: Node) -> str:
    """Of weights, "MIT" or "CC-BY-4.0 (code: Apache-2.0)"."""
    different = [_line(one) for one in dict.fromkeys(node.licenses)]
    if node.kind == "weights" and len(different) == 2:
        return f"{different[0]} (code: {different[1]})"
    return ", ".join(different) or "none named"


def _line(text: str) -> str:
    """``text`` in one line, without control and invisible characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
