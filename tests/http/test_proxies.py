"""A proxy is used as configured, else as the environment says, and never for this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import (
    AuthenticationError,
    HttpOptions,
    PluginError,
    ProviderError,
    ProviderUnavailable,
)
from dovetail.testing import Upstream, openai_json, refused_url
from tests.http.tiny_proxy import TinyProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.http.conftest import MakeClient


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def proxy(tidy: None) -> AsyncIterator[TinyProxy]:
    async with TinyProxy() as server:
        yield server


def named(upstream: Upstream) -> str:
    """The server under a name that only the proxy can look up."""
    return upstream.url.replace("127.0.0.1", "model.test")


@pytest.fixture
def proxied_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, refused_url())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_environments_proxy_is_not_for_this_machine(
    host: str, proxied_environment: None, upstream: Upstream, make_client: MakeClient
) -> None:
    upstream.script(openai_json())
    url = upstream.url.replace("127.0.0.1", host)
    assert (await make_client(url).post("/chat", {})).status == 200


@pytest.mark.parametrize("host", ["127.1.2.3", "[::1]", "LOCALHOST."])
async def test_nor_for_another_of_its_addresses(
    host: str, proxied_environment: None, make_client: MakeClient
) -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        await make_client(f"http://{host}:1").post("/chat", {})
    assert "proxy" not in str(caught.value)


@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY"])
async def test_the_environments_proxy_is_for_other_machines(
    name: str,
    upstream: Upstream,
    proxy: TinyProxy,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, proxy.url.removeprefix("http://"))
    upstream.script(openai_json("Hello"))
    reply = await make_client(named(upstream)).post("/chat", {"a": 1})
    assert "Hello" in reply.body.decode()
    assert proxy.heads[0].startswith(f"POST {named(upstream)}/chat HTTP/1.1\r\n")
    assert upstream.requests[0].json == {"a": 1}


@pytest.mark.parametrize("rule", ["model.test", ".test", "*", "model.test:PORT"])
async def test_no_proxy_names_exceptions(
    rule: str,
    upstream: Upstream,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", refused_url())
    monkeypatch.setenv("NO_PROXY", rule.replace("PORT", upstream.url.rpartition(":")[2]))
    with pytest.raises(ProviderUnavailable, match=r"no host is known as model\.test"):
        await make_client(named(upstream)).post("/chat", {})


async def test_a_configured_proxy_is_for_this_machine_too(
    upstream: Upstream, proxy: TinyProxy, make_client: MakeClient
) -> None:
    upstream.script(openai_json())
    await make_client(proxy=proxy.url).post("/chat", {})
    assert proxy.heads[0].startswith(f"POST {upstream.url}/chat")


async def test_a_proxys_user_and_password_are_for_the_proxy_alone(
    upstream: Upstream, proxy: TinyProxy, make_client: MakeClient
) -> None:
    upstream.script(openai_json())
    with_password = proxy.url.replace("://", "://me:p4ssw0rd@")
    await make_client(proxy=with_password).post("/chat", {})
    assert "proxy-authorization: basic bwu6cdrzc3cwcmq=" in proxy.heads[0].lower()


async def test_a_proxy_that_is_not_there_is_named(make_client: MakeClient) -> None:
    client = make_client(proxy=refused_url().replace("://", "://me:p4ssw0rd@"))
    with pytest.raises(
        ProviderUnavailable, match=r"nothing listens at the proxy http://127\.0\.0\.1:1; .*`proxy`"
    ) as caught:
        await client.get("/models")
    assert "p4ssw0rd" not in str(caught.value)


async def test_a_proxy_that_wants_a_password(make_client: MakeClient, tidy: None) -> None:
    async with TinyProxy(refuses=True) as proxy:
        with pytest.raises(AuthenticationError, match=r"407 \(check `http\.proxy`\)"):
            await make_client(proxy=proxy.url).get("/models")
        tunnelled = make_client("https://model.test", proxy=proxy.url)
        with pytest.raises(ProviderError, match="did not let the request through: 407") as caught:
            await tunnelled.get("/models")
    assert not caught.value.details.may_retry


async def test_a_socks_proxy_says_what_it_needs(make_client: MakeClient) -> None:
    with pytest.raises(PluginError, match=r"pip install 'httpx\[socks\]'"):
        make_client(proxy="socks5://127.0.0.1:1")


def test_a_proxys_password_is_not_shown() -> None:
    options = HttpOptions.model_validate({"proxy": "http://me:p4ssw0rd@there"})
    assert "p4ssw0rd" not in repr(options)
    with pytest.raises(ValueError, match="should begin with http://") as caught:
        HttpOptions.model_validate({"proxy": "me:p4ssw0rd@there"})
    assert "p4ssw0rd" not in str(caught.value)
