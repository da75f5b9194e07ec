"""What a licence means for a voice that is sold: SPDX expressions judged by configs/licensing/policy.yaml.

    policy = load_policy(project)
    policy.decide("MIT OR CC-BY-NC-4.0").verdict        # "allowed": one may choose MIT
    policy.decide("apache 2.0").reason                  # 'apache 2.0': no SPDX expression; did you mean Apache-2.0?

An AND is as good as its worst part, and has the duties of all its parts. An OR is a choice: the best part counts, of
parts that are as good the one with the fewest duties. An exception (WITH) only ever adds permissions, so that it never
makes a licence worse; ``X+`` is judged as X, which one may choose. Whatever is not known is unclear.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voice_pipeline.store import sha256_file
from voice_pipeline.voice import parse_strict

POLICY_PATH = Path("configs/licensing/policy.yaml")
SPDX_LINK = "https://spdx.org/licenses/{}.html"
LICENSE_REF = "LicenseRef-"
MAX_EXPRESSION_CHARS = 500

Verdict = Literal["allowed", "forbidden", "unclear"]
_BADNESS: dict[Verdict, int] = {"allowed": 0, "unclear": 1, "forbidden": 2}
_LOOKS_ALIKE = 0.8  # difflib ratio above which another spelling is suggested
_OWN_NAME = re.compile(r"(DocumentRef-[a-z0-9.-]+:)?LicenseRef-[a-z0-9.-]+", re.IGNORECASE)  # SPDX 2.3, annex D
_OPERATORS = ("and", "or", "with")
# Words that no permissive licence has in its name: who wrote them is never told to write one.
_RESTRICTED = re.compile(
    r"non.?commercial|\bnc\b|research|academic|evaluation only|personal|proprietary", re.IGNORECASE
)


class LicenseFacts(BaseModel):
    """The policy's word on one licence."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    verdict: Verdict
    attribution: bool = False
    share_alike: bool = False
    redistribution: bool = True
    reason: str = Field(min_length=1)
    link: str = Field("", pattern=r"^(https://\S+)?$")
    accepts: tuple[str, ...] = Field(
        (), description="Of a share-alike licence: the others under which it lets what is made from it be handed on."
    )
    says: str = Field("", description="Words that stand in its text, so that another text is not taken for it.")

    @model_validator(mode="after")
    def _accepts_of_share_alike_only(self) -> LicenseFacts:
        if self.accepts and not self.share_alike:
            raise ValueError("accepts is for share_alike licences only")
        return self


