"""What every request passes before its route, and every answer after it.

The Host must be one of those that this server is for: a page in somebody's browser that points its own name at this
machine (DNS rebinding) is refused. What changes something must not come from another origin's page. Whatever goes
wrong is answered with an envelope, and one line is logged: method, route, status, seconds. Paths, queries, bodies and
messages of foreign exceptions are not: they may hold the text.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_pipeline.serving.errors import ServingError
from voice_pipeline.serving.speaking import place_of

LOG = logging.getLogger("voice_pipeline.serving")
LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")
LOG_FIELDS = "voice_pipeline.log"  # of the scope: what a route adds to its line
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Guard:
    """The ASGI middleware around all routes; ``hosts`` are the names that a request may call this server."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], routes: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        fields: dict[str, Any] = {}
        scope[LOG_FIELDS] = fields
        started, status = time.monotonic(), 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"] = "nosniff"
                headers["cache-control"] = "no-store"  # a revoked voice must not go on in somebody's cache
            await send(message)

        try:
            try:
                self._check(scope)
                await self._app(scope, receive, guarded)
            except Exception as error:
                refusal = error if isinstance(error, ServingError) else None
                if refusal is None or status:
                    LOG.error("request failed: %s at %s", type(error).__name__, place_of(error))
                if not status:  # else the answer has begun: uvicorn breaks the connection off
                    refusal = refusal or ServingError("internal_error", "a defect of this server; its log says where")
                    await refusal.response()(scope, receive, guarded)
        finally:
            self._log(scope, status, time.monotonic() - started, fields)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = host_name(headers.get("host", ""))
        if host is None or host not in self._hosts:
            message = "this server is not known by that name; start it with the hosts it is for"
            raise ServingError("host_not_allowed", message)
        if scope["method"] in ("GET", "HEAD"):
            return
        if not _same_origin(headers):
            raise ServingError("origin_not_allowed", "pages of other origins may not change anything here")

    def _log(self, scope: Scope, status: int, seconds: float, fields: dict[str, Any]) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "-"
        route = scope["path"] if scope["path"] in self._routes else "-"
        more = "".join(f" {name}={value}" for name, value in fields.items() if value is not None)
        LOG.info("%s %s %s %.3fs%s", method, route, status or "-", seconds, more)


def host_name(header: str) -> str | None:
    """The name in a Host header or an origin, without its port, in lower case; None for what is no host."""
    try:
        parts = urlsplit(f"//{header}")
        port = parts.port  # raises for one that is no number
    except ValueError:
        return None
    plain = parts.username is None and parts.password is None and not (parts.path or parts.query or parts.fragment)
    return parts.hostname if plain and (port is None or port > 0) else None


def require_local(request: Request) -> None:
    """Raise ServingError ``local_clients_only`` unless a program of this machine asks, without a proxy between."""
    client = request.client.host if request.client is not None else ""
    try:
        local = ip_address(client).is_loopback
    except ValueError:
        local = False
    if not local or any(name in request.headers for name in _FORWARDED):
        raise ServingError("local_clients_only", "this route changes files: it answers programs of this machine only")


def _same_origin(headers: Headers) -> bool:
    """Whether a browser's page of this very origin asks, or no browser at all."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    scheme, _, address = origin.partition("://")
    return scheme in ("http", "https") and address.lower() == headers.get("host", "").lower()
