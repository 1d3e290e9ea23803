"""Series by the values of their labels, of which there is a bound."""

from math import inf
from typing import Any

from dovetail_metrics.client import MetricsClient, Record
from dovetail_metrics.families import Family

OTHER = "other"
"""What stands for values that came when a label had as many as it may have."""
LONGEST_VALUE = 128
"""Characters of a value that are kept."""
COMBINATIONS = 10
"""How many series a family may have, as a multiple of the values that a label may have."""
RECENT = 1000
"""How many of the latest numbers of a kind are remembered."""
SPARE = 100
"""How many are forgotten at once when there are more."""


class Labels:
    """The values that each label has had, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._known: dict[str, set[str]] = {}

    def admit(self, label: str, value: object) -> str:
        """The value as it may stand on the page: itself, its beginning, or `other`.

        None is an empty text, which stands for a value that is not known.

        Raises:
            TypeError: it is no text.
        """
        if value is None:
            return ""
        if not isinstance(value, str):
            message = f"`{label}` is {type(value).__name__}, not a text"
            raise TypeError(message)
        # Half a surrogate pair cannot be written, and would cost the whole page.
        value = value[:LONGEST_VALUE].encode("utf-8", "replace").decode()
        known = self._known.setdefault(label, set())
        if not value or value in known:
            return value
        if len(known) >= self.limit:
            return OTHER
        known.add(value)
        return value


class Series:
    """The series of one family."""

    def __init__(
        self, family: Family, client: MetricsClient, labels: Labels, recent: list[float]
    ) -> None:
        self._family = family
        self._client = client
        self._labels = labels
        self._recent = recent
        self._made: dict[tuple[str, ...], Record] = {}

    @property
    def most(self) -> int:
        """How many there may be."""
        return COMBINATIONS * self._labels.limit

    def find(self, given: tuple[object, ...]) -> Record:
        """What records a number in the series with these values of the family's labels.

        It raises `TypeError` or `ValueError`, and records nothing, if it is given no number.

        Raises:
            TypeError: a label is no text.
        """
        pairs = zip(self._family.labels, given, strict=True)
        labels = tuple(self._labels.admit(label, value) for label, value in pairs)
        if labels not in self._made and len(self._made) >= self.most:
            labels = (OTHER,) * len(labels)
        if labels not in self._made:
            self._made[labels] = self._make(labels)
        return self._made[labels]

    def _make(self, labels: tuple[str, ...]) -> Record:
        recent, record = self._recent, self._client.recorder(self._family, labels)

        def note(number: float) -> None:
            if not 0 <= number < inf:
                raise ValueError(f"{number} cannot be measured")
            recent.append(number)
            if len(recent) > RECENT:
                del recent[:SPARE]
            record(number)

        return note


class Known(dict[tuple[Any, ...], Record]):
    """What records in a family's series, by labels as they came; as many as the family may have."""

    def __init__(self, series: Series) -> None:
        super().__init__()
        self._series = series

    def __missing__(self, given: tuple[Any, ...]) -> Record:
        """Find it the long way, and remember it unless its key is long itself.

        Raises:
            TypeError: a label is no text.
        """
        record = self._series.find(given)
        if any(value is not None and len(value) > LONGEST_VALUE for value in given):
            return record
        if len(self) >= self._series.most:
            self.clear()  # most of these are values beyond the bound, and seldom come again
        self[given] = record
        return record