class EvidencePolicy(BaseModel):
    """How old the facts may be that a person has checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_age_days: int = Field(default=365, ge=1, le=3660)


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
    no_license: dict[str, str] = Field(default_factory=dict, description="Words that name no licence -> why.")
    evidence: EvidencePolicy = EvidencePolicy()

    @model_validator(mode="after")
    def _known_ids(self) -> Policy:
        spdx = {symbol.key for symbol in _spdx_symbols()}
        for key, facts in self.licenses.items():
            unknown = [part for part in key.split(" WITH ") if part not in spdx and not part.startswith(LICENSE_REF)]
            if unknown:
                raise ValueError(f"licenses: {unknown[0]!r} is neither an SPDX id nor a {LICENSE_REF}...")
            if LICENSE_REF in key and not facts.link:
                raise ValueError(f"licenses: {key} needs a link to its text")
            strangers = [other for other in facts.accepts if other not in self.licenses]
            if strangers:
                raise ValueError(f"licenses: {key} accepts {strangers[0]!r}, which is not under licenses")
        for name, key in self.names.items():
            if key not in self.licenses:
                raise ValueError(f"names: {name!r} names {key!r}, which is not under licenses")
        return self

    def decide(self, expression: str) -> LicenseDecision:
        """Judge an SPDX expression. Never raises: what cannot be read is unclear, with a suggestion where one fits."""
        try:
            tree = self._parse(expression)
        except _UnreadableError as error:
            return error.decision
        return replace(self._judge(tree), expression=str(tree.render()))

    def fault(self, expression: str) -> str | None:
        """Why no licence can be read in ``expression``; None where one can, whatever the policy thinks of it."""
        try:
            self._parse(expression)
        except _UnreadableError as error:
            return error.decision.reason
        return None

    def under(self, expression: str) -> frozenset[str] | None:
        """The licences under which what is made from a part under ``expression`` may be handed on.

        None where the part leaves that free; () where its licences contradict each other, or it cannot be read.
        """
        try:
            return self._under(self._parse(expression))
        except _UnreadableError:
            return frozenset()

    def canonical(self, expression: str) -> str:
        """The one spelling of an expression, for comparing; what cannot be read stays as it is."""
        return self.decide(expression).expression

    def suggest(self, name: str) -> str | None:
        """The licence id that somebody who wrote ``name`` may have meant."""
        keys = {_plain(key): key for key in self._symbol_keys}
        keys.update({_plain(key): value for key, value in self.names.items()})
        restricted = _RESTRICTED.search(name)
        if restricted is not None:
            facts = self.licenses
            keys = {plain: key for plain, key in keys.items() if key in facts and facts[key].verdict != "allowed"}
        plain = _plain(name)
        if plain in keys:
            return keys[plain] if keys[plain] != name else None
        if re.search(r"[/,;&|]", name):  # "MIT/Apache-2.0" names two; which of AND and OR is meant is not ours to guess
            return None
        close = difflib.get_close_matches(plain, keys, n=1, cutoff=_LOOKS_ALIKE)
        if close:
            return keys[close[0]]
        return keys.get(_plain(restricted[0])) if restricted is not None else None

    def _parse(self, expression: str) -> Any:
        """The expression's tree. Raises _UnreadableError, in words for a person."""
        written = " ".join(expression.split())
        if not written:
            raise _UnreadableError("", "no licence is given, so that all rights are reserved")
        if len(expression) > MAX_EXPRESSION_CHARS:
            raise _UnreadableError(f"{written[:80]}…", f"longer than {MAX_EXPRESSION_CHARS} characters")
        strange = next((char for char in expression if not char.isascii()), None)
        if strange is not None:  # before anything compares: a Cyrillic М is no M
            name = unicodedata.name(strange, "unnamed")
            raise _UnreadableError(
                written, f"{written!r} holds U+{ord(strange):04X} ({name}), which no licence id does"
            )
        nothing = self._words_for_none.get(_plain(written) or written.lower())
        if nothing is not None:
            raise _UnreadableError(written, f"{written!r} names no licence: {nothing}")
        try:
            tree = self._licensing.parse(written, validate=False, strict=True)
            strangers = [key for key in self._licensing.unknown_license_keys(tree) if not self._readable(key)]
        except Exception:  # the parser answers some malformed expressions with AttributeError, IndexError or TypeError
            strangers = [written]
        if not strangers:
            return tree
        fault = self._malformed(written)
        if fault is not None:
            raise _UnreadableError(written, f"{written!r}: {fault}")
        suggestion = self.suggest(strangers[0])
        hint = f"; did you mean {suggestion}?" if suggestion else ""
        which = "" if strangers[0] == written else f"{strangers[0]!r} is "
        raise _UnreadableError(written, f"{written!r}: {which}no SPDX expression{hint}", suggestion)

    def _readable(self, key: str) -> bool:
        """Whether a key outside SPDX and the policy is still written as SPDX has it: an own name, or ``X+``."""
        return _OWN_NAME.fullmatch(key) is not None or key.removesuffix("+").lower() in self._lower_keys

    def _malformed(self, written: str) -> str | None:
        """What is wrong with the form of an expression that cannot be parsed; None where it is the names."""
        words = written.replace("(", " ").replace(")", " ").split()
        if written.count("(") != written.count(")"):
            return "the brackets do not match"
        if not words:
            return "there is no licence in the brackets"
        for end, side in ((words[-1], "after"), (words[0], "before")):
            if end.lower() in _OPERATORS:
                return f"a licence is missing {side} {end.upper()}"
        if words[-1].lower() in self._exceptions:
            return "an exception stands after WITH, and no licence is there" if len(words) == 1 else None
        parts = [part for part in re.split(r"[\s/,;&|]+", written) if part]
        if len(parts) > 1 and all(part.lower() in self._lower_keys for part in parts):
            return "write AND between the licences where both hold, OR where one may choose"
        return None

    @cached_property
    def _words_for_none(self) -> dict[str, str]:
        return {_plain(word) or word.lower(): why for word, why in self.no_license.items()}

    @cached_property
    def _exceptions(self) -> frozenset[str]:
        return frozenset(symbol.key.lower() for symbol in _spdx_symbols() if symbol.is_exception)

    @cached_property
    def _lower_keys(self) -> frozenset[str]:
        return frozenset(key.lower() for key in self._symbol_keys)

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
        return self._look_up(self._key(node))

    def _under(self, node: Any) -> frozenset[str] | None:
        operator = type(node).__name__
        if operator not in ("AND", "OR"):
            key = self._key(node)
            facts = self.licenses.get(key)
            return frozenset({key, *facts.accepts}) if facts is not None and facts.share_alike else None
        if operator == "AND":
            return common([self._under(argument) for argument in node.args])
        best = self._judge(node).verdict  # nobody chooses a licence that forbids
        chosen = [self._under(argument) for argument in node.args if self._judge(argument).verdict == best]
        free = any(one is None for one in chosen)
        return None if free else frozenset().union(*(one for one in chosen if one is not None))

    def _key(self, node: Any) -> str:
        """The key under which the policy has a licence, with its exception where it speaks about the two."""
        if type(node).__name__ == "LicenseWithExceptionSymbol":
            pair = f"{node.license_symbol.key} WITH {node.exception_symbol.key}"
            return pair if pair in self.licenses else str(node.license_symbol.key)
        key = str(node.key)
        return key if key in self.licenses else self._without_plus(key)

    def _without_plus(self, key: str) -> str:
        if not key.endswith("+"):
            return key
        return next((known for known in self._symbol_keys if known.lower() == key[:-1].lower()), key)

    def _look_up(self, key: str) -> LicenseDecision:
        facts = self.licenses.get(key)
        if facts is None:
            close = self.suggest(key) if _OWN_NAME.fullmatch(key) else None
            hint = f"; did you mean {close}?" if close else ""
            return LicenseDecision(key, "unclear", f"{key}: the policy has no verdict on it{hint}", suggestion=close)
        link = facts.link or SPDX_LINK.format(key.split(" WITH ")[0])
        return LicenseDecision(
            key, facts.verdict, f"{key}: {facts.reason} ({link})", facts.attribution, facts.share_alike,
            facts.redistribution,
        )  # fmt: skip


