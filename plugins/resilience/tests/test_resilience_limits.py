"""No instance is asked more at once than the config allows, and whoever waits is not forgotten."""

import asyncio
from collections import Counter

import pytest

from dovetail import ConfigError, ProviderUnavailable, RateLimited, StreamInterrupted
from dovetail.testing import Gate
from plugins.resilience.tests.asking import Ask, Model, Open, chat, embed, stream
from plugins.resilience.tests.busy import Busy, only
from plugins.resilience.tests.virtual_time import Clock


@pytest.fixture
def main() -> Busy:
    return Busy()


async def test_a_hundred_calls_at_once_go_by_as_many_as_allowed(
    running: Open, main: Busy, ask: Ask
) -> None:
    async with running(limits=only(concurrent=7)) as kernel:
        clock = Clock()
        await asyncio.gather(*(ask(kernel) for _ in range(100)))
        assert clock.seconds == pytest.approx(15)
    assert (main.most, len(main.began)) == (7, 100)


async def test_a_stream_keeps_its_place_until_its_end(running: Open, main: Busy) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1)) as kernel:
        main.will_say(["One ", gate, "two."])
        async with kernel.stream("Hello") as answer:
            await gate.reached()
            other = asyncio.create_task(chat(kernel))
            await asyncio.sleep(100)
            assert len(main.began) == 1
            gate.open()
            async for _ in answer:
                pass
        await other
    assert main.most == 1


@pytest.mark.parametrize("hold", ["first_chunk", "2 chunks", "end"])
async def test_a_place_is_given_back_however_a_call_ends(
    running: Open, main: Busy, hold: str
) -> None:
    settings = {"attempts": 1, "hold": hold, "breaker": {"failures": 0}}
    async with running(limits=only(concurrent=1, wait=10), **settings) as kernel:
        for _ in range(3):
            main.will_say(ProviderUnavailable("down"), ["One ", StreamInterrupted("broke")])
            for _ in range(2):
                with pytest.raises((ProviderUnavailable, StreamInterrupted)):
                    await stream(kernel)
            for said in ([], ["One "]):
                gate = Gate()
                main.will_say([*said, gate])
                async with kernel.stream("Hello") as answer:
                    await gate.reached()
                    answer.run.cancel()
                    await answer.run.wait()
            async with kernel.stream("Hello") as answer:
                await anext(aiter(answer))
        await stream(kernel)
        await chat(kernel)
        await embed(kernel)


async def test_a_cancelled_wait_leaves_its_place_to_the_next(running: Open, main: Busy) -> None:
    async with running(limits=only(concurrent=1)) as kernel:
        calls = [asyncio.create_task(chat(kernel)) for _ in range(10)]
        await asyncio.sleep(0.1)
        for call in calls[1:9]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await chat(kernel)
    assert len(main.began) == 3


async def test_a_retry_waits_without_a_place(running: Open, main: Busy) -> None:
    async with running(limits=only(concurrent=1)) as kernel:
        main.will_say(RateLimited("slow down", retry_after=50.0))
        first = asyncio.create_task(chat(kernel))
        await asyncio.sleep(1)
        clock = Clock()
        await chat(kernel)
        assert clock.seconds < 5
        await first


async def test_a_wait_for_a_place_ends(running: Open, main: Busy) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1, wait="20s")) as kernel:
        main.will_say(gate)
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        clock = Clock()
        with pytest.raises(RateLimited, match=r"main: .*`concurrent = 1`.*after 20 s.*`limits`"):
            await chat(kernel)
        assert clock.seconds == pytest.approx(20)
        gate.open()
        await first
        await chat(kernel)


async def test_only_so_many_calls_wait(running: Open, main: Busy) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1, waiting=3)) as kernel:
        main.will_say(gate)
        calls = [asyncio.create_task(chat(kernel)) for _ in range(9)]
        await gate.reached()
        await asyncio.sleep(1)
        gate.open()
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert Counter(type(end).__name__ for end in ended) == {"ChatResponse": 4, "RateLimited": 5}


async def test_a_wait_for_a_place_ends_with_the_budget(running: Open, main: Busy) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1), budget="5s") as kernel:
        main.will_say(gate)
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        clock = Clock()
        with pytest.raises(RateLimited, match="concurrent"):
            await chat(kernel)
        assert clock.seconds == pytest.approx(5)
        with pytest.raises(ProviderUnavailable):
            await first


async def test_who_finds_no_place_is_answered_elsewhere(
    running: Open, main: Busy, backup: Model
) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1, wait=0), fallback=["backup/two"]) as kernel:
        main.will_say(gate)
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        other = await chat(kernel)
        gate.open()
        await first
    assert other.provider == "backup"
    decisions = [d["decision"] for d in other.metadata["resilience"]["decisions"]]
    assert decisions == ["limit_refused", "fallback"]


async def test_who_waits_for_a_place_while_the_circuit_opens_is_refused_and_keeps_none(
    running: Open, main: Busy
) -> None:
    gate = Gate()
    settings = {"attempts": 1, "breaker": {"failures": 1, "reset": 30}}
    async with running(limits=only(concurrent=1), **settings) as kernel:
        main.will_say([gate, ProviderUnavailable("down")])
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        second = asyncio.create_task(chat(kernel))
        await asyncio.sleep(1)
        gate.open()
        with pytest.raises(ProviderUnavailable, match="down"):
            await first
        with pytest.raises(ProviderUnavailable, match="circuit"):
            await second
        assert len(main.began) == 1
        await asyncio.sleep(30)
        await chat(kernel)


async def test_a_limit_on_all_instances_counts_them_together(
    running: Open, main: Busy, backup: Model
) -> None:
    gates = [Gate(), Gate()]
    limits = [{"concurrent": 2, "wait": "1s"}]
    async with running(limits=limits, fallback=["third/three"]) as kernel:
        main.will_say(gates[0])
        backup.will_say(gates[1])
        calls = [asyncio.create_task(chat(kernel, m)) for m in ("main", "backup")]
        await gates[0].reached()
        await gates[1].reached()
        with pytest.raises(RateLimited, match="all instances together"):
            await chat(kernel, "third/three")
        for gate in gates:
            gate.open()
        await asyncio.gather(*calls)


async def test_a_limit_of_one_instance_leaves_the_others_alone(
    running: Open, main: Busy, backup: Model
) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1)) as kernel:
        main.will_say(gate)
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        clock = Clock()
        await chat(kernel, "backup/two")
        assert clock.seconds == 0
        gate.open()
        await first
    assert backup.asked == 1


async def test_a_limit_for_an_instance_that_is_nowhere_is_refused_at_the_start(
    running: Open,
) -> None:
    with pytest.raises(ConfigError, match="no provider instance `mian`"):
        async with running(limits=[{"instance": "mian", "concurrent": 1}]):
            pass
