"""What an operator may write in `[plugins.vectorstore.ingestion]`."""

import codecs
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from dovetail import Settings


def _known(encoding: str) -> str:
    try:
        "".encode(encoding)
        codecs.lookup(encoding)
    except LookupError as error:
        message = 'should be the name of a text encoding, such as "cp1252"'
        raise ValueError(message) from error
    return encoding


class IngestionSettings(Settings):
    """How files become chunks."""

    chunk_tokens: int = Field(
        default=256, ge=16, le=8192, description="How many tokens a chunk may have."
    )
    overlap_tokens: int = Field(
        default=32, ge=0, description="How many of them may repeat the end of the chunk before."
    )
    max_file_mb: float = Field(
        default=20.0, gt=0, le=1024, description="Larger files are refused; in megabytes."
    )
    encoding: Annotated[str, AfterValidator(_known)] = Field(
        default="utf-8",
        description='How texts are encoded that are not UTF-8, such as "cp1252"; unless it is '
        "set, they are refused.",
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        description='Files and folders that are left out, by name or path: "drafts", "*.min.js".',
    )

    @model_validator(mode="after")
    def _half(self) -> "IngestionSettings":
        if self.overlap_tokens > self.chunk_tokens // 2:
            message = "`overlap_tokens` should be at most half of `chunk_tokens`"
            raise ValueError(message)
        return self
