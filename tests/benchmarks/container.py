"""What a dependency costs, beside dishka and punq on the same classes."""

from typing import TYPE_CHECKING, NamedTuple

import punq
from dishka import Provider, Scope, make_async_container, make_container

from dovetail import ExecutionContext
from dovetail.container import SmartDependencyContainer
from tests.benchmarks.harness import Goal, Row, Subject, compare, interleave, profile, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.harness import Step

ROUNDS = 15
TIMES = 10
ITEMS = 200
"""How many dependencies each step asks for."""

NEAR = Goal(1.3, "≤ 1.3")
NEVER_SLOWER = Goal(1.0, "≤ 1")
ABOUT = f"""\
`Config` ← `Pool` ← `Repo` and `Audit` ← `Service`, wired by the annotations of their
constructors. "kept" is `Config`, kept by the container; "service" is a new `Service` each time,
of parts that are kept; "made" is one of which nothing is. In "open context", `Repo` and `Audit`
are kept with a context that lasts, in dishka with its request scope; "own context" is the same
with an `ExecutionContext` for each, made there and handed to both: `aresolve` and `await
container.end(context)` beside `async with container({{ExecutionContext: …}})`. dishka's
containers have no locks, which is their default; ours are safe in threads. {ROUNDS} rounds of
{TIMES * ITEMS}."""


class Config:
    """What everything needs."""


class Pool:
    """Needs the config."""

    def __init__(self, config: Config) -> None:
        self.config = config


class Repo:
    """Needs the pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Audit:
    """Needs the pool too."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Service:
    """Needs both."""

    def __init__(self, repo: Repo, audit: Audit) -> None:
        self.repo = repo
        self.audit = audit


KEPT: tuple[type, ...] = (Config, Pool, Repo, Audit)


class Pair(NamedTuple):
    """A row's name, ours, and the peers' that do the same."""

    what: str
    ours: "Step"
    dishka: "Step"
    punq: "Step | None" = None


async def measure() -> Subject:
    """Each way to ask, ours and theirs in turn."""
    pairs = [*_kept(), *_in_contexts(), *_awaited()]
    samples = {}
    for pair in pairs:
        for name, step in zip(pair._fields[1:], pair[1:], strict=True):
            if step is not None:
                samples[f"{pair.what} {name}"] = timed(step, TIMES, items=ITEMS)
    taken = await interleave(samples, ROUNDS)
    subject = Subject("Dependencies", ABOUT, [])
    for pair in pairs:
        rows = _rows(pair, taken)
        subject.rows += rows
        if any(row.missed for row in rows):
            subject.profiles[f"{ITEMS} times {pair.what}"] = await profile(pair.ours, TIMES)
    return subject


def _rows(pair: Pair, taken: dict[str, list[float]]) -> list[Row]:
    ours = taken[f"{pair.what} ours"]
    rows = [compare(pair.what, ours, ("dishka", taken[f"{pair.what} dishka"]), NEAR)]
    if pair.punq is not None:
        rows.append(compare(pair.what, ours, ("punq", taken[f"{pair.what} punq"]), NEVER_SLOWER))
    return rows


def _kept() -> list[Pair]:
    ours, made = SmartDependencyContainer(), SmartDependencyContainer()
    theirs, provider, made_by = punq.Container(), Provider(), Provider()
    made_there = punq.Container()
    for part in KEPT:
        ours.register_factory(part, part)
        theirs.register(part, scope=punq.Scope.singleton)
        provider.provide(part, scope=Scope.APP)
    for part in (*KEPT, Service):
        made_there.register(part)
        made_by.provide(part, scope=Scope.APP, cache=False)
    theirs.register(Service)
    provider.provide(Service, scope=Scope.APP, cache=False)
    dishka, dishka_made = make_container(provider), make_container(made_by)
    return [
        Pair("resolve: kept", *_each(Config, ours.resolve, dishka.get, theirs.resolve)),
        Pair("resolve: service", *_each(Service, ours.resolve, dishka.get, theirs.resolve)),
        Pair("resolve: made", *_each(Service, made.resolve, dishka_made.get, made_there.resolve)),
    ]


def _each(key: type, *calls: "Callable[[type], object]") -> "list[Step]":
    return [_repeated(key, call) for call in calls]


def _repeated(key: type, call: "Callable[[type], object]") -> "Step":
    async def step(_: int) -> None:
        for _each in range(ITEMS):
            call(key)

    return step


def _in_contexts() -> list[Pair]:
    ours, provider = _scoped()
    context, request = ExecutionContext(), make_container(provider)()

    def resolve(key: type) -> object:
        return ours.resolve(key, context)

    def get(key: type) -> object:
        return request.get(key)

    return [Pair("resolve: service, open context", *_each(Service, resolve, get))]


def _awaited() -> list[Pair]:
    ours, provider = _scoped()
    theirs = make_async_container(provider)
    context = ExecutionContext()

    async def own_context(_: int) -> None:
        for _each in range(ITEMS):
            own = ExecutionContext()
            await ours.aresolve(Service, own)
            await ours.end(own)

    async def own_request(_: int) -> None:
        for _each in range(ITEMS):
            async with theirs({ExecutionContext: ExecutionContext()}) as request:
                await request.get(Service)

    async def open_context(_: int) -> None:
        for _each in range(ITEMS):
            await ours.aresolve(Service, context)

    async def open_request(_: int) -> None:
        async with theirs() as request:
            for _each in range(ITEMS):
                await request.get(Service)

    return [
        Pair("aresolve: service, open context", open_context, open_request),
        Pair("aresolve: service, own context", own_context, own_request),
    ]


def _scoped() -> tuple[SmartDependencyContainer, Provider]:
    ours, provider = SmartDependencyContainer(), Provider()
    for part in KEPT[:2]:
        ours.register_factory(part, part)
        provider.provide(part, scope=Scope.APP)
    for part in KEPT[2:]:
        ours.register_factory(part, part, scope="context")
        provider.provide(part, scope=Scope.REQUEST)
    provider.provide(Service, scope=Scope.REQUEST, cache=False)
    return ours, provider
