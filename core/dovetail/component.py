"""What every part that a plugin brings has in common."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

from dovetail.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class Settings(BaseModel):
    """The base of a component's settings: what an operator may write in its table.

    Unknown keys are refused, values do not change. Describe every field with `Field(description=)`
    and make keys and passwords `SecretStr`. `use` and `optional` are the host's own words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What `dovetail init` writes for a component that can work without being told anything."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """Keys and values of its table."""
    model: str = ""
    """For a provider: the model to talk to first."""
    rank: int = 50
    """The lowest provider's model becomes the default; middleware is written lowest first."""
    comment: str = ""
    """A line for the operator."""


class Component:
    """The base of providers, middleware and stores.

    A component is constructed without arguments. The host sets `settings`, if the class annotates
    it with a `Settings` subclass, and `instance`; then it calls `start()`. `start()` and `stop()`
    run in one task of the component's own; `stop()` is owed once `start()` was entered.

    Components of a plugin that share something, such as a pool of connections, annotate `shared`
    with the class of that component. The host makes one of it with the settings in `[plugins.ID]`,
    starts it before them and stops it after them.
    """

    # `settings` and `shared` are not declared here: a subclass's narrower annotation would be a
    # type error.

    name: ClassVar[str] = ""
    """How config names it after `plugin:`; the class's name in lower case unless it says so."""
    exclusive: ClassVar[bool] = False
    """Whether two of it cannot run at once, so that a reload does not replace it."""
    instance: str = ""
    """The name of its table in the config."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()

    async def start(self) -> None:
        """Open what it needs. Raise `NotReady` if that may succeed later."""

    async def stop(self) -> None:
        """Close what `start()` opened, also if `start()` failed half way."""

    @classmethod
    def suggestion(cls) -> Suggestion | None:
        """What `dovetail init` should write for it; None to be left out."""
        return None


def settings_type(component: type[Component]) -> type[Settings] | None:
    """The settings model that `component` annotates, or None if it takes none.

    Only this one annotation is evaluated: others may name what exists for type checkers only.

    Raises:
        PluginError: it is annotated with something else.
    """
    return _annotated(component, "settings", Settings)


def shared_type(component: type[Component]) -> type[Component] | None:
    """The component class that `component` annotates as `shared`, or None if it shares none.

    Raises:
        PluginError: it is annotated with something else.
    """
    return _annotated(component, "shared", Component)


def _annotated(component: type[Component], name: str, base: type[T]) -> type[T] | None:
    for cls in component.__mro__:
        annotation = inspect.get_annotations(cls).get(name)
        if annotation is None:
            continue
        for _ in range(2):  # a quoted one where all annotations are text is text in text
            if isinstance(annotation, str):
                annotation = _evaluate(annotation, cls, name)
        if not (isinstance(annotation, type) and issubclass(annotation, base)):
            message = (
                f"`{component.__name__}.{name}` is annotated with {annotation!r}; "
                f"annotate it with a subclass of `dovetail.{base.__name__}`"
            )
            raise PluginError(message)
        return annotation
    return None


def _evaluate(annotation: str, cls: type, name: str) -> object:
    namespace = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    try:
        return eval(annotation, dict(namespace), dict(vars(cls)))  # noqa: S307 - the plugin's own code
    except (AttributeError, NameError) as error:
        message = (
            f"`{cls.__name__}.{name}` is annotated with `{annotation}`, which does not exist at "
            "run time; import it outside `if TYPE_CHECKING:`"
        )
        raise PluginError(message) from error
