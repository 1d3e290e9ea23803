"""What an operator may write about models inside the process."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from dovetail import Settings


class LlamaCppSettings(Settings):
    """Which GGUF models to run, and with how much of the machine."""

    model: str = Field(
        default="",
        description="The model to use when a request names none: a path to a GGUF file, a key of "
        "`models`, or a bundled name such as `smollm2`. Default: the bundled model, if installed.",
    )
    models: dict[str, Path] = Field(
        default={}, description="More models: the name a request may use, and the GGUF file."
    )
    embedding_model: str = Field(
        default="",
        description="The model for embeddings when a request names none; said like `model`, which "
        "is also its default.",
    )
    paths: bool = Field(
        default=False,
        description="Whether a request may name any GGUF file of this machine by its path, and not "
        "only the models named here. Leave it off where strangers may ask.",
    )
    context: int | None = Field(
        default=None,
        ge=1,
        description="Tokens of prompt and answer together, for each slot; llama.cpp rounds it up "
        "to a multiple of 256. Default: what the model was trained on, at most 4096.",
    )
    slots: int = Field(
        default=2,
        ge=1,
        le=256,
        description="Answers made at the same time by each model; embeddings are made one by one.",
    )
    waiting: int = Field(
        default=10_000, ge=1, description="Requests that may wait for a slot; more are refused."
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="Threads that compute. Default: one less than the real cores, since they wait "
        "for each other at every step and one that shares its core slows all of them.",
    )
    batch: int = Field(
        default=256,
        ge=32,
        description="Tokens of a prompt read at a time. A cancelled request stops at the end of "
        "one; larger is a little faster on a CPU and much faster on a GPU.",
    )
    gpu_layers: int = Field(
        default=-1,
        ge=-1,
        description="Layers to put on a GPU, where xllamacpp was built for one; -1 is as many as "
        "fit, 0 none.",
    )
    pooling: Literal["mean", "cls", "last"] | None = Field(
        default=None,
        description="How one vector is made of many for embeddings. Default: the model's own way, "
        "`mean` if it has none.",
    )
    keep: int = Field(
        default=2,
        ge=1,
        description="Models kept in memory; beyond it the one unused for longest is freed. A model "
        "that also embeds counts twice.",
    )
    verbosity: int = Field(
        default=0, ge=0, le=10, description="How much llama.cpp logs to stderr; 0 and 1 are silent."
    )
