"""What a client is told when its request is refused: the error envelope of CONTRACTS 9.

    raise ServingError("voice_unavailable", "ready is not promoted", voiceProfile="ready")

    {"error": "voice_unavailable", "message": "…", "details": {…}, "traceId": "…"}

No message names a path of this machine, and none repeats the text that was to be spoken, but for the letters that a
voice cannot read.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from starlette.responses import JSONResponse

from voice_pipeline.failures import VoiceFailure

# The first seven are the contract's; the rest are said by this server about requests that reach no route.
STATUS_OF: Mapping[str, int] = MappingProxyType(
    {
        "voice_unavailable": 503,
        "voice_invalid_request": 400,
        "voice_consent_required": 403,
        "voice_rate_limited": 429,
        "voice_queue_full": 503,
        "voice_backend_timeout": 504,
        "voice_backend_error": 502,
        "not_found": 404,
        "method_not_allowed": 405,
        "host_not_allowed": 400,
        "origin_not_allowed": 403,
        "local_clients_only": 403,
        "invalid_request": 400,
        "adapter_busy": 503,
        "adapter_failed": 500,
        "trace_read_failed": 500,
        "status_reset_failed": 500,
        "internal_error": 500,
    }
)


class ServingError(Exception):
    """A refused request. ``code`` is a key of ``STATUS_OF``; ``retry_after`` is in seconds.

    Raises KeyError for an unknown code, which is a programming error.
    """

    def __init__(self, code: str, message: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message)
        self.status = STATUS_OF[code]
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.details = details

    def response(self, trace_id: str | None = None) -> JSONResponse:
        """The envelope, with the request's trace id or a new one."""
        content = {
            "error": self.code,
            "message": self.message,
            "details": self.details,
            "traceId": trace_id or new_trace_id(),
        }
        headers = {} if self.retry_after is None else {"retry-after": str(max(1, math.ceil(self.retry_after)))}
        return JSONResponse(content, self.status, headers)


def unavailable(voice: str, reason: str, message: str, **details: Any) -> ServingError:
    """A voice that may not speak: ``reason`` is of the failure taxonomy, or one of docs/serving.md."""
    return ServingError("voice_unavailable", f"{voice}: {message}", voiceProfile=voice, reason=reason, **details)


def from_failure(voice: str, failure: VoiceFailure) -> ServingError:
    """A voice that a check refused. The file's place stays here; what is wrong and what to do goes out."""
    return unavailable(voice, failure.reason, failure.detail, nextAction=failure.next_unblock_action)


def new_trace_id() -> str:
    """A trace id for a request that brought none."""
    return f"voice:{secrets.token_hex(8)}"
