"""What can be seen to be wrong before a request is sent."""

from __future__ import annotations

import httpx

from dovetail.errors import PluginError

_FORBIDDEN = {*map(chr, range(32)), "\x7f"} - {"\t"}


def check_url(text: str) -> httpx.URL:
    """The URL of a server.

    Raises:
        PluginError: it is none of http or https.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise PluginError(f"`base_url` is no URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        message = "`base_url` should begin with http:// or https:// and name a host"
        raise PluginError(message)
    return url


def check_headers(headers: dict[str, str]) -> httpx.Headers:
    """Headers that can be sent. An error tells the name only: the value is often a key.

    Raises:
        PluginError: a value has a character that a header must not have.
    """
    for name, value in headers.items():
        if not value.isascii():
            what = "a character beyond ASCII"
        elif not _FORBIDDEN.isdisjoint(value):
            what = "a line end or another control character"
        elif value != value.strip():
            what = "a blank at its start or end"
        else:
            continue
        raise PluginError(f"the value of the header `{name}` has {what}; was it copied whole?")
    return httpx.Headers(headers)
