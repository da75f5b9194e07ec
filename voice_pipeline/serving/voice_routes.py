"""GET /health, POST /speak and POST /api/voice/speak."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from voice_pipeline.serving.bodies import read_body
from voice_pipeline.serving.errors import ServingError, new_trace_id
from voice_pipeline.serving.guard import LOG_FIELDS
from voice_pipeline.serving.limits import RateLimit
from voice_pipeline.serving.requests import (
    MAX_BODY_BYTES,
    SpeakRequest,
    parse_object,
    read_speak_request,
    trace_id_of,
)
from voice_pipeline.serving.speaking import Speaker, Spoken

PROVIDER = "voice-pipeline"


class VoiceRoutes:
    """The routes of voices; each takes a request and gives its answer."""

    def __init__(self, speaker: Speaker, rate: RateLimit) -> None:
        self._speaker = speaker
        self._rate = rate

    async def health(self, request: Request) -> Response:
        """Which voices speak; 503 when none does, or the default one does not."""
        state = await self._speaker.health()
        return JSONResponse(state, 200 if state["ok"] else 503)

    async def speak(self, request: Request) -> Response:
        """Speak a text with a promoted voice: audio/wav, or the error envelope."""
        trace_id = new_trace_id()
        fields = request.scope[LOG_FIELDS]
        try:
            self._rate.take(request.client.host if request.client is not None else "")
            value = parse_object(await read_body(request, "voice_invalid_request", MAX_BODY_BYTES))
            trace_id = trace_id_of(value) or trace_id
            asked = read_speak_request(value)
            fields.update(_loggable(asked))
            spoken = await self._speaker.speak(asked)
            fields.update(voice=spoken.release.voice, release=spoken.release.number, cache=_hit_or_miss(spoken))
            return Response(spoken.audio, media_type="audio/wav", headers=_headers(spoken, trace_id))
        except ServingError as error:
            fields["error"] = error.code
            return error.response(trace_id)
        finally:
            fields["trace"] = trace_id


def _loggable(asked: SpeakRequest) -> dict[str, object]:
    """What may be written down about a request: of its text the length, and enough of its digest to find it again."""
    return {
        "text_sha256": hashlib.sha256(asked.text.encode()).hexdigest()[:12],
        "chars": len(asked.text),
        "voice": asked.voice,
        "mode": asked.mode,
        "priority": asked.priority,
        "mission": asked.mission_id,
        "event": asked.event_id,
    }


def _headers(spoken: Spoken, trace_id: str) -> dict[str, str]:
    return {
        "x-voice-provider": PROVIDER,
        "x-voice-profile": spoken.release.voice,
        "x-voice-cache": _hit_or_miss(spoken),
        "x-voice-release": str(spoken.release.number),
        "x-watermark-mode": "none",
        "x-audio-sample-rate": str(spoken.release.settings.sample_rate),
        "x-trace-id": trace_id,
    }


def _hit_or_miss(spoken: Spoken) -> str:
    return "hit" if spoken.cached else "miss"
