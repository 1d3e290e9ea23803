"""What an operator may write in the table of the event provider."""

from typing import Literal

from pydantic import Field

from dovetail import EventSettings


class VectorStoreProviderSettings(EventSettings):
    """What is kept of what happens."""

    remember: Literal["off", "session", "user"] = Field(
        default="off",
        description='Whether what was asked and answered is kept: "session" (found again in the '
        'same session alone) or "user" (in all sessions of its user).',
    )
    collection: str = Field(
        default="",
        description="The collection for it; that of [plugins.vectorstore] unless it is set.",
    )
    chunk_tokens: int = Field(
        default=256,
        ge=16,
        le=8192,
        description="How many tokens a passage of a document may have; longer ones are cut.",
    )
    max_length: int = Field(
        default=8000,
        ge=100,
        le=1_000_000,
        description="How many characters of a question and its answer are kept at most; of the "
        "question half as many where both are long.",
    )
