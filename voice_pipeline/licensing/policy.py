"""What a licence means for a voice that is sold: SPDX expressions judged by configs/licensing/policy.yaml.

    policy = load_policy(project)
    policy.decide("MIT OR CC-BY-NC-4.0").verdict        # "allowed": one may choose MIT
    policy.decide("apache 2.0").reason                  # 'apache 2.0': no SPDX expression; did you mean Apache-2.0?

An AND is as good as its worst part, an OR as good as its best, and of that part are the duties. An exception (WITH)
only ever adds permissions, so that it never makes a licence worse. Whatever is not known is unclear.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voice_pipeline.voice import parse_strict

POLICY_PATH = Path("configs/licensing/policy.yaml")
SPDX_LINK = "https://spdx.org/licenses/{}.html"
LICENSE_REF = "LicenseRef-"
MAX_EXPRESSION_CHARS = 500

Verdict = Literal["allowed", "forbidden", "unclear"]
_BADNESS: dict[Verdict, int] = {"allowed": 0, "unclear": 1, "forbidden": 2}
_LOOKS_ALIKE = 0.8  # difflib ratio above which another spelling is suggested


class LicenseFacts(BaseModel):
    """The policy's word on one licence."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    verdict: Verdict
    attribution: bool = False
    share_alike: bool = False
    redistribution: bool = True
    reason: str = Field(min_length=1)
    link: str = Field("", pattern=r"^(https://\S+)?$")


@dataclass(frozen=True)
class LicenseDecision:
    """The verdict on one expression, and the duties that come with it."""

    expression: str  # in its one SPDX spelling where it has one, else as written
    verdict: Verdict
    reason: str
    attribution: bool = False
    share_alike: bool = False
    redistribution: bool = False
    suggestion: str | None = None


class Policy(BaseModel):
    """configs/licensing/policy.yaml: licence id -> facts, and the names that people write -> licence id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    licenses: dict[str, LicenseFacts]
    names: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_ids(self) -> Policy:
        spdx = {symbol.key for symbol in _spdx_symbols()}
        for key, facts in self.licenses.items():
            unknown = [part for part in key.split(" WITH ") if part not in spdx and not part.startswith(LICENSE_REF)]
            if unknown:
                raise ValueError(f"licenses: {unknown[0]!r} is neither an SPDX id nor a {LICENSE_REF}...")
            if LICENSE_REF in key and not facts.link:
                raise ValueError(f"licenses: {key} needs a link to its text")
        for name, key in self.names.items():
            if key not in self.licenses:
                raise ValueError(f"names: {name!r} names {key!r}, which is not under licenses")
        return self

    def decide(self, expression: str) -> LicenseDecision:
        """Judge an SPDX expression. Never raises: what cannot be read is unclear, with a suggestion where one fits."""
        written = " ".join(expression.split())
        if not written or len(expression) > MAX_EXPRESSION_CHARS:
            return LicenseDecision(written[:80], "unclear", "no licence is given" if not written else "too long")
        try:
            tree = self._licensing.parse(written, validate=True, strict=True)
            decision = self._judge(tree)
        except Exception:  # the parser answers some malformed expressions with AttributeError, IndexError or TypeError
            suggestion = self.suggest(written)
            hint = f"; did you mean {suggestion}?" if suggestion else ""
            known = "the policy does not know it" if written.startswith(LICENSE_REF) else "no SPDX expression"
            return LicenseDecision(written, "unclear", f"{written!r}: {known}{hint}", suggestion=suggestion)
        return replace(decision, expression=str(tree.render()))

    def canonical(self, expression: str) -> str:
        """The one spelling of an expression, for comparing; what cannot be read stays as it is."""
        return self.decide(expression).expression

    def suggest(self, name: str) -> str | None:
        """The licence id that somebody who wrote ``name`` may have meant."""
        keys = {_plain(key): key for key in self._symbol_keys}
        keys.update({_plain(key): value for key, value in self.names.items()})
        plain = _plain(name)
        if plain in keys:
            return keys[plain]
        if "/" in name:  # "MIT/Apache-2.0" names two; which of AND and OR is meant is not ours to guess
            return None
        close = difflib.get_close_matches(plain, keys, n=1, cutoff=_LOOKS_ALIKE)
        return keys[close[0]] if close else None

    @cached_property
    def _licensing(self) -> Any:
        from license_expression import LicenseSymbol, Licensing

        own = sorted({part for key in self.licenses for part in key.split(" WITH ") if part.startswith(LICENSE_REF)})
        return Licensing([*_spdx_symbols(), *(LicenseSymbol(key) for key in own)])

    @cached_property
    def _symbol_keys(self) -> tuple[str, ...]:
        return tuple(sorted(self._licensing.known_symbols))

    def _judge(self, node: Any) -> LicenseDecision:
        operator = type(node).__name__
        if operator in ("AND", "OR"):
            return _joined(operator, [self._judge(argument) for argument in node.args])
        if operator == "LicenseWithExceptionSymbol":
            pair = f"{node.license_symbol.key} WITH {node.exception_symbol.key}"
            return self._look_up(pair if pair in self.licenses else str(node.license_symbol.key))
        return self._look_up(str(node.key))

    def _look_up(self, key: str) -> LicenseDecision:
        facts = self.licenses.get(key)
        if facts is None:
            return LicenseDecision(key, "unclear", f"{key}: the policy has no verdict on it")
        link = facts.link or SPDX_LINK.format(key.split(" WITH ")[0])
        return LicenseDecision(
            key, facts.verdict, f"{key}: {facts.reason} ({link})", facts.attribution, facts.share_alike,
            facts.redistribution,
        )  # fmt: skip


def load_policy(project: Path) -> Policy:
    """The policy of a project. Raises ConfigError that names the file and the field."""
    return parse_strict(Policy, project / POLICY_PATH)


def _joined(operator: str, parts: list[LicenseDecision]) -> LicenseDecision:
    if operator == "OR":  # the user of the weights may choose: the best part, the first of equals
        return min(parts, key=lambda part: _BADNESS[part.verdict])
    verdict = max((part.verdict for part in parts), key=_BADNESS.__getitem__)
    return LicenseDecision(
        "",
        verdict,
        "; ".join(dict.fromkeys(part.reason for part in parts if part.verdict == verdict)),
        attribution=any(part.attribution for part in parts),
        share_alike=any(part.share_alike for part in parts),
        redistribution=all(part.redistribution for part in parts),
    )


@cache
def _spdx_symbols() -> tuple[Any, ...]:
    """SPDX's licences and exceptions.

    The library also takes names that are not SPDX (a scanner's LicenseRef for texts that resemble MIT, names with
    spaces) for the licence itself. A manifest must not become "MIT" that way: only former SPDX ids are kept.
    """
    from license_expression import LicenseSymbol, get_spdx_licensing

    symbols = []
    for symbol in {id(value): value for value in get_spdx_licensing().known_symbols.values()}.values():
        former = tuple(alias for alias in symbol.aliases if not alias.startswith(LICENSE_REF) and " " not in alias)
        if not symbol.key.startswith(LICENSE_REF):
            symbols.append(LicenseSymbol(symbol.key, aliases=former, is_exception=symbol.is_exception))
    return tuple(symbols)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9+]|licen[cs]e|version|\bthe\b", "", name.lower())
