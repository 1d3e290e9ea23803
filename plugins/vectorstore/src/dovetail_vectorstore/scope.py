"""Whose documents: what every call has to say, and no filter can widen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail_vectorstore.errors import ScopeError

if TYPE_CHECKING:
    from typing import Self

    from dovetail import ExecutionContext

SHARED = '["shared"]'


@dataclass(frozen=True, slots=True)
class Scope:
    """Which owners' items a call sees, and whose it changes. Make one by `Scope.user("ada")`.

    Every item has one owner: all, a user, or one session of a user. What a user of a host without
    users has (`user_id` None) belongs to nobody in particular, as that host's sessions do.
    """

    owner: str | None
    """Whose the items are that it adds and deletes; None: it adds none, and deletes anybody's."""
    sees: frozenset[str] | None
    """The owners whose items it finds; None: everybody's."""

    @classmethod
    def user(cls, user_id: str | None, *, session: str | None = None) -> Self:
        """The items of one user. With `session` those of that session too, where it adds."""
        own = _owner("user", user_id)
        if session is None:
            return cls(own, frozenset((own,)))
        here = _owner("session", user_id, session)
        return cls(here, frozenset((own, here)))

    @classmethod
    def shared(cls) -> Self:
        """The items that everybody may find, and no others."""
        return cls(SHARED, frozenset((SHARED,)))

    @classmethod
    def everyone(cls) -> Self:
        """The items of everybody, for operators: nothing that a user asks for uses it."""
        return cls(None, None)

    @classmethod
    def of(cls, context: ExecutionContext) -> Self:
        """What the turn at work may find: its user's items, its session's, and those of all.

        What it adds is its user's.
        """
        session = context.session_id
        found = cls.user(context.user_id, session=session)
        return cls(cls.user(context.user_id).owner, found.sees).with_shared()

    def with_shared(self) -> Self:
        """The same, which finds what belongs to all as well; it changes nothing of that."""
        sees = None if self.sees is None else self.sees | {SHARED}
        return type(self)(self.owner, sees)

    def may_see(self, owner: str) -> bool:
        """Whether items of `owner` are found in it."""
        return self.sees is None or owner in self.sees

    def may_change(self, owner: str) -> bool:
        """Whether items of `owner` may be deleted in it."""
        return self.owner == owner or (self.owner is None and self.sees is None)


def check_scope(scope: object) -> Scope:
    """`scope`, if it is one.

    Raises:
        ScopeError: it is something else, such as a user's name or None.
    """
    if isinstance(scope, Scope):
        return scope
    raise ScopeError(
        f"a scope is `Scope.user(…)`, `Scope.shared()` or `Scope.everyone()`, not {scope!r:.80}"
    )


def owner_of(scope: Scope) -> str:
    """Whose the items are that are added in `scope`.

    Raises:
        ScopeError: it is everybody's.
    """
    if scope.owner is None:
        raise ScopeError(
            "an item belongs to one owner: add it in `Scope.user(…)` or `Scope.shared()`, "
            "not in `Scope.everyone()`"
        )
    return scope.owner


def _owner(kind: str, *names: str | None) -> str:
    # JSON, so that no name, whatever is in it, can be read as another's.
    for name in names:
        if name is not None and not isinstance(name, str):
            raise ScopeError(f"a {kind} is named by a text, not by {name!r:.80}")
    return json.dumps([kind, *names])
