"""Ask another verification adapter, and require its PASS.

    ask("https://checks.example/api/agi/adapter/run", "dottie_default", certificate)

What it answers is untrusted: bounded in size and time, no redirect is followed, and only a PASS with a whole
certificate counts. Its trace has to be there to download, too. An address reaches no message with its password.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.promotion.certificate import Certificate
from voice_pipeline.promotion.constraints import PACK_ID, PACK_VERSION
from voice_pipeline.promotion.trace import EXPORT_ROUTE
from voice_pipeline.strict_json import parse_json

ADAPTER_ROUTE = "/api/agi/adapter/run"
SECONDS = 300.0  # for the whole conversation; a verification hashes some 300 MB
MAX_ANSWER_BYTES = 4 << 20
MAX_EXPORT_BYTES = 64 << 20
EXPORT_LINES = 100  # of the other's trace that are looked at
_BLOCK = 1 << 16  # bytes
_HASH = re.compile(r"[0-9a-f]{64}")


class AdapterUnreachable(VoiceFailure):
    """The other adapter gave no verdict: whether it would say PASS is not known."""


def ask(
    url: str,
    voice: str,
    certificate: Certificate,
    *,
    trace_id: str | None = None,
    seconds: float = SECONDS,
    insecure: bool = False,
) -> None:
    """Post the pack of ``voice`` to the adapter at ``url``, and return when it says PASS.

    ``url`` is the adapter's, or the base that its route and its trace's lie below. Plain HTTP is for loopback only,
    unless ``insecure``. Raises VoiceFailure ``verification_failed`` naming the address and what is wrong
    (AdapterUnreachable where there is no verdict), ConfigError for an address that cannot be asked.
    """
    other = _Other.of(url, time.monotonic() + seconds, insecure)
    pack = {
        "id": PACK_ID,
        "version": PACK_VERSION,
        "voice_profile_id": voice,
        "metrics": dict(certificate.content["metrics"]),
        "certificateHash": certificate.certificate_hash,
    }
    body = {"mode": "constraint-pack", "pack": pack, **({} if trace_id is None else {"traceId": trace_id})}
    answer = b"".join(other.fetch(ADAPTER_ROUTE, json.dumps(body).encode(), MAX_ANSWER_BYTES))
    problem = answer_problem(answer)
    if problem is not None:
        raise VoiceFailure("verification_failed", problem, voice=voice, file=other.shown)
    problem = _export_problem(other.fetch(f"{EXPORT_ROUTE}?limit={EXPORT_LINES}", None, MAX_EXPORT_BYTES))
    if problem is not None:
        raise VoiceFailure("verification_failed", problem, voice=voice, file=other.shown)


def answer_problem(data: bytes) -> str | None:
    """Why an adapter's answer is no PASS; None for one. The answer is untrusted."""
    try:
        answer = parse_json(data)
    except ValueError:
        return "the answer is not JSON"
    if not isinstance(answer, dict):
        return "the answer is not a JSON object"
    if answer.get("verdict") != "PASS":
        return f"the verdict is {_shown(answer.get('verdict'))}, first failed: {_shown(answer.get('firstFail'))}"
    if "firstFail" not in answer or answer["firstFail"] is not None:
        return f"the verdict is PASS, but firstFail is {_shown(answer.get('firstFail', 'missing'))}"
    if answer.get("pass", True) is not True:
        return "the verdict is PASS, but pass is not true"
    certificate = answer.get("certificate")
    if not isinstance(certificate, dict):
        return "the answer has no certificate"
    hashed = certificate.get("certificateHash")
    if not isinstance(hashed, str) or not _HASH.fullmatch(hashed):
        return "the certificate's hash is not 64 lower-case hex digits"
    if certificate.get("integrityOk") is not True:
        return "the certificate's integrity is not confirmed"
    if certificate.get("status", "GREEN") != "GREEN":
        return f"the certificate is {_shown(certificate['status'])}, not GREEN"
    return None


def _export_problem(blocks: Iterator[bytes]) -> str | None:
    """Why a downloaded trace is none: every line is a JSON object, and there is one at least."""
    count, rest = 0, b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if line.strip() and not _is_object(line):
                return f"line {count + 1} of its trace is not a JSON object"
            count += bool(line.strip())
    if rest.strip():
        if not _is_object(rest):
            return "the last line of its trace is not a JSON object"
        count += 1
    return None if count else "its trace is empty, though it has just verified"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


@dataclass(frozen=True)
class _Other:
    """One adapter: where it is, and until when it is listened to."""

    base: str  # without credentials
    authorization: str | None
    loopback: bool
    deadline: float

    @classmethod
    def of(cls, url: str, deadline: float, insecure: bool) -> _Other:
        try:
            parts = urlsplit(url.strip())
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ConfigError("the adapter's address is no URL") from None
        if parts.scheme not in ("http", "https") or not host or any(ord(char) <= 32 for char in url.strip()):
            raise ConfigError(
                "the adapter's address is no URL: use https://host/ or, on this machine, http://127.0.0.1/"
            )
        shown = _without_credentials(parts)
        if parts.query or parts.fragment:
            raise ConfigError(f"{shown}: an adapter's address has no ? and no #")
        loopback = _is_loopback(host)
        if parts.scheme == "http" and not loopback and not insecure:
            raise ConfigError(f"{shown}: use https; plain http is for this machine only")
        return cls(shown.removesuffix("/").removesuffix(ADAPTER_ROUTE), _basic(parts), loopback, deadline)

    @property
    def shown(self) -> str:
        """The adapter's address, for messages."""
        return f"{self.base}{ADAPTER_ROUTE}"

    def fetch(self, route: str, body: bytes | None, most: int) -> Iterator[bytes]:
        """The answer's bytes, in blocks. Raises AdapterUnreachable."""
        headers = {"Accept": "application/json, application/x-ndjson", "User-Agent": "voice-pipeline"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if self.loopback:
            handlers.append(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(f"{self.base}{route}", data=body, headers=headers)
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=self._left()) as response:
                if response.status != 200:
                    raise self._unreachable(route, f"it answers with status {response.status}")
                read = 0
                while block := response.read1(_BLOCK):
                    read += len(block)
                    if read > most:
                        raise self._unreachable(route, f"it answers with more than {most} bytes")
                    self._left()
                    yield block
        except urllib.error.HTTPError as error:
            error.close()
            raise self._unreachable(route, f"it answers with status {error.code}") from None
        except TimeoutError:
            raise self._unreachable(route, "it did not answer in time") from None
        except (OSError, HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                raise self._unreachable(route, "it did not answer in time") from None
            why = getattr(reason, "strerror", None) or type(reason).__name__
            raise self._unreachable(route, f"it cannot be reached: {why}") from None

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _unreachable(self, route: str, detail: str) -> AdapterUnreachable:
        return AdapterUnreachable("verification_failed", detail, file=f"{self.base}{route.partition('?')[0]}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An adapter is where its address says: a redirect is an answer like any other, and no PASS."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_credentials(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _shown(value: object) -> str:
    """An untrusted value in one short line."""
    if isinstance(value, dict):
        value = value.get("id", value)
    text = json.dumps(value)[:100]
    return "".join(char if char.isprintable() else " " for char in text)
