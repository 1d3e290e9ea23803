"""What the components of a plugin share, and what acts by itself, in `[plugins.ID]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import Field

from dovetail import (
    ChatProvider,
    ChatRequest,
    ChatResponse,
    Component,
    ConfigError,
    ExecutionContext,
    Kernel,
    NotReady,
    Settings,
    StartError,
)
from dovetail.chat.messages import ChatMessage
from dovetail.sessions.memory import MemorySessionStore
from tests.support.kernels import plugin_of

if TYPE_CHECKING:
    from types import ModuleType

life: list[str] = []


@pytest.fixture(autouse=True)
def _new_life() -> None:
    life.clear()


class PoolSettings(Settings):
    url: str = "db://here"
    size: int = Field(default=1, ge=1)


class Pool(Component):
    settings: PoolSettings

    async def start(self) -> None:
        if self.settings.url == "db://away":
            raise NotReady("nobody answers at db://away")
        life.append(f"pool {self.settings.url}")

    async def stop(self) -> None:
        life.append("pool stopped")


class Talks(ChatProvider):
    shared: Pool

    async def start(self) -> None:
        life.append(f"{self.instance} with {self.shared.settings.url}")

    async def stop(self) -> None:
        life.append(f"{self.instance} stopped")

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        return ChatResponse(message=ChatMessage.assistant(str(id(self.shared))))


class Store(MemorySessionStore):
    name = "store"
    shared: Pool

    async def start(self) -> None:
        life.append("store")


def kernel(*classes: type[Component], **tables: Any) -> Kernel:
    config: dict[str, Any] = {"chat": {"model": "a"}, **tables}
    opened = Kernel.open(config, env={}, discover_installed=False)
    return opened.register("pg", plugin_of(*classes))


ALL: dict[str, Any] = {
    "providers": {"a": {"use": "pg"}, "b": {"use": "pg"}},
    "sessions": {"use": "pg"},
}


async def test_components_share_one_with_the_settings_of_their_plugin() -> None:
    async with kernel(Talks, Store, **ALL, plugins={"pg": {"url": "db://there"}}) as opened:
        one, other = [(await opened.chat("hi", model=name)).text for name in "ab"]
        assert one == other
        assert opened.plugins["pg"].components["shared"] == [Pool]
    assert life[0] == "pool db://there"
    assert sorted(life[1:4]) == ["a with db://there", "b with db://there", "store"]
    assert life[-1] == "pool stopped"


async def test_without_a_table_what_is_shared_has_its_defaults() -> None:
    async with kernel(Talks, providers={"a": {"use": "pg"}}):
        assert life == ["pool db://here", "a with db://here"]


@pytest.mark.parametrize(
    ("table", "words"),
    [({"size": 0}, "size"), ({"sise": 2}, "sise"), ({"size": "many"}, "size")],
)
async def test_a_mistake_in_its_table_is_told_with_its_place(
    table: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        await kernel(Talks, **ALL, plugins={"pg": table}).start()
    assert f"[plugins.pg] {words}" in str(caught.value)


async def test_a_plugin_that_shares_nothing_takes_no_keys_there() -> None:
    class Plain(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            return ChatResponse(message=ChatMessage.assistant("hi"))

    opened = kernel(Plain, providers={"a": {"use": "pg"}}, plugins={"pg": {"url": "db://x"}})
    with pytest.raises(ConfigError, match="takes `url` as it is here"):
        await opened.start()


async def test_what_needs_it_fails_with_it() -> None:
    away = {"pg": {"url": "db://away"}}
    with pytest.raises(StartError) as caught:
        await kernel(Talks, Store, **ALL, plugins=away).start()
    assert "nobody answers at db://away" in str(caught.value)
    assert str(caught.value).endswith("(3 parts that need it did not start either)")
    assert "it needs `pg:pool`, which did not start" in str(caught.value.failures[-1])
    assert "stopped" not in " ".join(life).replace("pool stopped", "")


async def test_a_reload_replaces_it_with_what_needs_it() -> None:
    config: dict[str, Any] = {
        "chat": {"model": "a"},
        "providers": {"a": {"use": "pg"}},
        "plugins": {"pg": {"url": "db://one"}},
    }
    opened = Kernel.open(config, env={}, discover_installed=False)
    async with opened.register("pg", plugin_of(Talks)):
        await opened.reload()
        assert life == ["pool db://one", "a with db://one"]
        config["plugins"] = {"pg": {"url": "db://two"}}
        report = await opened.reload()
        assert report.started == ("[plugins.pg] pool", "[providers.a]")
    assert life[2:4] == ["pool db://two", "a with db://two"]


async def test_a_session_store_keeps_what_it_was_started_with() -> None:
    config: dict[str, Any] = {"sessions": {"use": "pg"}, "plugins": {"pg": {"url": "db://one"}}}
    opened = Kernel.open(config, env={}, discover_installed=False)
    async with opened.register("pg", plugin_of(Store)):
        config["plugins"] = {"pg": {"url": "db://two"}}
        report = await opened.reload()
        assert set(report.needs_restart) == {"[sessions]", "[plugins.pg] pool"}
        store = opened.sessions.store
        assert isinstance(store, Store)
        assert store.shared.settings.url == "db://one"


async def test_an_annotation_that_is_no_component_is_refused() -> None:
    class Wrong(MemorySessionStore):
        shared: int

    with pytest.raises(StartError, match=r"annotate it with a subclass of `dovetail.Component`"):
        await kernel(Wrong, sessions={"use": "pg"}).start()


async def test_what_nothing_needs_is_not_started() -> None:
    module: ModuleType = plugin_of(Talks)
    opened = Kernel.open({"plugins": {"pg": {}}}, env={}, discover_installed=False)
    async with opened.register("pg", module):
        assert life == []


async def test_what_needs_an_optional_one_that_failed_tells_why_it_did() -> None:
    away = {"pg": {"url": "db://away", "optional": True}}
    with pytest.raises(StartError, match="nobody answers at db://away"):
        await kernel(Talks, Store, **ALL, plugins=away).start()
