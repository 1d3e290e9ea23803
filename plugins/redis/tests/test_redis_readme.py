"""The README says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail import Kernel
from dovetail.testing import FakeModel, fake_plugin
from dovetail_redis import RedisSettings
from dovetail_redis.records import GRACE
from dovetail_redis.store import REMEMBERED
from plugins.redis.tests.sayings import an_hour_long, turn

if TYPE_CHECKING:
    from dovetail_redis import RedisSessionStore
    from plugins.redis.tests.conftest import Open
    from plugins.redis.tests.servers import RedisServer

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


async def test_its_example_remembers(shared: RedisServer, tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    file = tmp_path / "dovetail.toml"
    file.write_text(f"chat.model = 'fake'\nproviders.fake = {{}}\n{example}", encoding="utf-8")
    heard: list[str] = []
    for said in ("Hello", "Hello again"):
        model = FakeModel("Hi")
        kernel = Kernel.open(file, env={"REDIS_URL": shared.url})
        kernel.register("fake", fake_plugin(model))
        async with kernel:
            await kernel.chat(said, session="of the readme")
            session = await kernel.sessions.get_session("of the readme")
            assert session is not None
            assert session.expiry_at is not None
            assert (session.expiry_at - session.last_accessed_at).days == 2
            heard = [message.text for message in model.requests[0].messages]
    assert heard == ["Hello", "Hi", "Hello again"]


async def test_the_user_that_it_makes_can_keep_sessions(
    shared: RedisServer, opened: Open, prefix: str
) -> None:
    (command,) = re.findall(r"^ACL SETUSER .*$", README, re.MULTILINE)
    with shared.client as client:
        client.execute_command(*command.split())
    url = shared.url.replace("://", "://dovetail:password@")
    store = await opened(url=url, prefix=f"dovetail:{prefix}")
    session = an_hour_long("work")
    await store.append(session, turn(0))
    (listed,) = await store.list_sessions()
    assert (await store.set(listed)).version == 2
    assert await store.touch(session) is True
    assert await store.acquire_lease("work", "a", 30) is True
    await store.release_lease("work", "a")
    assert await store.cleanup_expired() == 0
    assert await store.delete("work") is True
    with shared.client as client:
        client.execute_command("ACL", "DELUSER", "dovetail")


def test_its_table_lists_every_setting_with_its_default() -> None:
    listed = {key.strip("`"): json.loads(text.strip("`")) for key, text, _ in table("Settings")}
    settings = RedisSettings()
    defaults = {name: getattr(settings, name) for name in RedisSettings.model_fields}
    assert listed == {**defaults, "url": settings.url.get_secret_value()}


async def test_its_table_lists_every_key(
    store: RedisSessionStore, shared: RedisServer, prefix: str
) -> None:
    await store.append(an_hour_long("ID", "USER"), turn(0))
    await store.acquire_lease("ID", "a", 30)
    with shared.client as client:
        found = {
            re.sub(r"call:.*", "call:…", name.decode().removeprefix(prefix).replace('"', "")): str(
                client.type(name), "ascii"
            )
            for name in shared.keys(f"{prefix}*")
        }
    listed = {
        row[0].strip("`").removeprefix("dovetail:"): row[1] for row in table("What is kept where")
    }
    assert {name: kind.replace("sorted set", "zset") for name, kind in listed.items()} == found


def test_its_times_are_so() -> None:
    words = " ".join(README.split())
    assert "Redis drops it ten minutes later" in words
    assert GRACE.total_seconds() == 600
    assert "for `retry_for` and 30 seconds" in words
    assert REMEMBERED == 30
