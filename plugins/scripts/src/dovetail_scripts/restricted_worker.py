"""The program of a process of the engine `restricted`: runs one script, then ends.

It imports nothing of ours and talks in lines of JSON: gets the order, asks for host functions, says
what came of the script.
"""

from __future__ import annotations

import ast
import datetime as dt
import itertools
import json
import math
import os
import random
import re
import resource
import string
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from RestrictedPython.compile import compile_restricted_eval, compile_restricted_exec
from RestrictedPython.Eval import default_guarded_getitem, default_guarded_getiter
from RestrictedPython.Guards import (
    guarded_iter_unpack_sequence,
    guarded_unpack_sequence,
    safe_builtins,
    safer_getattr,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

FILE = "<script>"
DATE = "$datetime"
HEADROOM = 64_000_000
"""Bytes of address space that Python itself needs to go on, beside what the script may use."""
_ERROR = re.compile(r"Line (\d+|None): (.*)", re.DOTALL)

say = sys.stdout.write


def tell(message: dict[str, Any]) -> None:
    """Say something to the host; the caller sees to it that it is JSON."""
    say(json.dumps(message, default=encoded) + "\n")
    sys.stdout.flush()


def leave(message: dict[str, Any]) -> None:
    """Say the last word and end; no script can catch this."""
    tell(message)
    os._exit(0)


def encoded(value: object) -> dict[str, str]:
    """JSON for a datetime."""
    if isinstance(value, dt.datetime):
        return {DATE: value.isoformat()}
    raise TypeError(f"{type(value).__name__} is no JSON data")


def dated(value: dict[str, Any]) -> Any:
    """A datetime again."""
    if value.keys() == {DATE}:
        try:
            return dt.datetime.fromisoformat(value[DATE])
        except (TypeError, ValueError):
            return value
    return value


class Output:
    """What the script prints, counted."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.parts: list[str] = []
        self.length = 0

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.parts)

    def write(self, text: str) -> int:
        """Take some; too much is the end of the script."""
        self.parts.append(text[: self.most - self.length])
        self.length += len(text)
        if self.length > self.most:
            message = f"it printed more than {self.most:,} characters: see `output_limit`"
            leave({"error": "output", "message": message, "line": line(), "output": self.text})
        return len(text)


def line() -> int | None:
    """Where the script is now."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - CPython only, as this engine is
    while frame is not None:
        if frame.f_code.co_filename == FILE:
            return frame.f_lineno
        frame = frame.f_back
    return None


def line_of(error: BaseException) -> int | None:
    """Where the script was when it was raised."""
    if isinstance(error, SyntaxError):
        return error.lineno
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def limited(order: dict[str, Any]) -> None:
    """Let the process have no more than its order says."""
    limits = {
        resource.RLIMIT_CPU: math.ceil(order["seconds"]) + 1,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 3,
        resource.RLIMIT_NPROC: 0,
    }
    if sys.platform == "linux":  # elsewhere it is not known what is used already
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - the last it opens
            used = int(file.read().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = used + HEADROOM + order["memory"] * 1_000_000
    for what, most in limits.items():
        allowed = resource.getrlimit(what)[1]
        least = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(what, (least, least))
    sys.setrecursionlimit(order["recursion"] + 50)


def public(module: Any, names: str = "") -> SimpleNamespace:
    """The public names of a module, and not the modules that it imports itself."""
    wanted = names.split() or module.__all__
    return SimpleNamespace(**{name: getattr(module, name) for name in wanted})


def modules(seed: int | None) -> dict[str, SimpleNamespace]:
    """What a script may import."""
    dice = random.Random(seed)  # noqa: S311 - for moods and greetings, not for keys
    maths = " ".join(name for name in dir(math) if not name.startswith("_"))
    return {
        "datetime": public(dt),
        "itertools": public(itertools, "accumulate chain combinations groupby islice product"),
        "json": public(json, "dumps loads"),
        "math": public(math, maths),
        "random": public(dice, "choice choices gauss randint random sample shuffle uniform"),
        "re": public(re, "compile escape findall fullmatch match search split sub I M S"),
        "string": public(
            string, "ascii_letters ascii_lowercase ascii_uppercase digits punctuation"
        ),
    }


def importer(allowed: dict[str, SimpleNamespace]) -> Callable[..., Any]:
    """The `__import__` of the script."""

    def guarded_import(name: str, *_: object) -> Any:
        if name not in allowed:
            raise ModuleNotFoundError(f"No module named {name!r}; there are: {', '.join(allowed)}")
        return allowed[name]

    return guarded_import


def host_function(name: str) -> Callable[..., Any]:
    """A function that asks the host."""

    def call(*args: Any, **kwargs: Any) -> Any:
        tell({"call": name, "args": args, "kwargs": kwargs, "line": line()})
        answer = json.loads(sys.stdin.readline(), object_hook=dated)
        if "raise" in answer:
            kind, message = answer["raise"]
            raise {"TypeError": TypeError, "ValueError": ValueError, "NameError": NameError}.get(
                kind, RuntimeError
            )(message)
        return answer["value"]

    return call


def in_place(operator: str, left: Any, right: Any) -> Any:
    """`left += right` and its like; RestrictedPython leaves them to whoever uses it."""
    return _IN_PLACE[operator](left, right)


_IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "+=": lambda a, b: a.__iadd__(b) if hasattr(a, "__iadd__") else a + b,
    "-=": lambda a, b: a - b,
    "*=": lambda a, b: a * b,
    "/=": lambda a, b: a / b,
    "//=": lambda a, b: a // b,
    "%=": lambda a, b: a % b,
    "**=": lambda a, b: a**b,
    "<<=": lambda a, b: a << b,
    ">>=": lambda a, b: a >> b,
    "|=": lambda a, b: a | b,
    "^=": lambda a, b: a ^ b,
    "&=": lambda a, b: a & b,
}


def applied(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """`f(*args)` and `f(**kwargs)`: what there is to guard, reading `f` has guarded."""
    return function(*args, **kwargs)


class Guarded(type):
    """The class of a script's classes: it may set attributes of their instances."""

    _guarded_writes = 1


def writable(value: Any) -> Any:
    """What a script may change: lists, dicts, sets, and instances of its own classes."""
    if isinstance(value, list | dict | set) or isinstance(type(value), Guarded):
        return value
    raise TypeError(f"a script cannot change a {type(value).__name__}")


def namespace(order: dict[str, Any], output: Output) -> dict[str, Any]:
    """The global variables that a script begins with."""

    class Printer:
        def __init__(self, _getattr_: object = None) -> None: ...

        def _call_print(self, *values: object, **options: Any) -> None:
            options["file"] = output
            print(*values, **options)  # noqa: T201 - into `output`

    more = (
        "all any bytes dict enumerate filter frozenset iter list map max min next reversed set "
        "sorted sum tuple zip"
    )
    every = vars(sys.modules["builtins"])
    built_in = {
        **safe_builtins,
        **{name: every[name] for name in more.split()},
        "getattr": safer_getattr,
        "__import__": importer(modules(order["seed"])),
    }
    return {
        "__builtins__": built_in,
        "__name__": "__main__",
        "__metaclass__": Guarded,
        "_apply_": applied,
        "_getattr_": safer_getattr,
        "_getitem_": default_guarded_getitem,
        "_getiter_": default_guarded_getiter,
        "_inplacevar_": in_place,
        "_iter_unpack_sequence_": guarded_iter_unpack_sequence,
        "_unpack_sequence_": guarded_unpack_sequence,
        "_print_": Printer,
        "_print": Printer(),  # a last expression that prints makes none for itself
        "_write_": writable,
        **{name: host_function(name) for name in order["functions"]},
        **order["inputs"],
    }


def compiled(source: str) -> tuple[Any, Any]:
    """Code of all but a last expression, and code of that."""
    tree = ast.parse(source, FILE)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]  # just seen
    codes: list[CodeType | None] = []
    for part, compiler in ((tree, compile_restricted_exec), (last, compile_restricted_eval)):
        if part is None:
            codes.append(None)
            continue
        result = compiler(part, FILE)
        if result.code is None:
            found = _ERROR.match(result.errors[0])
            number, message = found.groups() if found else ("None", result.errors[0])
            raise SyntaxError(
                message, (FILE, int(number) if number.isdigit() else None, None, None)
            )
        codes.append(result.code)
    return codes[0], codes[1]


def left(variables: dict[str, Any], before: dict[str, Any]) -> dict[str, str | None]:
    """Variables as JSON, or None where they are none."""
    texts: dict[str, str | None] = {}
    for name, value in variables.items():
        if name.startswith("_") or (name in before and before[name] is value):
            continue
        try:
            texts[name] = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            texts[name] = None
    return texts


def kind_of(error: BaseException) -> str:
    """Which sort of end that is."""
    if isinstance(error, SyntaxError):
        return "syntax"
    if isinstance(error, MemoryError):
        return "memory"
    return "recursion" if isinstance(error, RecursionError) else "failed"


def run(order: dict[str, Any], output: Output) -> dict[str, Any]:
    """Run the script; gives the last word on it."""
    begin, last = compiled(order["source"])
    if order.get("check"):
        return {}
    variables = namespace(order, output)
    before = {name: value for name, value in variables.items() if name not in order["inputs"]}
    if begin is not None:
        exec(begin, variables)  # noqa: S102 - what this program is for
    value = None if last is None else eval(last, variables)  # noqa: S307 - as above
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        value = None
    return {"variables": left(variables, before), "value": value, "output": output.text}


def main() -> None:
    """Run one script."""
    tell({"ready": True})
    order = json.loads(sys.stdin.readline(), object_hook=dated)
    limited(order)
    output = Output(order["output"])
    try:
        done = run(order, output)
    except BaseException as error:  # noqa: BLE001 - SystemExit too is only how a script ended
        text = str(getattr(error, "msg", error))[:1000]
        message = text if isinstance(error, SyntaxError) else f"{type(error).__name__}: {text}"
        done = {"error": kind_of(error), "message": message, "line": line_of(error)}
        done["output"] = output.text
    leave(done)


if __name__ == "__main__":
    main()
