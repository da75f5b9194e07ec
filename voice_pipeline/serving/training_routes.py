"""The status of trainings, the verification adapter, and the export of its traces.

The routes that start work (POST /api/train/dataset, POST /api/train/start, GET /api/train/job/:id) are not here yet.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.serving.bodies import read_body
from voice_pipeline.serving.errors import ServingError, new_trace_id
from voice_pipeline.serving.guard import require_local
from voice_pipeline.serving.requests import parse_object, trace_id_of
from voice_pipeline.serving.speaking import place_of
from voice_pipeline.serving.workers import Workers
from voice_pipeline.store import Store
from voice_pipeline.strict_json import parse_json

LOG = logging.getLogger("voice_pipeline.serving")
MAX_STATUS_BYTES = 4 << 20
MAX_ADAPTER_BYTES = 1 << 20
MAX_RESET_BYTES = 4096
DEFAULT_LIMIT, MAX_LIMIT = 1000, 100_000  # traces of one export; the newest
VERIFICATIONS_WAITING = 4  # beside the one at work; each hashes all evidence of a voice
ADAPTER_RETRY_SECONDS = 5.0
_BLOCK = 64 << 10  # bytes of traces sent at once


class TrainingRoutes:
    """The routes of trainings and verifications; each takes a request and gives its answer."""

    def __init__(self, project: Path, store: Store) -> None:
        self._project = project
        self._store = store
        self._verifying = Workers(threads=1, waiting=VERIFICATIONS_WAITING)

    async def status(self, request: Request) -> Response:
        """The latest train_status.json of any voice, as it is stored."""
        try:
            data = await run_in_threadpool(_read_status, self._store.latest_train_status())
        except FileNotFoundError:
            return JSONResponse({"error": "status_not_found"}, 404)
        except (OSError, ValueError, RecursionError) as error:
            LOG.warning("the status cannot be read: %s", type(error).__name__)
            return JSONResponse({"error": "status_read_failed"}, 500)
        return Response(data, media_type="application/json")

    async def reset(self, request: Request) -> Response:
        """Forget the latest status of all voices; each voice's own stays, and a running training writes it anew."""
        require_local(request)
        await read_body(request, "invalid_request", MAX_RESET_BYTES, may_be_empty=True)
        try:
            await run_in_threadpool(self._store.latest_train_status().unlink, missing_ok=True)
        except OSError as error:
            raise ServingError("status_reset_failed", f"the status cannot be removed: {error.strerror}") from None
        return JSONResponse({"ok": True})

    async def adapter(self, request: Request) -> Response:
        """Verify a voice: the result of CONTRACTS 10, whatever its verdict."""
        trace_id = new_trace_id()
        try:
            body = await read_body(request, "invalid_request", MAX_ADAPTER_BYTES)
            try:
                value = parse_object(body)
            except ServingError as error:
                raise ServingError("invalid_request", error.message) from None
            trace_id = trace_id_of(value) or trace_id
            return JSONResponse(await self._verified(value))
        except ServingError as error:
            return error.response(trace_id)

    async def _verified(self, value: dict[str, Any]) -> dict[str, Any]:
        from voice_pipeline.promotion import (
            adapter,
        )  # with all that judges a voice: a server that only speaks waits not

        def work(abandoned: threading.Event) -> dict[str, Any]:
            return adapter.answer(self._project, self._store, value)

        try:
            job = self._verifying.submit(work)
        except ServingError:
            message = "other verifications wait already; try again soon"
            raise ServingError("adapter_busy", message, retry_after=ADAPTER_RETRY_SECONDS) from None
        try:
            result: dict[str, Any] = await asyncio.wrap_future(job.result)
            return result
        except ConfigError as error:
            known = "/" not in str(error) and str(self._project) not in str(error)  # places and names stay here
            message = str(error) if known else "there is no such voice, or its config cannot be read"
            raise ServingError("invalid_request", message) from None
        except VoiceFailure as failure:
            raise ServingError("adapter_failed", failure.detail, reason=failure.reason) from None
        finally:
            self._verifying.abandon(job)

    def close(self) -> None:
        """Take no more verifications."""
        self._verifying.stop()

    async def export(self, request: Request) -> Response:
        """The newest traces as JSON Lines, oldest first, streamed."""
        from voice_pipeline.promotion import trace

        limit = _limit(request.query_params.getlist("limit"))
        lines = _blocks(trace.read(self._store, limit))
        try:
            first = await run_in_threadpool(next, lines, b"")
        except (OSError, ValueError, VoiceFailure) as error:
            LOG.warning("the traces cannot be read: %s at %s", type(error).__name__, place_of(error))
            raise ServingError("trace_read_failed", "the traces cannot be read") from None
        return StreamingResponse(itertools.chain([first], lines), media_type="application/x-ndjson")


def _read_status(path: Path) -> bytes:
    """The file's bytes, once they are known to be one JSON object. Raises OSError, ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        data = stream.read(MAX_STATUS_BYTES + 1)
    if len(data) > MAX_STATUS_BYTES:
        raise ValueError("too large")
    if not isinstance(parse_json(data), dict):
        raise ValueError("no JSON object")
    return data


def _limit(given: list[str]) -> int:
    if not given:
        return DEFAULT_LIMIT
    text = given[0]
    if len(given) > 1 or not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= MAX_LIMIT):
        raise ServingError("invalid_request", f"limit: one whole number within 1..{MAX_LIMIT}", fields=["limit"])
    return int(text)


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines, each with its end, joined to blocks."""
    block = bytearray()
    for line in lines:
        block += line if line.endswith(b"\n") else line + b"\n"
        if len(block) >= _BLOCK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)
