"""What can be wrong with a server, in words for who can mend it."""

from __future__ import annotations

import re

from redis import exceptions

_ADVICE = {
    "AUTH": (
        "it refuses the user or the password, which are to stand in `url` of [sessions], in front "
        "of an `@` and the host"
    ),
    "BUSY": "another script holds it up: `redis-cli SCRIPT KILL` ends that one",
    "CLUSTERDOWN": "a part of its cluster is missing: see `redis-cli CLUSTER INFO`",
    "CROSSSLOT": "it is a cluster and did not say so: let its user call INFO (ACL `+info`)",
    "LOADING": "it is still reading its data from the disk",
    "MASTERDOWN": "it is a replica and has lost its primary: point `url` at the primary",
    "MISCONF": "it cannot write to its disk: see its log, the disk is probably full",
    "MOVED": "it is a cluster and did not say so: let its user call INFO (ACL `+info`)",
    "NOPERM": (
        "its user may not do that: it needs the keys that begin with `prefix` and the commands of "
        "@read, @write, @scripting and @connection, and INFO (ACL `~dovetail:* +@read …`)"
    ),
    "NOREPLICAS": "it has too few replicas to write (`min-replicas-to-write`)",
    "OOM": (
        "its memory is full: raise its `maxmemory`, or let sessions end sooner (`lifetime` in "
        "[sessions])"
    ),
    "READONLY": "it is a replica, which cannot be written: point `url` at the primary",
    "TRYAGAIN": "its cluster is moving the session elsewhere",
}
_PASSING = frozenset(
    ("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOREPLICAS", "READONLY", "TRYAGAIN")
)
"""What may be over in a moment: a replica becomes the primary, or its name leads to another."""
_MENDED_THERE = _PASSING | {"MISCONF", "OOM"}
"""What an operator mends at the server, with nothing to change in the config."""

_CODES = re.compile(rf"(?:^|[\s:-])({'|'.join(_ADVICE)})\b")
_FORBIDDEN = re.compile("user executing the script|ACL failure in script")
_CLASSES: dict[type[Exception], str] = {
    exceptions.AuthenticationError: "AUTH",
    exceptions.AuthenticationWrongNumberOfArgsError: "AUTH",
    exceptions.AuthorizationError: "AUTH",
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ClusterCrossSlotError: "CROSSSLOT",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.NoPermissionError: "NOPERM",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.TryAgainError: "TRYAGAIN",
    exceptions.AskError: "MOVED",
}
_AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterError,
    exceptions.SlotNotCoveredError,
    OSError,
)
ANY = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""Whatever a command may raise."""


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed if it is made again at once."""
    code = _code(error)
    return code in _PASSING if code else isinstance(error, _AWAY)


def mended_there(error: BaseException) -> bool:
    """Whether it may work later with the same settings."""
    code = _code(error)
    return code in _MENDED_THERE if code else isinstance(error, _AWAY)


def explained(error: BaseException) -> str:
    """What the error says, and what an operator can do about it."""
    if isinstance(error, TimeoutError):
        said = "it did not answer in time"
    else:
        said = str(error).strip().rstrip(".") or type(error).__name__
    code = _code(error)
    if code:
        return f"{said}; {_ADVICE[code]}"
    if isinstance(error, _AWAY):
        return f"{said}; see that it runs, and that `url` of [sessions] is where it listens"
    return f"{said}; see that `url` of [sessions] is a Redis server's, and the server's log"


def _code(error: BaseException) -> str:
    for kind, code in _CLASSES.items():
        if isinstance(error, kind):
            return code
    # What goes wrong within a script is told in words alone, and those changed with 7.0.
    if not isinstance(error, exceptions.ResponseError):
        return ""
    if _FORBIDDEN.search(str(error)):
        return "NOPERM"
    found = _CODES.search(str(error))
    return found[1] if found else ""
