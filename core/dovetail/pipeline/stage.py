"""The stages of a turn."""

from enum import IntEnum


class Stage(IntEnum):
    """The five stages, in their order."""

    TEMPLATE = 1
    """The system prompt is put together, without asking a model."""
    PRE_RESPONSE = 2
    """What models have to say to the prompt before the answer."""
    RESPONSE = 3
    """The answer: the model call itself, around which no executor stands; middleware does."""
    POST_RESPONSE = 4
    """What is to be done with the answer, without asking a model."""
    POST_RESPONSE_AI = 5
    """What models make of the answer."""

    @property
    def label(self) -> str:
        """Its name in events, logs and the status of a run: `pre_response`."""
        return self.name.lower()
