"""The Starlette application: which path is answered by what.

app = make_app(project, store)
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voice_pipeline import clock
from voice_pipeline.serving.errors import ServingError
from voice_pipeline.serving.guard import LOOPBACK_NAMES, Guard
from voice_pipeline.serving.limits import RateLimit
from voice_pipeline.serving.releases import Releases
from voice_pipeline.serving.speaking import Limits, Speaker
from voice_pipeline.serving.training_routes import TrainingRoutes
from voice_pipeline.serving.voice_routes import VoiceRoutes
from voice_pipeline.store import Store, profile_id

if TYPE_CHECKING:
    from voice_pipeline.promotion.signing import TrustedKeys


def make_app(
    project: Path,
    store: Store,
    *,
    trusted: TrustedKeys | None = None,
    default_voice: str | None = None,
    limits: Limits | None = None,
    hosts: Sequence[str] = LOOPBACK_NAMES,
    today: Callable[[], date] = clock.today,
) -> Starlette:
    """The application over one store. With ``trusted`` keys only releases that one of them signed speak.

    ``hosts`` are the names, without port, by which a request may call the server; ``today`` is the day on
    which a consent must hold. Raises ConfigError for a ``default_voice`` that is no voice id.
    """
    limits = limits or Limits()
    default_voice = None if default_voice is None else profile_id(default_voice)
    speaker = Speaker(Releases(store, trusted, today=today), limits, default_voice=default_voice)
    voices = VoiceRoutes(speaker, RateLimit(limits.per_second, limits.burst))
    trainings = TrainingRoutes(project, store)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        speaker.close()
        trainings.close()

    routes = [
        Route("/health", voices.health),
        Route("/speak", voices.speak, methods=["POST"]),
        Route("/api/voice/speak", voices.speak, methods=["POST"]),
        Route("/api/train/status", trainings.status),
        Route("/api/train/status/reset", trainings.reset, methods=["POST"]),
        Route("/api/agi/adapter/run", trainings.adapter, methods=["POST"]),
        Route("/api/agi/training-trace/export", trainings.export),
    ]
    guard = Middleware(Guard, hosts=hosts, routes=[route.path for route in routes])
    app = Starlette(routes=routes, middleware=[guard], lifespan=lifespan, exception_handlers={HTTPException: _no_route})
    app.router.redirect_slashes = False
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    """Starlette's own refusals, in the envelope."""
    allowed = (error.headers or {}).get("Allow") if isinstance(error, HTTPException) else None
    if isinstance(error, HTTPException) and error.status_code == 405:
        response = ServingError("method_not_allowed", f"this route answers {allowed}").response()
        response.headers["allow"] = allowed or ""
        return response
    return ServingError("not_found", "no such route; docs/serving.md lists them").response()
