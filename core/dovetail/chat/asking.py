"""From what a host gives to the request, the context and the session of a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from dovetail.chat.messages import ChatMessage
from dovetail.chat.requests import ChatRequest, EmbeddingRequest
from dovetail.context import ExecutionContext, current_context
from dovetail.errors import InvalidRequest, SessionBusy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.chat.runs import Run

    Prompt: TypeAlias = str | ChatMessage | Sequence[ChatMessage] | ChatRequest

LONGEST_ID = 512
"""Characters that the name of a session or a user may have."""

RESERVED = "~"
"""What the names of sessions begin with that plugins keep things in: nobody talks in them."""


def as_request(prompt: Prompt, model: str, persona: str = "") -> ChatRequest:
    """The request that a prompt stands for; `model` and `persona` win over its own.

    Raises:
        InvalidRequest: it is nothing that can be asked.
    """
    if isinstance(prompt, ChatRequest):
        if persona:
            prompt = prompt.changed(persona_id=persona)
        return prompt.changed(model=model) if model else prompt
    if isinstance(prompt, str):
        messages: tuple[ChatMessage, ...] = (ChatMessage.user(prompt),)
    elif isinstance(prompt, ChatMessage):
        messages = (prompt,)
    else:
        messages = _several(prompt)
    return ChatRequest(messages=messages, model=model, persona_id=persona)


def _several(prompt: object) -> tuple[ChatMessage, ...]:
    if isinstance(prompt, (list, tuple)) and all(isinstance(m, ChatMessage) for m in prompt):
        return tuple(prompt)
    message = (
        "a prompt is a text, a ChatMessage, a list of them, or a ChatRequest, not "
        f"{type(prompt).__name__}"
    )
    raise InvalidRequest(message)


def as_embedding_request(texts: str | Sequence[str] | EmbeddingRequest) -> EmbeddingRequest:
    """The request that texts stand for.

    Raises:
        InvalidRequest: there is none.
    """
    if isinstance(texts, EmbeddingRequest):
        return texts
    listed = (texts,) if isinstance(texts, str) else tuple(texts)
    if not listed:
        message = "there is nothing to embed: give one text or more"
        raise InvalidRequest(message)
    return EmbeddingRequest(input=listed)


def as_context(
    context: ExecutionContext | None, session: str | None, user: str | None
) -> ExecutionContext:
    """The turn's own context: the host's, or a child of the one this is called in."""
    outer = current_context() if context is None else None
    if context is None and outer is None:
        return ExecutionContext(session_id=session, user_id=user)
    given = {"session_id": session} | ({"user_id": user} if user is not None else {})
    if outer is not None:
        return outer.create_child_context(**given)
    assert context is not None  # noqa: S101 - for the type checker
    # The host's own is not changed: it may serve other turns at the same time.
    if session in (None, context.session_id) and user in (None, context.user_id):
        return context
    return context.create_child_context(**given)


def check_ids(session: object, user: object) -> None:
    """Refuse names that are none.

    Raises:
        InvalidRequest: saying which.
    """
    for what, value in (("session", session), ("user", user)):
        if value is None or (isinstance(value, str) and 0 < len(value) <= LONGEST_ID):
            continue
        message = (
            f"a {what} is named by a text of 1 to {LONGEST_ID} characters, not by {value!r:.80}"
        )
        raise InvalidRequest(message)


def free_session(
    session: str | None, context: ExecutionContext | None, outer: Run | None
) -> str | None:
    """The session a new turn uses.

    A turn holds its session: one that is begun inside it would wait for it for ever.

    Raises:
        InvalidRequest: it is one that a plugin keeps something in.
        SessionBusy: `session` is held by the turn this is called in, or by one further out.
    """
    wanted = session if session is not None or context is None else context.session_id
    run = outer
    while run is not None and not (run.active and run.session_id == wanted):
        run = run.parent
    if isinstance(wanted, str) and wanted.startswith(RESERVED):
        message = (
            f"a conversation's name cannot begin with `{RESERVED}`, as {wanted!r:.80} does: such "
            "sessions are those in which plugins keep things"
        )
        raise InvalidRequest(message)
    if wanted is None or run is None:
        return wanted
    if session is None:
        return None
    message = f"session `{session}` is held by the turn this is called in; leave `session` out"
    raise SessionBusy(message)
