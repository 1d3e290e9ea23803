"""What a call costs, by the table of prices."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from dovetail_metrics.settings import Price

REMEMBERED = 1000
"""Models whose price, or that they have none, is remembered."""
LONGEST_NAME = 200
"""Characters of a name that are looked at."""
MILLION = 1_000_000


class Prices:
    """Prices of tokens by model."""

    def __init__(self, table: Mapping[str, Price]) -> None:
        self._table = table
        self._found: dict[tuple[str, ...], Price | None] = {}

    def find(self, provider: str, *models: str) -> Price | None:
        """The price of the first of these names of a model that has one; None if none has.

        `instance/model` is tried before `model`, and names as they are before patterns; of
        patterns the first in the table wins.
        """
        if not self._table:
            return None
        key = tuple(name[:LONGEST_NAME] for name in (provider, *models))
        if key not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[key] = self._look_up(*key)
        return self._found[key]

    def _look_up(self, provider: str, *models: str) -> Price | None:
        names = [name for model in models for name in (f"{provider}/{model}", model)]
        exact = (self._table[name] for name in names if name in self._table)
        matching = (
            price
            for pattern, price in self._table.items()
            if any(fnmatchcase(name, pattern) for name in names)
        )
        return next(exact, None) or next(matching, None)


def cost(price: Price, prompt: int, completion: int, cached: int) -> float:
    """What so many tokens cost; the `cached` ones are among those of the prompt."""
    cached = min(cached, prompt)
    again = price.input if price.cached_input is None else price.cached_input
    whole = (prompt - cached) * price.input + cached * again + completion * price.output
    return whole / MILLION
