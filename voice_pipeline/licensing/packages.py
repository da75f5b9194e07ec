"""The Python packages that run when a bundle speaks, and what their licences mean.

    packages = speaking_packages(project, load_policy(project))
    package_blockers(packages, "dottie_default")        # () when all of them may run there

The set is this package and the closure, by the installed metadata, over what its synthesizer and text frontend import.
A test starts a process that speaks and compares what it imports with that set. The bundle holds none of this code; but
a voice that only speaks with GPL code beside it could not be handed on as its licence says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.failures import Blocker
from voice_pipeline.licensing.policy import LicenseFacts, Policy, Verdict
from voice_pipeline.voice import parse_strict

PACKAGES_PATH = Path("configs/licensing/packages.yaml")
OWN_PACKAGE = "voice-pipeline"
# What voice_pipeline.bundle.synthesizer and voice_pipeline.text import. The rest of voice-pipeline's requirements is
# the pipeline's, and does not run when a bundle speaks.
SPEAKING_ROOTS = ("numpy", "onnxruntime", "python-crfsuite", "unicode-rbnf")
_MAX_LICENSE_CHARS = 200  # a longer License field holds the licence's text, not its name
_COPYLEFT = "General Public License"  # a classifier with these words is never passed over
_BY_VERDICT = {"forbidden": "license_noncommercial", "unclear": "license_unclear"}

Told = Literal["License-Expression", "License", "classifiers", "packages.yaml", "nothing"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class KnownPackage(_Strict):
    """A package whose metadata does not say its licence, or not all of it."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", description="Normalised, as PEP 503 writes it.")
    declared: tuple[str, ...] = Field(description="What metadata said when a person looked; '' for nothing.")
    license: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    link: str = Field(pattern=r"^https://\S+$")


class PackagesConfig(_Strict):
    """configs/licensing/packages.yaml."""

    licenses: dict[str, LicenseFacts] = Field(default_factory=dict)
    names: dict[str, str] = Field(default_factory=dict)
    packages: tuple[KnownPackage, ...] = ()


@dataclass(frozen=True)
class Package:
    """One installed distribution of the speaking path."""

    name: str  # normalised (PEP 503)
    version: str | None  # None when it is not installed
    license: str | None  # SPDX expression; None when the metadata names none
    told_by: Told
    declared: str  # what the metadata says, in its own words
    requires: tuple[str, ...]  # names, sorted; of the speaking path
    verdict: Verdict
    reason: str
    attribution: bool

    @property
    def purl(self) -> str:
        """Its package URL, https://github.com/package-url/purl-spec."""
        return f"pkg:pypi/{self.name}" + (f"@{self.version}" if self.version else "")


def load_packages_config(project: Path) -> PackagesConfig:
    """The file of a project. Raises ConfigError that names the file and the field."""
    return parse_strict(PackagesConfig, project / PACKAGES_PATH)


def code_policy(policy: Policy, config: PackagesConfig) -> Policy:
    """The policy as it is about code: packages.yaml's verdicts before policy.yaml's."""
    value = policy.model_dump()
    value["licenses"] = {**value["licenses"], **{key: facts.model_dump() for key, facts in config.licenses.items()}}
    return Policy.model_validate(value)


def speaking_packages(project: Path, policy: Policy) -> tuple[Package, ...]:
    """This package and everything that it imports to speak, with what those require; sorted by name.

    Raises ConfigError for a wrong packages.yaml.
    """
    config = load_packages_config(project)
    code = code_policy(policy, config)
    required: dict[str, tuple[str, ...]] = {OWN_PACKAGE: SPEAKING_ROOTS}
    waiting = list(SPEAKING_ROOTS)
    while waiting:
        name = waiting.pop()
        if name not in required:
            required[name] = _requirements(name)
            waiting.extend(required[name])
    return tuple(_package(name, required[name], config, code) for name in sorted(required))


def package_blockers(packages: Sequence[Package], voice: str) -> tuple[Blocker, ...]:
    """Why the speaking path of ``voice`` may not be handed on; each names the way to the package."""
    return tuple(
        Blocker(_BY_VERDICT[one.verdict], f"{' ← '.join((voice, *_way_to(one.name, packages)))}: {one.reason}")
        for one in packages
        if one.verdict != "allowed"
    )


def _way_to(name: str, packages: Sequence[Package]) -> tuple[str, ...]:
    """The shortest way from this package to ``name``; the first of equals."""
    requires = {one.name: one.requires for one in packages}
    ways: list[tuple[str, ...]] = [(OWN_PACKAGE,)]
    seen = {OWN_PACKAGE}
    for way in ways:
        if way[-1] == name:
            return way
        for following in requires.get(way[-1], ()):
            if following not in seen:
                seen.add(following)
                ways.append((*way, following))
    return (name,)


def _requirements(name: str) -> tuple[str, ...]:
    """What an installed distribution requires on this machine, without extras; () for one that is not installed."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        written = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return ()
    found = set()
    for text in written:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # pip refuses to install such a requirement, so nothing came of it
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.add(str(canonicalize_name(requirement.name)))
    return tuple(sorted(found))


def _package(name: str, requires: tuple[str, ...], config: PackagesConfig, code: Policy) -> Package:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        reason = f"{name} is not installed, so its licence is not known"
        return Package(name, None, None, "nothing", "", requires, "unclear", reason, attribution=True)
    declared, license_expression, told_by = _declared(found, config)
    known = next((one for one in config.packages if one.name == name), None)
    if known is not None and declared in known.declared:
        license_expression, told_by = " ".join(known.license.split()), "packages.yaml"
    elif known is not None:
        reason = f"its metadata says {declared!r}, of which {PACKAGES_PATH} knows nothing yet: look at it again"
        return Package(name, found.version, None, told_by, declared, requires, "unclear", reason, attribution=True)
    if license_expression is None:
        said = f"its metadata says {declared!r}" if declared else "its metadata names no licence"
        reason = f"{said}, which is no single licence; record it in {PACKAGES_PATH}"
        return Package(name, found.version, None, told_by, declared, requires, "unclear", reason, attribution=True)
    decision = code.decide(license_expression)
    return Package(
        name, found.version, decision.expression, told_by, declared, requires, decision.verdict, decision.reason,
        decision.attribution,
    )  # fmt: skip


def _declared(found: metadata.Distribution, config: PackagesConfig) -> tuple[str, str | None, Told]:
    """(what the metadata says, the SPDX expression it means or None, which of its fields says it)."""
    fields: Message = found.metadata  # type: ignore[assignment]  # typeshed's protocol lacks get()
    if expression := str(fields.get("License-Expression") or "").strip():
        return expression[:_MAX_LICENSE_CHARS], expression, "License-Expression"
    written = str(fields.get("License") or "").strip()
    classifiers = [one.strip() for one in fields.get_all("Classifier") or [] if one.startswith("License :: ")]
    named = {one: config.names.get(one) for one in classifiers}
    # Several names may offer a choice or hold together; the metadata cannot say which. Together is the stricter.
    together = sorted({one for one in named.values() if one})
    if written and written.upper() != "UNKNOWN" and len(written) <= _MAX_LICENSE_CHARS and "\n" not in written:
        if any(_COPYLEFT in one for one, known in named.items() if known is None):
            return "; ".join((written, *classifiers)), None, "classifiers"
        expression = config.names.get(written, written)
        others = [one for one in together if one != expression]
        return written, " AND ".join((f"({expression})", *others)) if others else expression, "License"
    if not classifiers:
        return "", None, "nothing"
    return "; ".join(classifiers), " AND ".join(together) if all(named.values()) else None, "classifiers"
