"""The service by which programs write modules."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ContextAwareService
from dovetail.testing import plugin_of
from dovetail_modules import (
    InMemoryModuleRepository,
    ModuleConflict,
    ModuleDefinition,
    ModuleError,
    ModuleMissing,
    ModuleService,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail import Kernel
    from plugins.modules.tests.world import World


def greeting(content: str = "Be kind.") -> ModuleDefinition:
    return ModuleDefinition(name="greeting", content=content)


def service_of(kernel: Kernel) -> ModuleService:
    service: ModuleService = kernel.services.get("module_service")
    return service


async def test_a_module_is_written_read_changed_and_deleted(world: World) -> None:
    async with world.kernel("@greeting", store="memory", refresh="1h") as kernel:
        service = service_of(kernel)
        await kernel.chat("Hello")
        made = await service.create(greeting())
        assert (made.name, made.version, made.definition) == ("greeting", 1, greeting())
        assert await service.read("greeting") == made
        await kernel.chat("Hello")
        changed = await service.update(greeting("Be brief."), 1)
        assert changed.version == 2
        assert [m.version for m in await service.list()] == [2]
        await kernel.chat("Hello")
        gone = await service.delete("greeting", 2)
        assert (gone.version, gone.definition) == (3, None)
        await kernel.chat("Hello")
        assert await service.list() == []
    missing = "[module greeting: not found]"
    assert world.prompts() == [missing, "Be kind.", "Be brief.", missing]


async def test_every_version_stays_and_can_be_brought_back(world: World) -> None:
    async with world.kernel("x", store="memory") as kernel:
        service = service_of(kernel)
        await service.create(greeting("one"))
        await service.update(greeting("two"), 1)
        await service.delete("greeting")
        again = await service.revert("greeting", 1)
        assert (again.version, again.definition) == (4, greeting("one"))
        history = await service.history("greeting")
        contents = [v.definition.content if v.definition else None for v in history]
        assert contents == ["one", None, "two", "one"]
        assert (await service.read("greeting", 2)).definition == greeting("two")
        with pytest.raises(ModuleMissing, match=r"version 3 .* is its deletion"):
            await service.revert("greeting", 3)


async def test_who_changes_what_somebody_else_has_changed_is_told(world: World) -> None:
    async with world.kernel("x", store="memory") as kernel:
        service = service_of(kernel)
        await service.create(greeting("one"))
        with pytest.raises(ModuleConflict, match="already: update it"):
            await service.create(greeting("other"))
        await service.update(greeting("two"), 1)
        for late in (
            service.update(greeting("three"), 1),
            service.delete("greeting", 1),
            service.revert("greeting", 1, 1),
        ):
            with pytest.raises(ModuleConflict, match="read it again"):
                await late
        done = await asyncio.gather(
            *(service.update(greeting(str(number)), 2) for number in range(10)),
            return_exceptions=True,
        )
        assert sum(not isinstance(result, ModuleConflict) for result in done) == 1
        assert (await service.read("greeting")).version == 3


async def test_what_is_not_there_is_said_to_be_missing(world: World) -> None:
    async with world.kernel("x", store="memory") as kernel:
        service = service_of(kernel)
        for missing in (
            service.read("nobody"),
            service.update(ModuleDefinition(name="nobody"), 1),
            service.delete("nobody"),
            service.history("nobody"),
            service.revert("nobody", 1),
        ):
            with pytest.raises(ModuleMissing, match="`nobody`"):
                await missing
        await service.create(greeting())
        with pytest.raises(ModuleMissing, match="no version 5"):
            await service.read("greeting", 5)


async def test_the_store_comes_before_the_folder(world: World) -> None:
    world.write(greeting_md="of the folder")
    async with world.kernel("@greeting", store="memory") as kernel:
        await kernel.chat("Hello")
        await service_of(kernel).create(greeting("of the store"))
        await kernel.chat("Hello")
        snapshot = await service_of(kernel).modules()
    assert world.prompts() == ["of the folder", "of the store"]
    assert [(used.source, hidden.source) for used, hidden in snapshot.shadowed] == [
        ("store", "folder")
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({}, 'write `store = "memory"`'), ({"store": "sqlite"}, "no service `sqlite_modules`")],
)
async def test_without_a_store_it_says_what_to_write(
    world: World, settings: dict[str, Any], words: str
) -> None:
    async with world.kernel("x", **settings) as kernel:
        with pytest.raises(ModuleError, match=words):
            await service_of(kernel).list()
        snapshot = await service_of(kernel).modules()
    assert [words in str(broken.problem) for broken in snapshot.broken] == [True] * len(settings)


class Shelf(ContextAwareService):
    """A store of another plugin."""

    name = "shelf_modules"

    async def start(self) -> None:
        self.kept = InMemoryModuleRepository()
        self.reads = 0
        self.away = False

    async def append(self, *arguments: Any, **options: Any) -> Any:
        return await self.kept.append(*arguments, **options)

    async def read(self, *arguments: Any) -> Any:
        return await self.kept.read(*arguments)

    async def latest(self, **options: Any) -> Sequence[Any]:
        self.reads += 1
        return await self.kept.latest(**options)

    async def revision(self) -> int:
        if self.away:
            raise ConnectionError("gone")
        return await self.kept.revision()


async def test_another_plugin_may_be_the_store(world: World) -> None:
    plugins: dict[str, object] = {"shelf": plugin_of(Shelf)}
    async with world.kernel("@greeting", store="shelf", plugins=plugins) as kernel:
        shelf: Shelf = kernel.services.get("shelf_modules")
        await service_of(kernel).create(greeting())
        for _ in range(3):
            await kernel.chat("Hello")
        assert shelf.reads == 2  # one page, and that there is no other
        shelf.away = True
        await kernel.chat("Hello")
        away = await service_of(kernel).modules()
        shelf.away = False
        await shelf.append("greeting", 2, '{"name": "greeting", "content": "Be brief."}')
        await shelf.append("odd", 1, '{"name": 5}')
        await kernel.chat("Hello")
        back = await service_of(kernel).modules()
    assert world.prompts() == ["Be kind."] * 4 + ["Be brief."]
    assert "cannot be read: ConnectionError" in str(away.broken[0].problem)
    assert ["`odd` version 1" in str(broken.problem) for broken in back.broken] == [True]
