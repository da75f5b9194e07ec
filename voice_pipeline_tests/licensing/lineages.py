"""Lineages of a voice that is not there: an allowlist written in a few words, and parts that name it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voice_pipeline.licensing.allowlist import Allowlist
from voice_pipeline.licensing.lineage import Lineage, lineage_of
from voice_pipeline.licensing.packages import Package
from voice_pipeline.licensing.parts import Part
from voice_pipeline.licensing.policy import Policy, load_policy
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice
from voice_pipeline_tests.conftest import PROJECT

VOICE: dict[str, Any] = {
    "voice_profile_id": "dottie_default",
    "display_name": "Auntie Dottie",
    "source": {"path": "recordings", "license": "LicenseRef-Proprietary-Own-Recording"},
    "consent": {
        "speaker_type": "human",
        "speaker": "Auntie Dottie",
        "status": "granted",
        "granted_on": "2026-01-31",
        "evidence": "signed.pdf",
    },
}
CODE = Package(
    "voice-pipeline", "0.1.0", "Apache-2.0", "License-Expression", "Apache-2.0", (), "allowed", "permissive", True
)
POLICY: Policy = load_policy(PROJECT)


def known(model_id: str, license_id: str = "Apache-2.0", **changes: Any) -> dict[str, Any]:
    """An entry of the allowlist."""
    return {
        "id": model_id,
        "provider": f"makers of {model_id}",
        "source": f"https://example.org/{model_id}",
        "weights_license": license_id,
        "code_license": "Apache-2.0",
        "commercial_use_allowed": True,
        "redistribution_allowed": True,
        "attribution_required": True,
        "license_url": "https://example.org/license",
        "checksums": ["sha256:" + "0" * 64],
        "checked_on": "2026-05-01",
        **changes,
    }


def data(dataset_id: str, license_id: str) -> dict[str, Any]:
    """A data set of the allowlist."""
    url = f"https://example.org/data/{dataset_id}"
    return {
        "id": dataset_id,
        "provider": f"makers of {dataset_id}",
        "source": url,
        "license": license_id,
        "license_url": url,
    }


def allowlist(weights: list[dict[str, Any]], datasets: Mapping[str, str] | None = None) -> Allowlist:
    """An allowlist of ``weights`` and of ``datasets`` (id -> licence)."""
    return Allowlist.model_validate(
        {"weights": weights, "datasets": [data(key, value) for key, value in (datasets or {}).items()]}
    )


def part(folder: Path, entry: Mapping[str, Any], role: str = "fastpitch base", *, shipped: bool = True) -> Part:
    """A part of the voice with a weights manifest that says what the allowlist says."""
    model_id = str(entry["id"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{model_id.replace('/', '-')}.json"
    value = {
        "model_id": model_id,
        "source_url": entry["source"],
        "code_license": entry["code_license"],
        "weights_license": entry["weights_license"],
        "commercial_use_allowed": True,
        "attribution_required": entry["attribution_required"],
        "evidence_links": ["https://example.org/license"],
        "checksum": "sha256:" + "0" * 64,
        "created_at": "2026-01-01T00:00:00Z",
    }
    path.write_text(json.dumps(value))
    return Part(role, model_id, path, None, None, shipped)


def lineage(
    known_weights: Allowlist, parts: list[Part], packages: tuple[Package, ...] = (CODE,), **voice: Any
) -> Lineage:
    """The lineage of Auntie Dottie with these parts."""
    config = Voice.model_validate({**VOICE, **voice})
    return lineage_of(PROJECT, config, Store(PROJECT / "store"), parts, known_weights, POLICY, packages)
