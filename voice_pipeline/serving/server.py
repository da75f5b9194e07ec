"""The server process: a socket, uvicorn, and an orderly end.

exit_code = serve(project, store, port=8470, verification_key=Path("voice.pub"))
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from datetime import date
from pathlib import Path

import uvicorn

from voice_pipeline import clock
from voice_pipeline.failures import ConfigError
from voice_pipeline.promotion import signing
from voice_pipeline.serving.app import make_app
from voice_pipeline.serving.guard import LOOPBACK_NAMES, host_name
from voice_pipeline.serving.speaking import Limits
from voice_pipeline.store import Store

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8470
DEFAULT_VOICE_ENVIRONMENT = "VOICE_DEFAULT"
GRACE_SECONDS = 5  # for requests that are being answered when the server is told to end
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    project: Path,
    store: Store,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    verification_key: Path | None = None,
    default_voice: str | None = None,
    expose: bool = False,
    hosts: Sequence[str] = (),
    limits: Limits | None = None,
    today: Callable[[], date] = clock.today,
) -> int:
    """Serve until SIGINT or SIGTERM, and return 0. Prints one line with the URL once requests are answered.

    ``port`` 0 takes a free one. ``verification_key`` is the file of a public key, by default $VOICE_VERIFICATION_KEY:
    with one, only releases with a good signature speak. ``default_voice`` (by default $VOICE_DEFAULT) speaks where a
    request names none. ``expose`` allows a ``host`` that others can reach; ``hosts`` are then the names by which they
    call it. Raises ConfigError for a wrong argument, an address in use, or a key that cannot be read.
    """
    names = _host_names(host, expose, hosts)
    app = make_app(
        project,
        store,
        trusted=signing.verification_key(verification_key, store=store),
        default_voice=default_voice or os.environ.get(DEFAULT_VOICE_ENVIRONMENT) or None,
        limits=limits,
        hosts=names,
        today=today,
    )
    _log_to_stderr()
    with _listening(host, port) as listener:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # uvicorn's writes the query down; guard.py writes our own lines
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = _Server(config, _url(listener))
        server.run(sockets=[listener])
    return 0


class _Server(uvicorn.Server):
    """uvicorn's server, which says where it listens, and for which a signal is an ordinary end."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"Serving promoted voices at {self._url}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn does, but without raising the signal again at the end: the exit code is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _host_names(host: str, expose: bool, hosts: Sequence[str]) -> tuple[str, ...]:
    """The names by which requests may call the server. Raises ConfigError for an address that needs saying so."""
    for name in hosts:
        if host_name(name) != name.lower().strip("[]"):
            raise ConfigError(f"{name!r} is no host name; write it without port")
    if _is_loopback(host):
        return (*LOOPBACK_NAMES, host, *hosts)
    if not expose:
        raise ConfigError(f"{host} can be reached by others, who could speak with every promoted voice; say --expose")
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    if everywhere and not hosts:
        raise ConfigError(f"{host} listens on every address; say by --name how requests call this server")
    return (*LOOPBACK_NAMES, *(() if everywhere else (host,)), *hosts)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket, None, None]:
    if not 0 <= port <= 65535:
        raise ConfigError(f"{port} is no port: 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    with listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log_to_stderr() -> None:
    """One line a request, and warnings. uvicorn's own go the same way; neither holds a path or a query."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name, level in (("voice_pipeline.serving", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
