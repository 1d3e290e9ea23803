"""The hook that plugin `scripts` declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import hookspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@hookspec
def script_functions() -> Sequence[Callable[..., Any]]:  # type: ignore[empty-body]
    """Functions that every script may call: `@script_function`s, or plain functions.

    Called again for each generation of the config that scripts run on. A name that another plugin
    offers already, or that is built in, is an error.
    """
