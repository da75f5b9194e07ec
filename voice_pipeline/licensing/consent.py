"""Whether the speaker agreed that this voice is shipped: the voice's config and a day -> blockers.

blockers = consent_blockers(voice, date.today())
"""

from __future__ import annotations

from datetime import date

from voice_pipeline.failures import Blocker, VoiceFailure
from voice_pipeline.recordings.preflight import check_consent
from voice_pipeline.voice import Voice


def consent_blockers(voice: Voice, today: date) -> tuple[Blocker, ...]:
    """Why ``voice`` may not be shipped ``today``: () for a granted commercial consent, or a synthetic speaker.

    The rules are preflight's. They are asked again because a consent can be revoked, or expire, after the training.
    """
    try:
        check_consent(voice, today)
    except VoiceFailure as failure:
        return (Blocker(failure.reason, failure.detail),)
    return ()
