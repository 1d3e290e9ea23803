"""What an operator may write in `[plugins.vectorstore]`."""

from typing import Literal

from pydantic import Field

from dovetail import Duration, EmbeddingProvider, Ref, Settings


class VectorStoreSettings(Settings):
    """Where items are kept, and what makes their vectors."""

    backend: str = Field(
        default="embedded",
        min_length=1,
        description='What keeps the items: "embedded" (a folder of this machine, for one process), '
        '"memory" (nothing outlives the process), or a service that another plugin brings, such '
        'as "pgvector".',
    )
    path: str = Field(
        default="dovetail-vectors",
        min_length=1,
        description="The folder of the embedded backend, from the working directory where it is "
        "relative; made if it is not there.",
    )
    synchronous: Literal["full", "normal"] = Field(
        default="full",
        description="Whether what the embedded backend kept outlives a power failure (`full`), or "
        "only the death of the process (`normal`).",
    )
    embedding_model: Ref[EmbeddingProvider] | None = Field(
        default=None,
        description='Which model makes the vectors, as "instance" or "instance/model"; the '
        "`embedding_model` of `[chat]` unless it is set.",
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        description="How many numbers a vector has, for models that can make fewer.",
    )
    collection: str = Field(
        default="documents", min_length=1, description="The collection where nobody names one."
    )
    batch_size: int = Field(
        default=64, ge=1, le=2048, description="How many texts the model is given at once."
    )
    concurrency: int = Field(
        default=4, ge=1, le=64, description="How many such batches are in flight at once."
    )
    embed_timeout: Duration = Field(
        default=300.0, gt=0, description="How long the model may take over a batch."
    )
