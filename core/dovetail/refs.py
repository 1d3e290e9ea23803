"""How one component names another in its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, get_args

from pydantic import BaseModel
from pydantic_core import core_schema

from dovetail.errors import DovetailError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import GetCoreSchemaHandler

    from dovetail.component import Component

T = TypeVar("T", bound="Component")


class Ref(Generic[T]):
    """A provider instance by its name in the config: `"ollama"`, or `"ollama/model"`.

    `Ref[EmbeddingProvider]` in a `Settings` is checked when the config is: there must be such an
    instance, and of that type. The host starts it first; `target` gives it from `start()` on.
    """

    __slots__ = ("_target", "expected", "instance", "model")
    soft: ClassVar[bool] = False
    """Whether its holder can do without; see `SoftRef`."""

    def __init__(self, text: str, expected: type[T] | None = None) -> None:
        self.instance, _, self.model = text.partition("/")
        self.expected = expected
        self._target: T | None = None

    @property
    def target(self) -> T:
        """The component itself."""
        if self._target is None:
            message = f"`{self}` is not bound yet: use it in `start()` or later"
            raise DovetailError(message)
        return self._target

    def bind(self, target: Component) -> None:
        """Called by the host before `start()`."""
        self._target = cast("T", target)

    def __str__(self) -> str:
        """As the config has it."""
        return f"{self.instance}/{self.model}" if self.model else self.instance

    def __repr__(self) -> str:
        """For debugging."""
        return f"Ref({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Two that name the same are equal."""
        return isinstance(other, Ref) and str(self) == str(other)

    def __hash__(self) -> int:
        """By what it names."""
        return hash(str(self))

    @classmethod
    def __get_pydantic_core_schema__(
        cls,
        source: Any,
        handler: GetCoreSchemaHandler,
    ) -> core_schema.CoreSchema:
        """Text in the config."""
        del handler
        expected = next((a for a in get_args(source) if isinstance(a, type)), None)
        return core_schema.no_info_after_validator_function(
            lambda text: cls(text, expected),
            core_schema.str_schema(min_length=1),
            serialization=core_schema.to_string_ser_schema(),
        )


class SoftRef(Ref[T]):
    """A `Ref` whose holder can do without: the instance may be optional and out of order.

    `available` says whether it is there now. It may come and go, and need not be there at
    `start()`.
    """

    __slots__ = ()
    soft = True

    @property
    def available(self) -> bool:
        """Whether the instance runs."""
        return self._target is not None

    def rebind(self, target: Component | None) -> None:
        """Called by the host whenever the instance may have come or gone."""
        self._target = cast("T | None", target)


def refs_in(value: object) -> Iterator[Ref[Any]]:
    """Every `Ref` in a settings model, also in models, lists and tables inside it."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, BaseModel):
        for _name, item in value:
            yield from refs_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from refs_in(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from refs_in(item)
