"""From a key to the closures that give what stands for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.config.nearest import nearest
from dovetail.container.building import Shared, cycle
from dovetail.container.choosing import captive, provided, without_context
from dovetail.container.lasting import (
    given_context,
    kept_by_context,
    kept_by_kernel,
    unless_no_context,
)
from dovetail.container.markers import shown
from dovetail.container.node import calling, constant, raising
from dovetail.container.opening import opening
from dovetail.container.registry import names_of
from dovetail.container.signatures import signature_of, why_not_made
from dovetail.context import ExecutionContext
from dovetail.errors import (
    DependencyCycle,
    DependencyNotFound,
    DependencyResolutionError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dovetail.container.node import Node
    from dovetail.container.registry import Entry, Registry
    from dovetail.container.scopes import Scopes
    from dovetail.container.signatures import Parameter

MOST_PLANS = 4096
"""How many keys' lookups are kept compiled."""


class Compiler:
    """Compiles one lookup and everything it leads to.

    Errors tell the way they were found on as it is left, the same as they do later in calls.
    """

    def __init__(self, registry: Registry, scopes: Scopes, itself: object) -> None:
        self._registry = registry
        self._scopes = scopes
        self._itself = itself
        """The container."""
        self._path: list[Any] = []
        self._known: dict[Any, Node] = {}
        self._cuts = 0
        """How often a cycle was found that a provider may break when it is asked."""

    def node(self, key: Any) -> Node:
        """What gives the dependency of this key.

        Raises:
            DependencyNotFound: nothing does, for it or for something it needs.
            DependencyCycle: it needs itself.
            CaptiveDependency: it outlives what it needs.
        """
        if key in self._path:
            start = self._path.index(key)
            raise cycle([shown(each) for each in [*self._path[start:], key]])
        if key in self._known:
            return self._known[key]
        cuts = self._cuts
        self._path.append(key)
        try:
            node = self._find(key)
        finally:
            self._path.pop()
        if cuts == self._cuts:  # else it is so only on this way
            self._known[key] = node
        return node

    def argument(self, parameter: Parameter) -> Node | None:
        """What fills a parameter; None if it is left out.

        A default, or a `None` that is allowed, gives way to what somebody provides, and not to
        what could merely be constructed.
        """
        if not parameter.optional and not parameter.has_default:
            if parameter.why:
                raise DependencyNotFound(
                    f"parameter `{parameter.name}` {parameter.why}; give it a default, or register "
                    "a factory that fills it"
                )
            return self.node(parameter.key)
        if parameter.why:
            return None if parameter.has_default else constant(None)
        return self._provided_or_spare(parameter)

    def _provided_or_spare(self, parameter: Parameter) -> Node | None:
        key, spare = parameter.key, parameter.spare
        if self._is_registered(key):
            node = self.node(key)
            return unless_no_context(node, spare) if node.bound else node
        if key is ExecutionContext:
            return given_context(optional=True, spare=spare)
        if self._registry.providers:
            return provided(key, self._registry.providers, constant(spare), optional=True)
        return None if parameter.has_default else constant(None)

    def _is_registered(self, key: Any) -> bool:
        registry = self._registry
        return registry.find(key) is not None or registry.mapped(key) is not None

    def _find(self, key: Any) -> Node:
        entry = self._registry.find(key)
        if entry is not None:
            return self._registered(entry)
        mapped = self._registry.mapped(key)
        if mapped is not None:
            return self.node(mapped)
        if key is ExecutionContext:
            return given_context(optional=False)
        if key is type(self._itself):
            return constant(self._itself)
        if not self._registry.providers or isinstance(key, str):
            return self._constructed(key)
        return provided(key, self._registry.providers, self._constructed_later(key))

    def _registered(self, entry: Entry) -> Node:
        mark = frozenset({entry} if entry in self._registry.overrides.values() else ())
        if entry.factory is None:
            return constant(entry.instance, mark)
        node = self._called(entry.name, entry.factory, entry.parameters, may_wait=entry.opens)
        if entry.opens:
            node = opening(entry, node, self._scopes)
        node.touched |= mark
        if entry.scope == "transient":
            return node
        key = (entry, node.touched) if node.touched else entry
        if entry.scope == "context":
            shared = Shared(self._scopes, key, entry.name, node)
            return kept_by_context(shared, node.touched, alone=entry.alone)
        if node.bound:
            raise captive(entry.name, node.bound)
        alone = without_context(node, entry.name)
        return kept_by_kernel(Shared(self._scopes, key, entry.name, alone), node.touched)

    def _constructed(self, key: Any) -> Node:
        why = why_not_made(key)
        if why:
            raise self._not_found(key, why)
        return self._called(shown(key), key, signature_of(key).parameters, may_wait=False)

    def _constructed_later(self, key: Any) -> Node:
        """As above, where a provider is asked first: what is wrong matters only if none has it."""
        try:
            return self._constructed(key)
        except DependencyResolutionError as error:
            if isinstance(error, DependencyCycle):
                self._cuts += 1
            return raising(error)

    def _called(
        self,
        name: str,
        call: Callable[..., Any],
        parameters: Sequence[Parameter],
        *,
        may_wait: bool,
    ) -> Node:
        positional: list[Node] = []
        named: dict[str, Node] = {}
        gap = False
        for parameter in parameters:
            try:
                node = self.argument(parameter)
            except DependencyResolutionError as error:
                error.asked_by(name)
                raise
            if node is None:
                gap = True
            elif parameter.index is None or gap:
                named[parameter.name] = node
            else:
                positional.append(node)
        return calling(name, call, positional, named, may_wait=may_wait)

    def _not_found(self, key: Any, why: str) -> DependencyNotFound:
        if isinstance(key, str):
            near = nearest(key, names_of(self._registry.entries))
            hint = f'; did you mean "{near}"?' if near else ""
            message = f"no dependency is registered as {shown(key)}{hint}"
        else:
            message = (
                f"nothing provides `{shown(key)}`, and {why}: register an instance, a factory, a "
                "type mapping or a provider for it"
            )
        return DependencyNotFound(message, chain=(shown(key),))


class Plans(dict[Any, "Node"]):
    """Compiled lookups by key; one that is not there is compiled when it is asked for."""

    __slots__ = ("_compile",)

    def __init__(self, compile_: Callable[[Any], Node]) -> None:
        self._compile = compile_

    def __missing__(self, key: Any) -> Node:
        return self._compile(key)

    def keep(self, key: Any, node: Node) -> Node:
        """Remember a lookup."""
        if len(self) >= MOST_PLANS:
            self.clear()
        self[key] = node
        return node
