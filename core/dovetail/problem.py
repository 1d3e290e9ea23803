"""One thing that is wrong, of which an error may tell several."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the config, or in values that were checked against a model."""

    message: str
    """What is wrong and what was expected."""
    where: str = ""
    """The place: `dovetail.toml:12 [providers.ollama] base_url`, or in values `items[2].price`."""
    hint: str = ""
    """What to do about it."""

    def __str__(self) -> str:
        """One or two lines for a person: place and message, then the hint."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n    → {self.hint}" if self.hint else text
