"""Graphs of any shape: cycles are found, and what is opened is closed in a right order."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail import ExecutionContext
from dovetail.container import DependencyProvider, Named, SmartDependencyContainer
from dovetail.errors import DependencyCycle

Graph = dict[int, list[int]]
SCOPES = ["kernel", "context", "transient"]


class Part:
    """What every node of a graph is."""


class A:
    def __init__(self, b: "B") -> None: ...


class B:
    def __init__(self, c: "C") -> None: ...


class C:
    def __init__(self, a: A) -> None: ...


class Top:
    def __init__(self, a: A) -> None: ...


@st.composite
def graphs(draw: st.DrawFn, *, cyclic: bool = False) -> Graph:
    """Nodes with those they need; without cycles a node needs only smaller ones."""
    size = draw(st.integers(1, 12))
    nodes = st.integers(0, size - 1)
    return {
        node: draw(st.lists(nodes if cyclic else st.integers(0, max(node - 1, 0)), max_size=4))
        if cyclic or node
        else []
        for node in range(size)
    }


def key(node: int) -> Any:
    """What a node is asked for by."""
    return Annotated[Part, Named(f"n{node}")]


def factory(node: int, needs: list[int], journal: list[tuple[str, int]]) -> Callable[..., Any]:
    """A generator function with a parameter for each of `needs`."""

    def make(**parts: Part) -> Iterator[Part]:
        journal.append(("open", node))
        yield Part()
        journal.append(("close", node))

    names = [f"p{number}" for number in range(len(needs))]
    given_on = ", ".join(f"{name}={name}" for name in names)
    code = f"def made({', '.join(names)}):\n    yield from make({given_on})"
    space: dict[str, Any] = {"make": make}
    exec(code, space)
    space["made"].__annotations__ = {name: key(n) for name, n in zip(names, needs, strict=True)}
    return space["made"]  # type: ignore[no-any-return]


def registered(graph: Graph, scopes: list[Any], journal: list[Any]) -> SmartDependencyContainer:
    """A container of the graph's nodes."""
    container = SmartDependencyContainer()
    for (node, needs), scope in zip(graph.items(), scopes, strict=True):
        container.register_factory(key(node), factory(node, needs, journal), scope=scope)
    return container


def has_cycle(graph: Graph, node: int, path: tuple[int, ...] = ()) -> bool:
    """Whether a walk from `node` comes to where it was."""
    if node in path:
        return True
    return any(has_cycle(graph, each, (*path, node)) for each in graph[node])


@given(
    graph=graphs(),
    scope=st.sampled_from(["kernel", "context"]),
    asked=st.lists(st.tuples(st.integers(0, 11), st.booleans()), min_size=1, max_size=4),
)
async def test_what_needs_another_is_closed_before_it(
    graph: Graph, scope: str, asked: list[tuple[int, bool]]
) -> None:
    journal: list[tuple[str, int]] = []
    container = registered(graph, [scope] * len(graph), journal)
    context = ExecutionContext()
    for number, now in asked:
        wanted = key(number % len(graph))
        if now:
            container.resolve(wanted, context)
        else:
            await container.aresolve(wanted, context)
    await container.end(context)
    await container.aclose()
    opened = [node for what, node in journal if what == "open"]
    closed = [node for what, node in journal if what == "close"]
    assert len(set(opened)) == len(opened)
    assert closed == opened[::-1]
    assert all(opened.index(need) < opened.index(n) for n in opened for need in graph[n])


@given(graph=graphs(), scopes=st.lists(st.sampled_from(SCOPES), min_size=12))
async def test_whatever_was_opened_is_closed_once(graph: Graph, scopes: list[Any]) -> None:
    journal: list[tuple[str, int]] = []
    shortest: list[bool] = []
    """Whether a node lasts no longer than a context."""
    for node, needs in graph.items():
        shortest.append(scopes[node] == "context" or any(shortest[need] for need in needs))
        if scopes[node] == "kernel" and shortest[node]:
            scopes[node] = "context"  # it would be captive
    container = registered(graph, scopes[: len(graph)], journal)
    async with container.scope():
        container.resolve(key(len(graph) - 1))
    await container.aclose()
    opened = sorted(node for what, node in journal if what == "open")
    closed = sorted(node for what, node in journal if what == "close")
    assert opened == closed != []


@given(graph=graphs(cyclic=True), number=st.integers(0, 11))
async def test_a_cycle_is_found_whatever_the_graph_and_its_path_is_one(
    graph: Graph, number: int
) -> None:
    journal: list[tuple[str, int]] = []
    container = registered(graph, ["kernel"] * len(graph), journal)
    start = number % len(graph)
    if not has_cycle(graph, start):
        assert isinstance(container.resolve(key(start)), Part)
        await container.aclose()
        return
    with pytest.raises(DependencyCycle) as caught:
        container.resolve(key(start))
    assert journal == []
    path = caught.value.message.removeprefix("a cycle: ").partition(";")[0].split(" → ")
    nodes = [int(name.removeprefix('Part named "n').rstrip('"')) for name in path]
    assert nodes[0] == nodes[-1]
    assert all(after in graph[before] for before, after in pairwise(nodes))


@pytest.mark.parametrize("register", [True, False])
def test_a_cycle_is_told_as_the_path_that_closes_it(register: bool) -> None:
    container = SmartDependencyContainer()
    if register:
        for cls in (A, B, C):
            container.register_factory(cls, cls)
    with pytest.raises(DependencyCycle) as caught:
        container.resolve(Top)
    assert str(caught.value) == (
        "a cycle: A → B → C → A; let one of them ask for the other when it is used "
        "(asked for by Top → A → B → C → A)"
    )


def test_a_mapping_that_leads_back_is_a_cycle() -> None:
    container = SmartDependencyContainer()
    container.register_type_mapping(Part, A)
    container.register_type_mapping(A, Part)
    with pytest.raises(DependencyCycle, match="A → Part → A"):
        container.resolve(A)


class Knows(DependencyProvider):
    """Has a C for who is named so."""

    def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
        return dependency_type is C and context is not None and context.user_id == "ann"

    def provide(self, dependency_type: Any, context: ExecutionContext | None) -> C:
        return object.__new__(C)


def test_a_provider_may_break_a_cycle_for_those_it_provides_for() -> None:
    container = SmartDependencyContainer()
    container.register_provider(Knows())
    ann, bob = ExecutionContext(user_id="ann"), ExecutionContext(user_id="bob")
    for cls in (C, B, A, Top):
        assert isinstance(container.resolve(cls, ann), cls)
        with pytest.raises(DependencyCycle):
            container.resolve(cls, bob)
