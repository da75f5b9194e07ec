"""The registry of a voice's promotions: who put which release in front, when, and what is promoted now.

    for entry in history(store, "dottie_default"): ...
    entry = current(store, "dottie_default")           # None: nothing is promoted
    folder = current_folder(store, "dottie_default")   # its release, resolved once: read everything below it

The last entry says what is promoted, and the link ``promoted`` must agree with it. A change has three steps, in this
order, under the voice's promotion lock:

1. the new link is prepared beside the old one;
2. the entry is appended and synced: from here on the new release is the promoted one;
3. the new link is renamed over the old one.

Killed before 2, nothing was promoted. Killed between 2 and 3, the prepared link tells readers that the promoted one is
late, not wrong, and the next change finishes it. A link that this does not explain was put there by hand: refused.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from voice_pipeline.atomic import exclusive
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.promotion import links
from voice_pipeline.promotion.entries import Action, Entry, Facts, append, cut_torn_end, problem_of, read_entries
from voice_pipeline.promotion.links import Links
from voice_pipeline.promotion.releases import release_folder as release_folder
from voice_pipeline.promotion.releases import take_over
from voice_pipeline.store import Store

OPERATOR_ENVIRONMENT = "VOICE_OPERATOR"
LOCK_WAIT = 60.0  # seconds; a promotion copies and judges some 300 MB
TAKEN_OVER = "taken over: it was promoted before there were releases"
_SKEW = timedelta(seconds=5)
_SETTLE = 2.0  # seconds for which a reader looks again while registry and link are being changed


def history(store: Store, voice: str) -> tuple[Entry, ...]:
    """Every entry, oldest first; () for a voice that was never promoted.

    Raises VoiceFailure ``verification_failed``, naming file and line, for a registry that is not as it was written.
    """
    return read_entries(store.promotions(voice), voice).entries


def current(store: Store, voice: str) -> Entry | None:
    """The entry of what is promoted; None where nothing is, or it was withdrawn.

    Raises VoiceFailure ``verification_failed`` when the registry is damaged or the link does not agree with it.
    """
    end = time.monotonic() + _SETTLE
    while True:
        file, found = read_entries(store.promotions(voice), voice), Links.read(store, voice)
        if found.agree(file.entries) is not None:
            last = file.last
            return last if last is not None and last.release is not None else None
        # A change between the two looks is no disagreement: look again, unless nothing changes any more.
        again = read_entries(store.promotions(voice), voice), Links.read(store, voice)
        if again == (file, found) or time.monotonic() >= end:
            raise _disagreement(store, voice, file.last, found)


def current_folder(store: Store, voice: str) -> Path | None:
    """The folder of the promoted release, resolved once: what is promoted later does not change what is in it.

    Raises VoiceFailure ``verification_failed`` as ``current`` does, and for a release that is no folder of this store.
    """
    entry = current(store, voice)
    return None if entry is None or entry.release is None else release_folder(store, voice, entry.release)


@contextlib.contextmanager
def changing(store: Store, voice: str) -> Iterator[None]:
    """Hold the voice's promotion lock: everything that changes what is promoted happens inside.

    Raises VoiceFailure ``voice_busy`` when another process holds it for longer than a minute.
    """
    with exclusive(store.promotion_lock(voice), voice=voice, wait=LOCK_WAIT, doing="promoting"):
        yield


def withdraw(store: Store, voice: str, *, by: str, reason: str, at: datetime) -> Entry | None:
    """Promote nothing any more: the new entry, or None where nothing was promoted. Takes the promotion lock.

    The releases stay. A clock that was set back keeps no voice in service: the entry then bears the last one's time.
    Where the registry is damaged the link goes all the same, before the VoiceFailure that says so.
    """
    by, reason = checked_operator(by), _one_line(reason, "reason", 2000)
    with changing(store, voice):
        try:
            entries = heal(store, voice, by=by, at=at)
        except VoiceFailure:
            links.remove(store, voice)
            raise
        if not entries or entries[-1].release is None:
            return None
        return enter(store, voice, "withdraw", by=by, reason=reason, at=max(at, entries[-1].time))


def heal(store: Store, voice: str, *, by: str, at: datetime) -> tuple[Entry, ...]:
    """Finish what a kill interrupted, and return the history. The caller holds the lock.

    A voice that was promoted before there were releases gets its first entry, by ``by`` and ``at``. Raises VoiceFailure
    ``verification_failed`` for a link or a registry that no kill explains.
    """
    file, found = read_entries(store.promotions(voice), voice), Links.read(store, voice)
    if found.folder and not file.entries:
        cut_torn_end(store.promotions(voice), voice, 0)
        number, facts = take_over(store, voice)
        return (enter(store, voice, "promote", number, facts, by=by, reason=TAKEN_OVER, at=at),)
    step = found.agree(file.entries)
    if step is None:
        raise _disagreement(store, voice, file.last, found)
    cut_torn_end(store.promotions(voice), voice, file.whole_bytes)
    if step == "finish":
        links.finish(store, voice)
    else:
        links.drop_next(store, voice)
    return file.entries


def enter(
    store: Store,
    voice: str,
    action: Action,
    release: int | None = None,
    facts: Facts | None = None,
    *,
    by: str,
    reason: str | None = None,
    at: datetime,
) -> Entry:
    """Append an entry and turn the link. The caller holds the lock and has called ``heal``; the release is on the disk.

    Raises VoiceFailure ``verification_failed`` when ``at`` is before the last entry's time, ``disk_full`` with nothing
    changed, ConfigError for a name or reason that is not one line.
    """
    path = store.promotions(voice)
    file = read_entries(path, voice)
    entry = Entry(
        seq=len(file.entries) + 1,
        action=action,
        release=release,
        at=checked_time(store, voice, file.last, at),
        by=checked_operator(by),
        reason=None if reason is None else _one_line(reason, "reason", 2000),
        previous=file.last_sha256,
        **({} if facts is None else facts.facts().model_dump()),
    )
    problem = problem_of(entry, file)
    if problem is not None:
        raise VoiceFailure("verification_failed", f"the registry's next line {problem}", voice=voice, file=path)
    links.prepare(store, voice, release)
    append(path, voice, entry)
    links.finish(store, voice)
    return entry


def checked_time(store: Store, voice: str, last: Entry | None, at: datetime) -> str:
    """``at`` as an entry bears it, never before the last one's.

    Raises VoiceFailure ``verification_failed`` for a clock that was set back by more than machines' clocks differ.
    """
    shown = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if last is None or datetime.fromisoformat(shown) >= last.time:
        return shown
    if last.time - at > _SKEW:
        detail = f"the clock says {shown}, but the last entry is of {last.at}; set the clock right, then run again"
        raise VoiceFailure("verification_failed", detail, voice=voice, file=store.promotions(voice))
    return last.at


def operator(named: str | None = None) -> str:
    """Who acts: ``named``, else $VOICE_OPERATOR, else the operating system's user name.

    Raises ConfigError for what is not one line.
    """
    if named is None:
        named = os.environ.get(OPERATOR_ENVIRONMENT) or None
    if named is not None:
        return checked_operator(named)
    try:
        return checked_operator(getpass.getuser())
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def checked_operator(name: str) -> str:
    """``name`` as an entry bears it. Raises ConfigError."""
    return _one_line(name, "name of who acts", 200)


def _one_line(text: str, what: str, most: int) -> str:
    if not text.strip() or len(text) > most or not text.isprintable():
        raise ConfigError(f"{text[:50]!r} is no {what}: one line of 1 to {most} printable characters")
    return text.strip()


def _disagreement(store: Store, voice: str, last: Entry | None, found: Links) -> VoiceFailure:
    path = store.promoted(voice)
    if last is None and found.folder:
        detail = "it was promoted before there were releases; run: voice-pipeline promote " + voice
        return VoiceFailure("verification_failed", detail, voice=voice, file=path)
    said = "nothing" if last is None or last.release is None else f"release {last.release}"
    detail = f"the registry says that {said} is promoted, but the link {found}: one of them was changed by hand"
    return VoiceFailure("verification_failed", detail, voice=voice, file=path)
