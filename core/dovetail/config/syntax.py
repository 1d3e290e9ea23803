"""What is wrong with text that is no TOML, in an operator's words where the mistake is a usual one.

tomllib's own words are the parser's: "Cannot declare ('chat',) twice", "Invalid value".
"""

from __future__ import annotations

import re

_KEY = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_ASSIGNMENT = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_BARE_VALUE = re.compile(
    rf"""{_ASSIGNMENT.pattern}\s*([^\s"'\[{{#=][^"'\[\]{{}}#=]*?)\s*(?:#.*)?$"""
)
_HEADER = re.compile(r"\s*(\[\[?)([^\[\]\n]+?)\s*\]{0,2}\s*(?:#.*)?$")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_LONGEST_LINE = 200
_CURLY = "\u201c\u201d\u2018\u2019"
"""The quotes of word processors."""


def describe_syntax(text: str, error: Exception) -> tuple[str, str, str]:
    """Place (such as `:3:10`, or empty), message and hint for what tomllib raised on `text`."""
    lines = text.replace("\r\n", "\n").split("\n")
    said = str(error) if isinstance(error, ValueError) else "nested too deeply"
    place = _PLACE.search(said)
    if not place:
        return "", f"is not valid TOML: {said}", ""
    reason = said[: place.start()]
    number = int(place[1]) if place[1] else _last_line(lines, reason)
    found = _in_our_words(reason, lines, number)
    if found is not None:
        column = f":{place[2]}" if place[2] else ""
        return f":{number}{column}", *found
    if not place[1]:
        message = f"is not valid TOML: {reason} at the end of the file"
        return f":{len(lines)}", message, "a quote or bracket is not closed"
    hint = f"the line is: {lines[number - 1].strip()}" if _showable(lines, number) else ""
    return f":{number}:{place[2]}", f"is not valid TOML: {reason}", hint


def _last_line(lines: list[str], reason: str) -> int:
    """Where what is not closed at the end of the file was most likely begun."""
    for number in range(len(lines), 0, -1):
        line = lines[number - 1]
        if re.search(r"=\s*'[^']*$", line) if reason == 'Expected "\'"' else line.strip():
            return number
    return len(lines)


def _in_our_words(reason: str, lines: list[str], number: int) -> tuple[str, str] | None:
    """Message and hint, if the mistake is one of the usual ones."""
    if "twice" in reason or reason == "Cannot overwrite a value":
        return _repeated(lines, number)
    if reason == "Invalid value" or reason.startswith("Expected newline"):
        return _unquoted(lines, number)
    shown = _showable(lines, number)
    line = lines[number - 1].strip()
    header = _HEADER.match(line)
    if reason.startswith("Expected ']") and header:
        brackets = header[1]
        closing = "]" * len(brackets)
        return f"the closing {closing} is missing", f"write {brackets}{header[2].strip()}{closing}"
    if reason.startswith("Illegal character '\\n'") or (
        reason in {"Unterminated string", 'Expected "\'"'} and _ASSIGNMENT.match(line)
    ):
        return "the closing quote is missing", f"the line is: {line}" if shown else ""
    if reason in {"Unclosed array", "Unclosed inline table"}:
        bracket, what = ("]", "list") if "array" in reason else ("}", "table in braces")
        return f"the {what} is not closed: a comma or a {bracket} is missing", ""
    return None


def _repeated(lines: list[str], number: int) -> tuple[str, str] | None:
    """A table or a key that stands in the file a second time."""
    line = lines[number - 1]
    if header := _HEADER.match(line):
        name = f"{header[1]}{header[2].strip()}{']' * len(header[1])}"
        first = _first(lines[: number - 1], f"[{header[2].strip()}]")
        hint = "put the keys of both under one of them" if header[1] == "[" else ""
    elif assignment := _ASSIGNMENT.match(line):
        start = next((i for i in range(number - 1, -1, -1) if _HEADER.match(lines[i])), 0)
        same = (
            i + 1
            for i in range(start, number - 1)
            if (found := _ASSIGNMENT.match(lines[i])) and found[1] == assignment[1]
        )
        name, first, hint = f"`{assignment[1]}`", next(same, None), "take one of them out"
    else:
        return None
    return (f"{name} is there already, at line {first}", hint) if first else None


def _first(lines: list[str], header: str) -> int | None:
    """The line of a `[table]` or `[[table]]`."""
    for number, line in enumerate(lines, 1):
        match = _HEADER.match(line)
        if match and f"[{match[2].strip()}]" == header:
            return number
    return None


def _unquoted(lines: list[str], number: int) -> tuple[str, str] | None:
    """A text without quotes, or nothing at all behind the `=`."""
    line = lines[number - 1]
    if match := re.fullmatch(rf"{_ASSIGNMENT.pattern}\s*(?:#.*)?", line):
        return f"`{match[1]}` has no value", "write one, or take the key out"
    match = _BARE_VALUE.match(line)
    if not match or any(mark in match[2] for mark in ",\\"):
        return None
    key, value = match[1], match[2]
    if not _showable(lines, number):
        return "texts need quotes", ""
    if value.lower() in {"true", "false"}:
        return (
            f"`{key}` should be true or false, in small letters",
            f"write {key} = {value.lower()}",
        )
    return "texts need quotes", f'write {key} = "{value.strip(_CURLY)}"'


def _showable(lines: list[str], number: int) -> bool:
    """Whether a line holds nothing secret, and nor does the key or table it belongs to."""
    from dovetail.redaction import looks_secret, redact

    line = lines[number - 1]
    before = "\n".join(lines[:number])
    in_long_string = any(before.count(quotes) % 2 for quotes in ('"""', "'''"))
    if len(line) > _LONGEST_LINE or in_long_string or redact(line) != line:
        return False
    in_statement = True
    for earlier in reversed(lines[:number]):
        is_header = earlier.lstrip().startswith("[")
        key = earlier.partition("=")[0]
        if (in_statement or is_header) and any(map(looks_secret, (key, *key.split()))):
            return False
        if is_header:
            break
        in_statement = in_statement and not _ASSIGNMENT.match(earlier)
    return True
