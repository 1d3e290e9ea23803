"""What thousands of chats leave behind: nothing."""

from collections.abc import AsyncIterator

import pytest

from tests.benchmarks.soak import GROUP, Footprint, Soak

CHATS = 2010
FIRST = 510
OBJECTS_A_CHAT = 1
"""A turn that were not let go of would leave dozens."""


@pytest.fixture(scope="module")
async def footprints(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Footprint]]:
    """What is held after the first chats, and after all of them."""
    async with Soak(tmp_path_factory.mktemp("soak")) as soak:
        await soak.run(FIRST)
        first = await soak.footprint()
        await soak.run(CHATS - FIRST)
        assert (soak.chats, soak.cancelled) == (CHATS, CHATS // GROUP * 3)
        yield [first, await soak.footprint()]


async def test_chats_leave_no_task(footprints: list[Footprint]) -> None:
    first, last = footprints
    assert last.tasks == first.tasks


async def test_chats_leave_no_socket_on_either_side(footprints: list[Footprint]) -> None:
    first, last = footprints
    assert last.descriptors == first.descriptors
    assert last.connections == 0


async def test_chats_leave_no_memory(footprints: list[Footprint]) -> None:
    first, last = footprints
    allowed = (CHATS - FIRST) * OBJECTS_A_CHAT
    assert last.objects - first.objects < allowed
    assert last.blocks - first.blocks < allowed * 2
