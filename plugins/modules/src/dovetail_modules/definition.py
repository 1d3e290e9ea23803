"""What a module is."""

from __future__ import annotations

import ast
import hashlib
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dovetail import Duration
from dovetail_modules.names import checked_name

ASKING = frozenset({"generate", "reflect"})
"""The functions by which a script asks a model."""


class ModuleKind(StrEnum):
    """What makes a module's text."""

    SIMPLE = "simple"
    """It stands there."""
    SCRIPT = "script"
    """A script's values are put into it."""
    AI = "ai"
    """A model answers it."""


class Timing(StrEnum):
    """When a module works."""

    IMMEDIATE = "immediate"
    """Before the answer; its text is for this turn's prompt."""
    POST_RESPONSE = "post_response"
    """After the answer; its text is for the next turn's prompt."""


class CachePolicy(StrEnum):
    """How long what a module came to is good."""

    NONE = "none"
    """It works again where the stages after the answer need it too."""
    TURN = "turn"
    """For this turn."""
    SESSION = "session"
    """For the conversation, or all of the user's, until the module is changed."""
    TTL = "ttl"
    """For `ttl`, as long as the process lasts."""


class StateScope(StrEnum):
    """Whom a module remembers things of."""

    CONVERSATION = "conversation"
    USER = "user"


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_max_length=1_000_000
    )


class Conditions(_Frozen):
    """What must hold for a module to act; each that is set."""

    tags: tuple[str, ...] = Field(default=(), description="Tags the context must have, all.")
    users: tuple[str, ...] = Field(default=(), description="Users it is for.")
    session: bool | None = Field(
        default=None, description="Whether there must be a session, or must be none."
    )
    trigger: tuple[str, ...] = Field(
        default=(), description="Keys that `trigger_context` must have, all."
    )
    first_turn: bool | None = Field(
        default=None, description="Whether only in a conversation's first turn, or only later."
    )
    every: int | None = Field(
        default=None, ge=1, description="Only in every so many-th turn of a conversation."
    )


class ModuleLimits(_Frozen):
    """What a module may take; None leaves it to `[plugins.modules]`, which nothing here raises."""

    time: Duration | None = Field(default=None, gt=0, description="Seconds.")
    length: int | None = Field(default=None, ge=0, description="Characters of its text.")


class ModuleDefinition(_Frozen):
    """A named piece of a prompt, and how it comes to its text.

    A template names it as `@name`; its content may name others.
    """

    name: Annotated[str, AfterValidator(checked_name)]
    description: str = Field(default="", description="What it is for, in a sentence.")
    kind: Annotated[ModuleKind, BeforeValidator(_lower)] = ModuleKind.SIMPLE
    timing: Annotated[Timing, BeforeValidator(_lower)] = Timing.IMMEDIATE
    content: str = Field(
        default="",
        description="Its text; of a script the text its values are put into, of an AI module what "
        "the model is asked.",
    )
    script: str = Field(default="", description="Python, for `kind = script`.")
    initial: str = Field(
        default="", description="Of a POST_RESPONSE module: its text before it first worked."
    )
    personas: tuple[str, ...] = Field(
        default=(), description="The personas it acts for; without any, all."
    )
    always: bool = Field(
        default=False, description="Whether it works for them though no template names it."
    )
    when: Conditions = Conditions()
    priority: int = Field(default=0, description="Who has the lowest works first.")
    cache: Annotated[CachePolicy, BeforeValidator(_lower)] = CachePolicy.TURN
    ttl: Duration | None = Field(default=None, gt=0, description='How long, for `cache = "ttl"`.')
    required: bool = Field(default=False, description="Whether the turn fails if it does.")
    requires_ai: bool | None = Field(
        default=None,
        description="Of a script: whether it asks models; else that is seen from its calls of "
        "`generate` and `reflect`.",
    )
    model: str = Field(
        default="", description='The model it asks, as "instance/model"; else the turn\'s.'
    )
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    limits: ModuleLimits = ModuleLimits()
    scope: Annotated[StateScope, BeforeValidator(_lower)] = StateScope.CONVERSATION

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind is ModuleKind.SCRIPT and not self.script.strip():
            raise ValueError("a script module needs a `script`")
        if self.kind is not ModuleKind.SCRIPT and self.script:
            raise ValueError('it has a `script`: write `kind = "script"`')
        if self.kind is ModuleKind.AI and not self.content.strip():
            raise ValueError("an AI module needs a `content`: what the model is asked")
        if (self.cache is CachePolicy.TTL) != (self.ttl is not None):
            raise ValueError('`cache = "ttl"` and `ttl` go together')
        if self.initial and self.timing is Timing.IMMEDIATE:
            raise ValueError('`initial` is for `timing = "post_response"`')
        return self

    @cached_property
    def asks(self) -> bool:
        """Whether it asks models."""
        if self.kind is ModuleKind.SCRIPT and self.requires_ai is None:
            return calls_a_model(self.script)
        return self.kind is ModuleKind.AI or bool(self.requires_ai)

    @cached_property
    def digest(self) -> str:
        """A mark that changes with anything in it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


@lru_cache(maxsize=1024)
def calls_a_model(script: str) -> bool:
    """Whether `generate` or `reflect` stands in it; False where it is no Python."""
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.Name) and node.id in ASKING for node in ast.walk(tree))
