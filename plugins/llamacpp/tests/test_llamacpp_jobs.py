"""The hand-off between a native thread and the event loop."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from dovetail_llamacpp.jobs import WINDOW, Job, Workers


async def test_a_job_is_never_more_than_a_window_ahead_of_its_reader() -> None:
    workers = Workers("test", size=1, waiting=1)
    ahead = 0
    most = 0

    def work(job: Job[str]) -> str:
        nonlocal ahead, most
        for i in range(1000):
            ahead += 1
            most = max(most, ahead)
            job.put(i)
        return "done"

    job = Job(work)
    workers.submit(job)
    read: list[int] = []
    while (items := await job.more()) is not None:
        ahead -= len(items)
        read += items
    assert read == list(range(1000))
    # Of what was just taken the worker may have added one before the count above went down.
    assert most <= 2 * WINDOW + 1
    assert await job.result == "done"
    workers.close()


async def test_what_a_job_raises_comes_after_all_it_had_put() -> None:
    workers = Workers("test", size=1, waiting=1)

    def work(job: Job[None]) -> None:
        for i in range(3):
            job.put(i)
        raise KeyError("broken")

    job = Job(work)
    workers.submit(job)
    read: list[int] = []
    with pytest.raises(KeyError, match="broken"):
        while (items := await job.more()) is not None:
            read += items
    assert read == [0, 1, 2]
    workers.close()


async def test_jobs_run_in_the_order_they_came_on_as_few_threads_as_allowed() -> None:
    workers = Workers("test", size=2, waiting=100)
    order: list[int] = []
    running = 0
    most = 0

    def work(number: int, job: Job[None]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(number)
        job.finished.wait(0.002)
        running -= 1

    jobs = [Job(partial(work, number)) for number in range(50)]
    for job in jobs:
        workers.submit(job)
    await asyncio.gather(*(job.result for job in jobs))
    assert order == sorted(order)
    assert most == 2
    workers.close()
