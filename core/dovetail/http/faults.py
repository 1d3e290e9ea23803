"""From what a transport raises to the error that says what is wrong and what to do."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import httpx

from dovetail.errors import InvalidResponse, ProviderError, ProviderTimeout, ProviderUnavailable
from dovetail.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.http.deadline import Expired

_LIMITS = {
    "first byte": ("the answer did not begin", "first_byte"),
    "between two pieces": ("the answer stood still", "between"),
    "total": ("the answer was not complete", "total"),
}


def error_of_limit(
    expired: Expired, *, status: int | None = None, request_id: str = ""
) -> ProviderTimeout:
    """The error for a limit that was passed."""
    what, key = _LIMITS[expired.step]
    message = (
        f"{what} within {expired.seconds:g} s; raise `{key}` in this instance's `http` table if "
        "the server is only slow"
    )
    may_retry = expired.step != "total"
    return ProviderTimeout(message, status=status, request_id=request_id, may_retry=may_retry)


def causes_of(fault: BaseException, handled: BaseException | None) -> list[BaseException]:
    """The fault and what led to it, nearest first, up to what was `handled` before it came about.

    httpcore hides causes (`from None`), so contexts are followed as well; without `handled` those
    lead on to the failure of another server, if this request is made because of it.
    """
    found: list[BaseException] = []
    more = [fault]
    while more:
        error = more.pop()
        if error is handled or error in found:
            continue
        found.append(error)
        parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        more += [e for e in (error.__context__, error.__cause__, *parts) if e is not None]
    return found


def died_unanswered(causes: Sequence[BaseException]) -> bool:
    """Whether the connection was closed by the other side before any of the answer came."""
    for cause in causes:
        # By name: aiohttp is an extra. Its `httpx` transport calls it a connect timeout.
        if type(cause).__name__ == "ServerDisconnectedError":
            return True
        if isinstance(cause, (ConnectionResetError, BrokenPipeError)):
            return True
        if isinstance(cause, httpx.RemoteProtocolError) and "disconnected" in str(cause):
            return True
    return False


def error_of_fault(
    causes: Sequence[BaseException], url: httpx.URL, proxy: httpx.URL | None = None
) -> ProviderError:
    """The error for a request that got no answer; `causes` are those of what was raised."""
    error = _unconnected(causes, url, proxy)
    if error is not None:
        return error
    fault, server = causes[0], _address(url)
    if died_unanswered(causes):
        return ProviderUnavailable(f"{server} closed the connection before it answered")
    words = redact(str(fault)) or type(fault).__name__
    if isinstance(fault, httpx.ProxyError) and proxy is not None:
        message = f"the proxy {_address(proxy)} did not let the request through: {words}"
        return ProviderUnavailable(message, may_retry=False)
    if any(_is_no_http(cause) for cause in causes):
        return InvalidResponse(f"what {server} answers is not HTTP; is `base_url` right?")
    may_retry = isinstance(fault, (httpx.TransportError, OSError))
    return ProviderUnavailable(f"the request to {server} failed: {words}", may_retry=may_retry)


def _unconnected(
    causes: Sequence[BaseException], url: httpx.URL, proxy: httpx.URL | None
) -> ProviderError | None:
    nearest = f"the proxy {_address(proxy)}" if proxy else _address(url)
    setting = "proxy" if proxy else "base_url"
    if any(isinstance(cause, TimeoutError) for cause in causes):
        message = f"no connection to {nearest} in time; see `http.connect` in this instance's table"
        return ProviderTimeout(message)
    for cause in causes:
        # aiohttp has errors that derive from this one and lack what it knows.
        if isinstance(cause, ssl.SSLError) and type(cause).__module__ == "ssl":
            return _insecure(cause, _address(url))
        if isinstance(cause, socket.gaierror):
            host = (proxy or url).host
            return ProviderUnavailable(f"no host is known as {host}; is `{setting}` right?")
        if isinstance(cause, ConnectionRefusedError):
            message = f"nothing listens at {nearest}; is it running, and is `{setting}` right?"
            return ProviderUnavailable(message)
    return None


def _insecure(cause: ssl.SSLError, server: str) -> ProviderError:
    if isinstance(cause, ssl.SSLCertVerificationError):
        message = (
            f"the certificate of {server} is not trusted: {cause.verify_message}; name a file that "
            "holds its authority's as `ca_file` in this instance's `http` table"
        )
    else:
        message = (
            f"no safe connection to {server}: {cause.reason or cause}; should `base_url` begin "
            "with http://?"
        )
    return ProviderUnavailable(message, may_retry=False)


def _is_no_http(cause: BaseException) -> bool:
    """Whether it is what a parser says of bytes that are no answer; by name, as above."""
    kind = type(cause)
    if kind.__name__ == "RemoteProtocolError":
        return kind.__module__.startswith("h11")
    return kind.__name__ == "ClientResponseError"


def _address(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
