"""The software bill of materials of a bundle: sbom.cdx.json, CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

    data = sbom_json(lineage)

Components are the packages that run when the bundle speaks, and the weights whose substance it holds, with the sha256
of their files. The bundle's own files are in its manifest. Made from the lineage alone: the serial number comes from
the content (a UUID of version 5) and there is no time of day, so that the same facts give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from functools import lru_cache
from typing import Any

from voice_pipeline.licensing.lineage import Lineage, Node
from voice_pipeline.store import canonical_json

_TOOL = "voice-pipeline"


def sbom_json(lineage: Lineage) -> bytes:
    """The bill of materials of the voice with that lineage."""
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    own = Component(
        name=lineage.root.name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=lineage.root.id,
        licenses=_licenses(lineage.root),
    )
    listed = [node for node in lineage.nodes if node.kind == "package" or (node.kind == "weights" and node.shipped)]
    components = {node.id: _component(node) for node in listed if node.kind == "package" or node.checksum}
    tool = lineage.node(f"package:{_TOOL}")
    maker = Component(name=tool.name, version=tool.version, type=ComponentType.APPLICATION, bom_ref=f"tool:{_TOOL}")
    metadata = BomMetaData(component=own, tools=_tools(maker))
    bom = Bom(components=components.values(), metadata=metadata)
    everything = {lineage.root.id: own, **components}
    for node_id, component in sorted(everything.items()):
        needed = {edge.parent for edge in lineage.parents(node_id)} & set(components)
        if node_id == lineage.root.id:  # also what only its recordings were made with, or its bases from
            needed |= {one for one in components if one.startswith("weights:")}
        bom.register_dependency(component, [components[one] for one in sorted(needed - {node_id})])
    value: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del value["metadata"]["timestamp"], value["serialNumber"]  # both vary; neither is required
    digest = hashlib.sha256(canonical_json(value)).hexdigest()
    value["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}"
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _component(node: Node) -> Any:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalEntity
    from packageurl import PackageURL

    package = node.kind == "package"
    kind = ExternalReferenceType.DISTRIBUTION if package else ExternalReferenceType.WEBSITE
    hashes = (
        [HashType(alg=HashAlgorithm.SHA_256, content=node.checksum.removeprefix("sha256:"))] if node.checksum else []
    )
    return Component(
        name=node.name,
        version=node.version,
        type=ComponentType.LIBRARY if package else ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=node.id,
        purl=PackageURL("pypi", None, node.name, node.version) if package else None,
        licenses=_licenses(node),
        hashes=hashes,
        supplier=OrganizationalEntity(name=node.provider) if node.provider else None,
        external_references=[ExternalReference(type=kind, url=XsUri(node.source_url))] if node.source_url else None,
    )


def _licenses(node: Node) -> list[Any]:
    """One SPDX expression: of weights, that of the weights and that of their code together; else a name as written."""
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression

    different = list(dict.fromkeys(node.licenses))
    if not all(_is_expression(one) for one in different):
        return [DisjunctiveLicense(name=one) for one in different]
    joined = different[0] if len(different) == 1 else " AND ".join(f"({one})" for one in different)
    return [LicenseExpression(joined)] if joined else []


@lru_cache(maxsize=1024)  # the library builds its index of all licences anew for each question: 0.1 s
def _is_expression(written: str) -> bool:
    """Whether words have the form of an SPDX expression; which licences it names is the policy's question."""
    from license_expression import get_spdx_licensing

    try:
        return get_spdx_licensing().parse(written, validate=False, strict=True) is not None
    except Exception:  # the parser answers some malformed expressions with AttributeError, IndexError or TypeError
        return False


def _tools(maker: Any) -> Any:
    from cyclonedx.model.tool import ToolRepository

    return ToolRepository(components=[maker])
