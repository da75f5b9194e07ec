"""What one promotion left: a folder that never changes, and whether it still is what the registry says.

releases/000001/
    voice_bundle/           what speaks
    decision.json           GO, with the digests of all that it was decided on

problems(store, voice, entry)       # (): whole, and the one that was promoted
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from voice_pipeline.atomic import link_file, sync
from voice_pipeline.bundle.format import ATTESTATION_NAME, MANIFEST_NAME, ManifestError, content_digest, read_manifest
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.failures import Blocker, VoiceFailure, disk_errors
from voice_pipeline.promotion.certificate import HASHED, certificate_hash, certify
from voice_pipeline.promotion.entries import Facts
from voice_pipeline.status import PROMOTABLE_JOB_TYPES
from voice_pipeline.store import Store, inside, sha256_file
from voice_pipeline.strict_json import parse_json

BUNDLE = "voice_bundle"
DECISION = "decision.json"
CERTIFICATE = "certificate.json"
STATEMENT = "statement.json"
MAX_JSON_BYTES = 8 << 20  # of a decision or certificate; a real one has some ten thousand
_SHOWN = 3  # problems of a bundle that one blocker names


def release_folder(store: Store, voice: str, number: int) -> Path:
    """The real folder of one release. Raises VoiceFailure ``verification_failed`` for a link, or none at all."""
    folder = store.release(voice, number)
    bundles = folder.parents[2]
    expected = bundles.resolve() / folder.relative_to(bundles)  # bundles/ may be on another disk; what is in it may not
    try:
        real = folder.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        real = None
    if real != expected or not expected.is_dir():
        detail = f"release {number} is not a folder of this store; promote the voice again"
        raise VoiceFailure("verification_failed", detail, voice=voice, file=folder)
    return expected


def next_number(store: Store, voice: str, newest: int) -> int:
    """The number of the next release, after the ``newest`` of the registry. The caller holds the lock.

    A folder of that number is what a kill left between writing a release and its entry: it was never promoted, and
    goes. Raises VoiceFailure ``verification_failed`` where there are others: then the registry lost entries.
    """
    folder = store.release(voice, newest + 1).parent
    with disk_errors(voice=voice, file=folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            if path.name.isdecimal() and int(path.name) > newest + 1:
                detail = f"release {path.name} is not in the registry, which has lost entries; put back your copy of it"
                raise VoiceFailure("verification_failed", detail, voice=voice, file=path)
            if path.name.startswith(".") or path == store.release(voice, newest + 1):
                remove_tree(path)
    return newest + 1


def new_folder(store: Store, voice: str) -> Path:
    """An empty hidden folder beside the releases, which may become one by a rename."""
    parent = store.release(voice, 1).parent
    with disk_errors(voice=voice, file=parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=".new."))
        folder.chmod(0o755)
    return folder


def publish(folder: Path, store: Store, voice: str, number: int) -> Path:
    """Sync all of ``folder`` and give it the name of the release."""
    target = store.release(voice, number)
    with disk_errors(voice=voice, file=target):
        for path, folders, files in os.walk(folder, topdown=False):
            for name in files:
                (Path(path) / name).chmod(0o644)
                sync(Path(path) / name)
            for name in folders:
                (Path(path) / name).chmod(0o755)
            sync(Path(path))
        folder.rename(target)
        sync(target.parent)
    return target


def remove_tree(path: Path) -> None:
    """Remove a folder, or a link or file in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def copy_bundle(source: Path, target: Path, voice: str) -> None:
    """Copy the manifest and what it lists; no link is followed out. Whoever copies judges the copy.

    Raises VoiceFailure ``bundle_invalid`` for a bundle that cannot be copied as its manifest says, OSError from a disk.
    """
    _copy_listed(source, target, voice, _copy_file)


