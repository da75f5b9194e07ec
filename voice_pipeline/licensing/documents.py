"""The documents that a bundle carries about its rights, made from the facts, and compared with the bundle's own.

    documents = bundle_documents(project, voice, store)          # name -> bytes; at the build
    document_blockers(documents, bundle_folder)                  # at the gate, with the documents made again

NOTICE, MODEL_CARD.md, lineage.json, sbom.cdx.json and consent.json hold no clock time: the same facts give the same
bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from voice_pipeline.bundle.format import CONSENT_NAME, LINEAGE_NAME, MODEL_CARD_NAME, NOTICE_NAME, SBOM_NAME
from voice_pipeline.consent import public_record
from voice_pipeline.failures import Blocker
from voice_pipeline.licensing.allowlist import Allowlist, load_allowlist
from voice_pipeline.licensing.lineage import Lineage, lineage_of
from voice_pipeline.licensing.notices import Facts, model_card, notice
from voice_pipeline.licensing.packages import Package
from voice_pipeline.licensing.parts import Part, parts_of
from voice_pipeline.licensing.policy import Policy, load_policy
from voice_pipeline.licensing.sbom import sbom_json
from voice_pipeline.store import Store, inside
from voice_pipeline.voice import Voice

_SHOWN_LINES = 3


def bundle_documents(
    project: Path,
    voice: Voice,
    store: Store,
    *,
    parts: Sequence[Part] | None = None,
    packages: Sequence[Package] | None = None,
) -> dict[str, bytes]:
    """All five, by their names in the bundle. ``parts`` are those that the build knows: before anything has judged.

    Raises ConfigError for a wrong policy, allowlist or packages.yaml.
    """
    policy, allowlist = load_policy(project), load_allowlist(project)
    parts = parts_of(project, voice, store) if parts is None else parts
    lineage = lineage_of(project, voice, store, parts, allowlist, policy, packages)
    return documents_of(project, voice, lineage, allowlist, policy, parts)


def documents_of(
    project: Path, voice: Voice, lineage: Lineage, allowlist: Allowlist, policy: Policy, parts: Sequence[Part]
) -> dict[str, bytes]:
    """``bundle_documents`` from what is known already."""
    manifests = {part.model_id: part.manifest for part in parts if part.manifest is not None}
    facts = Facts(project, voice, lineage, allowlist, policy, manifests)
    consent = json.dumps(public_record(voice), sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return {
        NOTICE_NAME: notice(facts),
        MODEL_CARD_NAME: model_card(facts),
        LINEAGE_NAME: lineage.to_json(),
        SBOM_NAME: sbom_json(lineage),
        CONSENT_NAME: consent.encode(),
    }


def document_blockers(documents: Mapping[str, bytes], bundle_folder: Path) -> tuple[Blocker, ...]:
    """``bundle_invalid`` for each document that the bundle lacks, or has otherwise than the facts give it."""
    found = []
    for name, wanted in documents.items():
        try:
            with inside(bundle_folder, name).open("rb") as stream:
                carried = stream.read(len(wanted) + (1 << 20))  # one that is longer by more differs anyway
        except (OSError, ValueError):
            found.append(Blocker("bundle_invalid", f"the bundle does not carry {name}: build it again"))
            continue
        if carried != wanted:
            found.append(Blocker("bundle_invalid", f"{name} {_difference(carried, wanted)}; build the bundle again"))
    return tuple(found)


def _difference(carried: bytes, wanted: bytes) -> str:
    """The first lines that are missing, or are there and should not be."""
    has = carried.decode("utf-8", "replace").splitlines()
    needs = wanted.decode("utf-8").splitlines()
    for word, lines, others in (("lacks", needs, set(has)), ("says what the facts do not say", has, set(needs))):
        different = [line.strip() for line in lines if line not in others and line.strip()]
        if different:
            shown = ", ".join(repr(line[:100]) for line in different[:_SHOWN_LINES])
            more = f" and {len(different) - _SHOWN_LINES} more lines" if len(different) > _SHOWN_LINES else ""
            return f"{word}: {shown}{more}"
    return "has its lines in another order"
