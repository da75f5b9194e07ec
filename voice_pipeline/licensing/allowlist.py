"""The record of known weights: id -> licence facts that a person has checked. configs/licensing/allowlist.yaml.

allowlist = load_allowlist(project)
entry = allowlist.entry("whisper/tiny.en")
entry.disagreements(manifest, policy)               # () when the manifest says what the record says
entry.packaged.locate()                             # where an installed package keeps the file
entry.bases, entry.trained_on                       # ids of what it was made from, where that is known
"""

from __future__ import annotations

import re
from datetime import date
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from voice_pipeline.licensing.policy import Policy
from voice_pipeline.licensing.weights_manifest import WeightsManifest
from voice_pipeline.voice import parse_strict

ALLOWLIST_PATH = Path("configs/licensing/allowlist.yaml")
MANIFESTS_PATH = Path("configs/licensing/weights")  # a weights manifest for each entry, named by manifest_name
TEXTS_PATH = Path("configs/licensing/texts")  # stored copies of licence texts

_Url = Annotated[str, Field(pattern=r"^https://\S+$", max_length=2000)]
_Checksum = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Packaged(_Strict):
    """A file inside an installed Python package."""

    distribution: str = Field(min_length=1)
    path: str = Field(min_length=1, description="Relative POSIX path, as the distribution's RECORD writes it.")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must be a relative path without ..")
        return value

    def locate(self) -> Path | None:
        """The installed file, without importing the package; None where it is not installed."""
        try:
            found = Path(str(metadata.distribution(self.distribution).locate_file(self.path)))
        except metadata.PackageNotFoundError:
            return None
        return found if found.is_file() else None


class Relicensed(_Strict):
    """Why the same bytes have another licence than before: their owner said so."""

    on: date
    reason: str = Field(min_length=1)
    link: _Url = Field(description="Where the owner says so.")


class KnownDataset(_Strict):
    """The checked licence facts of data that weights were trained on."""

    id: _Id
    provider: str = Field(min_length=1)
    source: _Url
    license: str = Field(min_length=1, description="SPDX expression.")
    license_url: _Url


class KnownWeights(_Strict):
    """The checked licence facts of one set of weights. What is optional may be unknown; evidence.py asks for it."""

    id: _Id
    provider: str = Field(min_length=1)
    source: _Url
    weights_license: str = Field(min_length=1)
    code_license: str = Field(min_length=1)
    commercial_use_allowed: bool
    redistribution_allowed: bool
    attribution_required: bool
    license_url: _Url
    checksums: tuple[_Checksum, ...] = Field((), description="Without one the weights are known as a base only.")
    packaged: Packaged | None = None
    bases: tuple[_Id, ...] = Field((), description="Ids of the weights that it was fine-tuned or distilled from.")
    trained_on: tuple[_Id, ...] = Field((), description="Ids of the datasets that it was trained on.")
    not_known: str | None = Field(None, min_length=1, description="What its makers do not say about how it was made.")
    checked_on: date | None = Field(None, description="The day on which a person compared these facts with the source.")
    license_text: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.txt$", description="Its licence text in configs/licensing/texts/."
    )
    license_text_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    attribution: str | None = Field(None, min_length=1, description="The notice to print where attribution is due.")
    relicensed: Relicensed | None = None

    @model_validator(mode="after")
    def _complete(self) -> KnownWeights:
        if (self.license_text is None) != (self.license_text_sha256 is None):
            raise ValueError("license_text and license_text_sha256 go together")
        if self.id in self.bases:
            raise ValueError("bases: it cannot be made from itself")
        return self

    def disagreements(self, manifest: WeightsManifest, policy: Policy) -> tuple[str, ...]:
        """What ``manifest`` says otherwise than this record; licences are compared in their SPDX spelling."""
        compared = (
            ("source", manifest.source_url, self.source),
            ("code_license", policy.canonical(manifest.code_license), policy.canonical(self.code_license)),
            ("weights_license", policy.canonical(manifest.weights_license), policy.canonical(self.weights_license)),
            ("commercial_use_allowed", manifest.commercial_use_allowed, self.commercial_use_allowed),
            ("attribution_required", manifest.attribution_required, self.attribution_required),
        )
        found = [
            f"{name}: the manifest says {said}, the allowlist {known}"
            for name, said, known in compared
            if said != known
        ]
        decision = policy.decide(self.weights_license)
        if not self.attribution_required and decision.attribution:
            found.append(f"attribution_required: {self.weights_license} asks for it, the allowlist says it does not")
        if decision.verdict == "allowed" and self.redistribution_allowed and not decision.redistribution:
            found.append(
                f"redistribution_allowed: {self.weights_license} does not grant it, the allowlist says it does"
            )
        return tuple(found)


class Allowlist(_Strict):
    """All known weights and datasets, in the file's order."""

    weights: tuple[KnownWeights, ...]
    datasets: tuple[KnownDataset, ...] = ()

    @model_validator(mode="after")
    def _one_entry_an_id(self) -> Allowlist:
        for section, names in (
            ("weights", [manifest_name(entry.id) for entry in self.weights]),
            ("datasets", [dataset.id.lower() for dataset in self.datasets]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{section}: {', '.join(twice)} twice")
        return self

    def entry(self, model_id: str) -> KnownWeights | None:
        """The record of one id, or None."""
        return next((entry for entry in self.weights if entry.id == model_id), None)

    def dataset(self, dataset_id: str) -> KnownDataset | None:
        """The record of one dataset, or None."""
        return next((dataset for dataset in self.datasets if dataset.id == dataset_id), None)


def load_allowlist(project: Path) -> Allowlist:
    """The allowlist of a project. Raises ConfigError that names the file and the field."""
    return parse_strict(Allowlist, project / ALLOWLIST_PATH)


def manifest_name(model_id: str) -> str:
    """File name of the weights manifest of an id: ``whisper/tiny.en`` -> ``whisper-tiny.en.weights-manifest.json``."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", model_id).lower() + ".weights-manifest.json"
