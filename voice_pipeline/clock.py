"""The one clock of every rule that asks for the day: consent, evidence of licences, promotions. It is UTC's.

This module needs the standard library only.
"""

from __future__ import annotations

from datetime import UTC, date, datetime


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """The day, in UTC: the same on every machine, wherever it stands."""
    return now().date()