def _copy_listed(source: Path, target: Path, voice: str, copy: Callable[[Path, Path], None]) -> None:
    try:
        for relative in [MANIFEST_NAME, *(entry.path for entry in read_manifest(source).files)]:
            path = target / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            copy(inside(source, relative), path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is None:
            raise  # the disk's, not the bundle's
        raise VoiceFailure("bundle_invalid", f"it changed while it was copied: {error}", voice=voice) from error


def _copy_file(source: Path, target: Path) -> None:
    descriptor = os.open(source.resolve(strict=True), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as reader:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{source.name} is not a regular file")
        with target.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)


# -- what is in it ---------------------------------------------------------------------------------


def facts_of(folder: Path, *, signed_by: str | None = None) -> Facts:
    """What identifies the release in ``folder``, from its bytes; its certificate's hash is computed again.

    ``signed_by`` is taken over: ``signing`` says whose signature an attestation holds. Raises OSError, ValueError.
    """
    bundle, certificate, statement = folder / BUNDLE, folder / CERTIFICATE, folder / STATEMENT
    return Facts(
        certificate_hash=certificate_hash(_read_object(certificate)) if certificate.exists() else None,
        statement_sha256=sha256_file(statement) if statement.exists() else None,
        signed_by=signed_by,
        content_digest=content_digest(bundle),
        bundle_manifest_sha256=sha256_file(bundle / MANIFEST_NAME),
        decision_sha256=sha256_file(folder / DECISION),
    )


def problems(store: Store, voice: str, number: int, facts: Facts) -> tuple[Blocker, ...]:
    """Why release ``number`` is not, byte for byte, the one that was promoted as ``facts``; () when it is.

    Every byte is read again.
    """
    try:
        folder = release_folder(store, voice, number)
    except VoiceFailure as failure:
        return (Blocker(failure.reason, failure.detail),)
    return tuple(dict.fromkeys(folder_problems(folder, voice, facts)))


def folder_problems(folder: Path, voice: str, facts: Facts) -> Iterator[Blocker]:
    """``problems`` of a release that is not under its name yet."""
    if (folder / BUNDLE).is_symlink():  # what it leads to is not in the release, and may change unseen
        yield Blocker("verification_failed", f"its {BUNDLE} is a link, which no promotion wrote")
        return
    found = validate_bundle(folder / BUNDLE, production=True)
    if found:
        more = f" (and {len(found) - _SHOWN} more)" if len(found) > _SHOWN else ""
        yield Blocker("bundle_invalid", "; ".join(str(one) for one in found[:_SHOWN]) + more)
    try:
        now, manifest = facts_of(folder, signed_by=facts.signed_by), read_manifest(folder / BUNDLE)
        decision = _read_object(folder / DECISION)
        certificate = _read_object(folder / CERTIFICATE) if now.certificate_hash else None
    except (OSError, ValueError, KeyError, RecursionError) as error:  # ManifestError is a ValueError
        kind = "its bundle's manifest" if isinstance(error, ManifestError) else "it"
        yield Blocker("verification_failed", f"{kind} cannot be read: {type(error).__name__}")
        return
    for name in Facts.model_fields:
        if getattr(now, name) != getattr(facts, name):
            yield Blocker("verification_failed", f"its {name} is not the one that was promoted")
    for extra in sorted({path.name for path in folder.iterdir()} - {BUNDLE, DECISION, CERTIFICATE, STATEMENT}):
        yield Blocker("verification_failed", f"it holds {extra[:100]!r}, which no promotion wrote")
    if manifest.voice_profile_id != voice:
        yield Blocker("verification_failed", f"its bundle is of {manifest.voice_profile_id}")
    if (manifest.entry(ATTESTATION_NAME) is None) != (facts.signed_by is None):
        yield Blocker("verification_failed", "its bundle is signed, or not, other than the registry says")
    yield from _decision_problems(decision, voice, now)
    if certificate is not None:
        yield from _certificate_problems(certificate)


def _decision_problems(decision: dict[str, Any], voice: str, now: Facts) -> Iterator[Blocker]:
    if decision.get("go") is not True or decision.get("blockers") != []:
        yield Blocker("verification_failed", f"{DECISION} is no GO")
    if decision.get("voice_profile_id") != voice:
        yield Blocker("verification_failed", f"{DECISION} is of another voice")
    if decision.get("job_type") not in PROMOTABLE_JOB_TYPES:
        yield Blocker("lane_not_promotable", f"{DECISION} is of {decision.get('job_type')}, which is never promoted")
    evidence = decision.get("evidence")
    if not isinstance(evidence, dict) or evidence.get("content_digest") != now.content_digest:
        yield Blocker("verification_failed", f"{DECISION} was made on another bundle")


def _certificate_problems(certificate: dict[str, Any]) -> Iterator[Blocker]:
    green = certify(certificate, green=True, integrity_ok=True)
    content = {key: part for key, part in certificate.items() if key in HASHED}
    if certificate != {**green.summary(), **content}:
        yield Blocker("verification_failed", f"{CERTIFICATE} is not GREEN, or not of what it holds")


def _read_object(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    value = parse_json(data) if len(data) <= MAX_JSON_BYTES else None
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds no object of at most {MAX_JSON_BYTES} bytes")
    return value


# -- before there were releases ----------------------------------------------------------------------


def take_over(store: Store, voice: str) -> tuple[int, Facts]:
    """Make release 1 of a voice whose ``promoted`` is the folder itself, as it is. The caller holds the lock.

    Raises VoiceFailure ``verification_failed`` for a folder that is not whole.
    """
    former = store.promoted(voice)
    try:
        facts = facts_of(former)
        found = tuple(folder_problems(former, voice, facts))
    except (OSError, ValueError, KeyError) as error:
        facts, found = Facts(), (Blocker("verification_failed", f"it cannot be read: {type(error).__name__}"),)
    if found:
        detail = f"what was promoted before there were releases is not whole: {found[0].detail}; move it away"
        raise VoiceFailure("verification_failed", detail, voice=voice, file=former)
    number = next_number(store, voice, 0)
    folder = new_folder(store, voice)
    _copy_listed(former / BUNDLE, folder / BUNDLE, voice, link_file)
    link_file(former / DECISION, folder / DECISION)
    publish(folder, store, voice, number)
    return number, facts
