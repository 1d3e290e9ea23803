"""What `Database` raises."""

from dovetail import DovetailError


class DatabaseError(DovetailError):
    """The database cannot do what it was asked; says where, why and what to do."""

    constraint: str = ""
    """The constraint that was violated, if one was."""


class DatabaseAway(DatabaseError):
    """It cannot be reached or used now; the same may succeed later."""
