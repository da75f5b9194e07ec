"""How good the evidence of a licence is: its age, the stored copies of the texts, and what was said before.

    evidence_blockers(entry, project, policy, today, manifest=manifest, manifest_path=path)
    changes = facts_changes(store, facts)               # what the same bytes were said to be earlier
    change_blockers(changes, facts, allowlist, policy)  # an unexplained change for the better
    record_facts(store, facts, today)                   # after judging
    share_alike_blockers(voice.license, [("recordings", "CC-BY-SA-4.0")], policy)

A weights manifest names a stored copy of its licence's text by an evidence link ``texts/<name>.txt#sha256=<64 hex>``:
in configs/licensing/texts/ for the manifests of configs/licensing/weights/, else in ``texts/`` beside the manifest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, timedelta
from pathlib import Path

from pydantic import TypeAdapter

from voice_pipeline.atomic import exclusive, read_json, write_bytes
from voice_pipeline.failures import Blocker, VoiceFailure
from voice_pipeline.licensing.allowlist import (
    ALLOWLIST_PATH,
    MANIFESTS_PATH,
    TEXTS_PATH,
    Allowlist,
    KnownWeights,
    manifest_name,
)
from voice_pipeline.licensing.policy import Policy, common
from voice_pipeline.licensing.weights_manifest import (
    EXIT_COMMERCIAL_USE_REQUIRED,
    InvalidManifestError,
    WeightsManifest,
    parse_weights_manifest,
    read_weights_manifest,
)
from voice_pipeline.store import Store, canonical_json, inside

MAX_TEXT_BYTES = 1 << 20  # the longest licence texts have some 50 kB
MAX_LEDGER_BYTES = 64 << 20
_TEXT_LINK = re.compile(r"texts/([A-Za-z0-9][A-Za-z0-9._-]*\.txt)#sha256=([0-9a-f]{64})")
_ONE_DAY = timedelta(days=1)  # a day begins at other times elsewhere
# The Unlicense says "for any purpose, commercial or non-commercial".
_SAYS_NO = re.compile(
    r"(?<!commercial or )(?<!commercial and )non-?commercial|research (purposes )?only|only for research", re.IGNORECASE
)


# -- age and texts -------------------------------------------------------------------------------------------------


def evidence_blockers(
    entry: KnownWeights,
    project: Path,
    policy: Policy,
    today: date,
    *,
    manifest: WeightsManifest | None = None,
    manifest_path: Path | None = None,
) -> tuple[Blocker, ...]:
    """Why the facts of ``entry`` are not good enough ``today``: too old, of a day to come, their text gone or altered.

    ``manifest`` is the one that was judged, ``manifest_path`` its place; by default the project's for the entry's id.
    An entry without ``checked_on`` is as old as its manifest.
    """
    path = project / MANIFESTS_PATH / manifest_name(entry.id) if manifest_path is None else manifest_path
    if manifest is None and path.is_file():
        try:
            manifest = read_weights_manifest(path)
        except InvalidManifestError:
            manifest = None  # the gate tells what is wrong with it
    found = [*_age_faults(entry, manifest, policy, today), *_text_faults(entry, project, policy)]
    if manifest is not None:
        found.extend(manifest_text_faults(project, path, manifest))
    return tuple(Blocker("license_unclear", detail) for detail in dict.fromkeys(found))


def manifest_text_faults(project: Path, path: Path, manifest: WeightsManifest) -> Iterator[str]:
    """What is wrong with the stored texts that the evidence links of the manifest at ``path`` name."""
    yield from (text.detail for _, text in _manifest_texts(project, path, manifest) if isinstance(text, _Fault))


def manifest_texts(project: Path, path: Path, manifest: WeightsManifest) -> Iterator[tuple[str, str]]:
    """(name, text) of the stored texts that the manifest at ``path`` names; those that are gone or altered left out."""
    yield from ((name, text) for name, text in _manifest_texts(project, path, manifest) if isinstance(text, str))


def _manifest_texts(project: Path, path: Path, manifest: WeightsManifest) -> Iterator[tuple[str, str | _Fault]]:
    ours = path.parent.resolve() == (project / MANIFESTS_PATH).resolve()
    folder = project / TEXTS_PATH if ours else path.parent / "texts"
    for link in manifest.evidence_links:
        if not link.startswith("texts/"):
            continue
        found = _TEXT_LINK.fullmatch(link)
        if found is None:
            yield link, _Fault(f"evidence link {link}: a stored text is named texts/<name>.txt#sha256=<64 hex>")
        else:
            yield found[1], _stored_text(folder, found[1], found[2])


def _age_faults(entry: KnownWeights, manifest: WeightsManifest | None, policy: Policy, today: date) -> Iterator[str]:
    checked = entry.checked_on
    if checked is None and manifest is not None:
        checked = date.fromisoformat(manifest.created_at[:10])
    if checked is None:
        yield f"nobody says when its licence was checked: add checked_on to {entry.id} in {ALLOWLIST_PATH}"
        return
    days = (today - checked).days
    if checked - today > _ONE_DAY:
        yield f"its licence was checked on {checked}, which is after today, {today}: correct the date, or the clock"
    elif days > policy.evidence.max_age_days:
        limit = policy.evidence.max_age_days
        yield (
            f"its licence was last checked on {checked}, {days} days ago, and {limit} are allowed: compare "
            f"{entry.license_url} with the record, then set checked_on"
        )
    if entry.relicensed is not None and entry.relicensed.on - today > _ONE_DAY:
        yield f"it is relicensed from {entry.relicensed.on}, which is after today, {today}"


def _text_faults(entry: KnownWeights, project: Path, policy: Policy) -> Iterator[str]:
    if entry.license_text is None or entry.license_text_sha256 is None:
        return
    text = _stored_text(project / TEXTS_PATH, entry.license_text, entry.license_text_sha256)
    if isinstance(text, _Fault):
        yield text.detail
        return
    decision = policy.decide(entry.weights_license)
    text = " ".join(text.split())
    no = _SAYS_NO.search(text)
    if no is not None and decision.verdict == "allowed":
        yield f"{entry.license_text} says {no[0]!r}, which {decision.expression} does not: read it again"
    known = policy.licenses.get(decision.expression)
    if known is not None and known.says and known.says.lower() not in text.lower():
        yield f"{entry.license_text} is not the text of {decision.expression}: {known.says!r} does not stand in it"


@dataclass(frozen=True)
class _Fault:
    detail: str


def stored_text(project: Path, entry: KnownWeights) -> str | None:
    """The stored licence text of ``entry``; None where there is none, or it is not what the record says."""
    if entry.license_text is None or entry.license_text_sha256 is None:
        return None
    text = _stored_text(project / TEXTS_PATH, entry.license_text, entry.license_text_sha256)
    return None if isinstance(text, _Fault) else text


def _stored_text(folder: Path, name: str, sha256: str) -> str | _Fault:
    try:
        path = inside(folder, name)
        with path.open("rb") as stream:
            data = stream.read(MAX_TEXT_BYTES + 1) if path.is_file() else b""
    except (OSError, ValueError) as error:
        return _Fault(f"the stored licence text {name} cannot be read ({type(error).__name__}): put it back")
    if len(data) > MAX_TEXT_BYTES:
        return _Fault(f"the stored licence text {name} is larger than {MAX_TEXT_BYTES} bytes")
    if hashlib.sha256(data).hexdigest() != sha256:
        return _Fault(f"the stored licence text {name} was altered after it was recorded: put it back, or check again")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _Fault(f"the stored licence text {name} is not UTF-8")


# -- the ledger of facts -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WeightsFacts:
    """What is said about one file of weights."""

    checksum: str  # "sha256:<64 hex>"
    model_id: str
    weights_license: str
    code_license: str
    commercial_use_allowed: bool
    attribution_required: bool
    source_url: str

    @classmethod
    def of(cls, manifest: WeightsManifest) -> WeightsFacts:
        """The facts of a weights manifest."""
        return cls(
            f"sha256:{manifest.sha256}",
            manifest.model_id,
            manifest.weights_license,
            manifest.code_license,
            manifest.commercial_use_allowed,
            manifest.attribution_required,
            manifest.source_url,
        )

    @classmethod
    def read(cls, path: Path) -> WeightsFacts | None:
        """The facts of the manifest at ``path``, also of one that is refused for forbidding commercial use.

        None for a file that is no manifest.
        """
        try:
            return cls.of(read_weights_manifest(path))
        except InvalidManifestError as error:
            if error.exit_code != EXIT_COMMERCIAL_USE_REQUIRED:
                return None
        try:
            value = {**read_json(path), "commercial_use_allowed": True}
            manifest = parse_weights_manifest(canonical_json(value))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return replace(cls.of(manifest), commercial_use_allowed=False)


@dataclass(frozen=True)
class FactsChange:
    """One fact about the same bytes that was told otherwise before."""

    checksum: str
    field: str
    before: str | bool
    after: str | bool
    model_id: str = ""

    def __str__(self) -> str:
        return f"{self.model_id}: {self.field} was {_shown(self.before)} for the same bytes, now {_shown(self.after)}"


@dataclass(frozen=True)
class _Entry(WeightsFacts):
    first_seen: str  # ISO date; never hashed


_LEDGER_LINE = TypeAdapter(_Entry)


def facts_changes(store: Store, facts: Iterable[WeightsFacts]) -> tuple[FactsChange, ...]:
    """How ``facts`` differ from everything that was ever recorded for the same checksums.

    All earlier facts count, not the latest only: recording a changed licence does not make the change forgotten.
    Raises VoiceFailure ``license_unclear`` for a ledger that cannot be read.
    """
    earlier = _by_checksum(_ledger(store))
    found = [
        FactsChange(now.checksum, name, getattr(before, name), getattr(now, name), now.model_id)
        for now in facts
        for before in earlier.get(now.checksum, ())
        for name in _COMPARED
        if getattr(before, name) != getattr(now, name)
    ]
    return tuple(dict.fromkeys(found))


def change_blockers(
    changes: Sequence[FactsChange], facts: Iterable[WeightsFacts], allowlist: Allowlist, policy: Policy
) -> tuple[Blocker, ...]:
    """The changes that make allowed, or lift a duty from, what was not so before, and that nobody explains.

    The allowlist's ``relicensed`` explains those of its entry. A change for the worse is no blocker of its own: what
    is told now is judged anyway.
    """
    ids = {one.checksum: one.model_id for one in facts}
    blockers = []
    for change in changes:
        entry = allowlist.entry(ids.get(change.checksum, change.model_id))
        explained = entry is not None and entry.relicensed is not None and change.checksum in entry.checksums
        if not explained and _loosens(change, policy):
            detail = f"{change}: record in {ALLOWLIST_PATH} why (relicensed: on, reason, link), or take the change back"
            blockers.append(Blocker("license_unclear", detail))
    return tuple(dict.fromkeys(blockers))


def record_facts(store: Store, facts: Iterable[WeightsFacts], today: date) -> None:
    """Add to the ledger what it does not hold yet. Nothing in it is ever changed or taken out.

    Raises VoiceFailure: ``license_unclear`` for a ledger that cannot be read, ``disk_full``, ``permission_denied``.
    """
    facts = tuple(dict.fromkeys(facts))
    path = store.license_facts()
    if not _missing(_ledger(store), facts):
        return
    with exclusive(path.with_suffix(".lock"), voice=path.name, wait=60, doing="recording licence facts of"):
        entries = _ledger(store)
        lines = path.read_bytes() if path.exists() else b""
        lines += b"\n" if lines and not lines.endswith(b"\n") else b""
        new = [_Entry(**asdict(one), first_seen=today.isoformat()) for one in _missing(entries, facts)]
        write_bytes(path, lines + b"".join(canonical_json(asdict(one)) + b"\n" for one in new))


_COMPARED = tuple(field.name for field in fields(WeightsFacts) if field.name != "checksum")


def _missing(entries: Sequence[_Entry], facts: Iterable[WeightsFacts]) -> list[WeightsFacts]:
    known = {_facts(entry) for entry in entries}
    return [one for one in facts if one not in known]


def _facts(entry: _Entry) -> WeightsFacts:
    return WeightsFacts(**{field.name: getattr(entry, field.name) for field in fields(WeightsFacts)})


def _by_checksum(entries: Iterable[_Entry]) -> dict[str, list[_Entry]]:
    found: dict[str, list[_Entry]] = {}
    for entry in entries:
        found.setdefault(entry.checksum, []).append(entry)
    return found


def _ledger(store: Store) -> tuple[_Entry, ...]:
    path = store.license_facts()
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_LEDGER_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise VoiceFailure("license_unclear", f"cannot be read: {error.strerror}", file=path) from error
    if len(data) > MAX_LEDGER_BYTES:
        raise VoiceFailure("license_unclear", f"larger than {MAX_LEDGER_BYTES} bytes", file=path)
    entries = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            entry = _LEDGER_LINE.validate_json(line, strict=True)
            date.fromisoformat(entry.first_seen)
        except ValueError:  # a ValidationError is one
            detail = f"line {number} is no record of licence facts: put the file back from a backup"
            raise VoiceFailure("license_unclear", detail, file=path) from None
        entries.append(entry)
    return tuple(entries)


def _loosens(change: FactsChange, policy: Policy) -> bool:
    """Whether what is told now allows, or asks for, anything better than what was told before."""
    if change.field == "commercial_use_allowed":
        return change.after is True
    if change.field == "attribution_required":
        return change.after is False
    if change.field in ("weights_license", "code_license"):
        before, after = policy.decide(str(change.before)), policy.decide(str(change.after))
        if after.verdict != "allowed":
            return False  # blocked for what it says now
        duties = ((before.attribution, after.attribution), (before.share_alike, after.share_alike))
        lifted = any(was and not still for was, still in duties) or (after.redistribution and not before.redistribution)
        return before.verdict != "allowed" or lifted
    return False


def _shown(value: str | bool) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else value


# -- share-alike ---------------------------------------------------------------------------------------------------


def share_alike_blockers(
    voice_license: str | None, shipped: Iterable[tuple[str, str]], policy: Policy
) -> tuple[Blocker, ...]:
    """Whether the voice is handed on as the share-alike licences of its ``shipped`` parts (name, expression) ask.

    A voice is taken for an adaptation of its base weights and recordings. Its licence must be one that all of them
    accept; where none is, the voice cannot be handed on at all. A licence of the voice that cannot be read is refused
    too, whatever the parts ask.
    """
    fault = None if voice_license is None else policy.fault(voice_license)
    if fault is not None:
        return (Blocker("license_unclear", f"the voice's license: {fault}"),)
    parts = sorted((name, expression) for name, expression in shipped)
    asking = [(name, expression, policy.under(expression)) for name, expression in parts]
    asking = [one for one in asking if one[2] is not None and policy.decide(one[1]).share_alike]
    if not asking:
        return ()
    named = " and ".join(f"{name} ({policy.canonical(expression)})" for name, expression, _ in asking)
    accepted = common([licenses for _, _, licenses in asking]) or frozenset()
    if not accepted:
        detail = f"{named} ask for licences of the voice that contradict each other: take one of them out"
        return (Blocker("license_unclear", detail),)
    choice = " or ".join(sorted(accepted))
    if voice_license is None:
        detail = f"{named}: share-alike, and the voice names no licence: set license: {choice} in its config"
    elif policy.canonical(voice_license) not in accepted:
        detail = f"{named}: share-alike, and the voice's license is {voice_license}: set license: {choice}"
    else:
        return ()
    return (Blocker("license_unclear", detail),)
