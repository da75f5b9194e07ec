"""Reading a request's body: JSON that says so, of a bounded size, in a bounded time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from voice_pipeline.serving.errors import ServingError

BODY_SECONDS = 10.0  # in which a body must arrive


async def read_body(request: Request, code: str, most_bytes: int, *, may_be_empty: bool = False) -> bytes:
    """The body's bytes. Raises ServingError ``code`` for one that is no JSON by its type, too large, or too slow.

    A browser sends application/json to another origin only after asking: that is why the type is insisted on. A
    body that is empty, where ``may_be_empty``, needs no type, but may not have another one either.
    """
    kind = request.headers.get("content-type")
    named = kind is not None and kind.split(";")[0].strip().lower() == "application/json"
    if not named and not (kind is None and may_be_empty):
        raise ServingError(code, "the content-type must be application/json")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > most_bytes):
        raise ServingError(code, f"the body is larger than {most_bytes} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise ServingError(code, f"the body is larger than {most_bytes} bytes")
    except TimeoutError:
        raise ServingError(code, f"the body did not arrive within {BODY_SECONDS:g} s") from None
    except ClientDisconnect:
        raise ServingError(code, "the client went away before its body arrived") from None
    if body and not named:
        raise ServingError(code, "the content-type must be application/json")
    return bytes(body)