def common(sets: list[frozenset[str] | None]) -> frozenset[str] | None:
    """What all of ``sets`` have; None is the set of everything."""
    found: frozenset[str] | None = None
    for one in sets:
        found = one if found is None else found if one is None else found & one
    return found


class _UnreadableError(ValueError):
    """No licence can be read in what was written."""

    def __init__(self, written: str, reason: str, suggestion: str | None = None) -> None:
        self.decision = LicenseDecision(written, "unclear", reason, suggestion=suggestion)
        super().__init__(reason)


_MAX_READ = 8
_read: dict[str, Policy] = {}  # sha256 of the file -> what it says; reading it takes a third of a second


def load_policy(project: Path) -> Policy:
    """The policy of a project. Raises ConfigError that names the file and the field."""
    path = project / POLICY_PATH
    try:
        digest = sha256_file(path)
    except OSError:
        digest = ""  # what is wrong is told below
    policy = _read.get(digest)
    if policy is None:
        policy = parse_strict(Policy, path)
        if sha256_file(path) == digest:  # nobody wrote to it meanwhile
            while len(_read) >= _MAX_READ:
                _read.pop(next(iter(_read)), None)
            _read[digest] = policy
    return policy


def _joined(operator: str, parts: list[LicenseDecision]) -> LicenseDecision:
    if (
        operator == "OR"
    ):  # the user of the weights may choose: the best part, with the fewest duties, the first of equals
        return min(
            parts,
            key=lambda part: (_BADNESS[part.verdict], not part.redistribution, part.share_alike, part.attribution),
        )
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
    spaces, a bare GPL) for the licence itself. A manifest must not become "MIT" that way: only former ids are kept.
    """
    from license_expression import LicenseSymbol, get_spdx_licensing

    symbols = []
    for symbol in {id(value): value for value in get_spdx_licensing().known_symbols.values()}.values():
        former = tuple(alias for alias in symbol.aliases if _was_spdx(alias))
        if not symbol.key.startswith(LICENSE_REF):
            symbols.append(LicenseSymbol(symbol.key, aliases=former, is_exception=symbol.is_exception))
    return tuple(symbols)


def _was_spdx(alias: str) -> bool:
    return not alias.startswith(LICENSE_REF) and " " not in alias and alias not in ("GPL", "BSD-2")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9+]|licen[cs]e|version|\bthe\b", "", name.lower())
