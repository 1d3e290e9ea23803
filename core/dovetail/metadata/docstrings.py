"""What a docstring says: prose, parameters and result, in Google's, NumPy's or Sphinx's style."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from griffe import DocstringSection

_STYLES: tuple[Literal["google", "numpy", "sphinx"], ...] = ("google", "numpy", "sphinx")


@dataclass(frozen=True, slots=True)
class Documented:
    """A docstring taken apart."""

    description: str = ""
    """Its prose, without the sections on parameters, result, exceptions and the like."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What it says of each parameter."""
    returns: str = ""
    """What it says of the result, or of what is yielded."""


def read_docstring(text: str, names: Collection[str]) -> Documented:
    """Take apart a docstring that `inspect.cleandoc` went over.

    `names` are the parameters that there are: the style is the one in which most of them are
    described. What has no sections in any style is prose.
    """
    if "\n" not in text:
        return Documented(text)  # and the parser, slow to import, is not needed
    readings = [_sections(text, style) for style in _STYLES]
    found = [(_documented(sections), _structured(sections)) for sections in readings]
    best, structured = max(
        found, key=lambda each: (sum(name in each[0].parameters for name in names), each[1])
    )
    return best if structured else Documented(text)


def _sections(text: str, style: Literal["google", "numpy", "sphinx"]) -> list[DocstringSection]:
    from griffe import Docstring, GoogleOptions, NumpyOptions, SphinxOptions

    # The line before keeps the parser from taking off indentation a second time.
    docstring = Docstring(f"\n{text}", parser=style)
    if style == "google":
        options = GoogleOptions(returns_multiple_items=False, warnings=False)
        return docstring.parse(parser=style, **options)
    if style == "numpy":
        return docstring.parse(parser=style, **NumpyOptions(warnings=False))
    return docstring.parse(parser=style, **SphinxOptions(warnings=False))


def _structured(sections: list[DocstringSection]) -> int:
    """How many sections it has beside prose and headings that mean nothing in its style."""
    from griffe import DocstringSectionAdmonition, DocstringSectionText

    prose = (DocstringSectionAdmonition, DocstringSectionText)
    return sum(not isinstance(section, prose) for section in sections)


def _documented(sections: list[DocstringSection]) -> Documented:
    from griffe import (
        DocstringSectionAdmonition,
        DocstringSectionParameters,
        DocstringSectionReturns,
        DocstringSectionText,
        DocstringSectionYields,
    )

    prose: list[str] = []
    parameters: dict[str, str] = {}
    returns: list[str] = []
    for section in sections:
        match section:
            case DocstringSectionText():
                prose.append(section.value)
            case DocstringSectionAdmonition():
                title = section.title or str(section.value.kind).capitalize()
                prose.append(f"{title}:\n{section.value.contents}")
            case DocstringSectionParameters():
                for each in section.value:
                    parameters.setdefault(each.name, each.description)
            case DocstringSectionReturns() | DocstringSectionYields():
                returns += [each.description for each in section.value]
    return Documented("\n\n".join(prose), parameters, "\n".join(filter(None, returns)))
