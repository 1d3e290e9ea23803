"""What an operator may write about embeddings from the package's weights."""

from typing import Literal, get_args

from pydantic import Field

from dovetail import Settings

Dimensions = Literal[64, 128, 256]
DIMENSIONS: tuple[int, ...] = get_args(Dimensions)
"""How long a vector may be: the first so many numbers of it, as the weights were trained for."""


class WordLlamaSettings(Settings):
    """How long vectors are, and how many texts are worked on at a time."""

    dimensions: Dimensions = Field(
        default=256,
        description="Numbers in a vector of a request that does not say: 64, 128 or 256. Shorter "
        "ones are the beginning of the longer; they take less room and find a little less.",
    )
    normalize: bool = Field(
        default=True,
        description="Whether vectors are made to have length 1, so that their product is their "
        "cosine. Without it a vector is the plain mean of its text's tokens.",
    )
    batch_size: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="Texts worked on at a time, fewer of long ones; a cancelled request stops "
        "after one batch.",
    )
    threads: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Batches of different requests worked on at the same time. The tokenizer has "
        "threads of its own for the texts of a batch, one for each core.",
    )
