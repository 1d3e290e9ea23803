"""What a faulty plugin's class says about itself, written into the report of its run."""

from collections.abc import Callable

import pytest


class Breaks:
    """Mixed into a contract's subclass."""

    breaks: tuple[str, ...] = ()
    """The tests that must notice; no other may fail."""
    refused = False
    """Whether the kernel refuses the plugin too, so that any other test may fail with them."""

    @pytest.fixture(autouse=True)
    def _say(self, record_property: Callable[[str, object], None]) -> None:
        record_property("breaks", " ".join(self.breaks))
        record_property("refused", self.refused)
