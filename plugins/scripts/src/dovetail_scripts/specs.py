"""The hook that plugin `scripts` declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import hookspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dovetail import SmartDependencyContainer


@hookspec
def script_functions(  # type: ignore[empty-body]
    container: SmartDependencyContainer,
) -> Sequence[Callable[..., Any]]:
    """Functions that every script may call: `@script_function`s, or plain functions.

    `container` is the kernel's, for functions that need a service of it; an implementation may
    leave it out. Called again for each generation of the config that scripts run on. A name that
    another plugin offers already, or that is built in, is an error.
    """
