"""Asking models on behalf of modules."""

from __future__ import annotations

from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any

from dovetail import (
    ChatMessage,
    ChatProvider,
    ChatRequest,
    DependencyError,
    ModelNotFound,
    Named,
    validated,
)
from dovetail_modules.errors import ModuleError, ModuleFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from dovetail import ExecutionContext, SmartDependencyContainer

    Heard = Callable[[str], Awaitable[object]]

_depth: ContextVar[int] = ContextVar("dovetail_modules_depth", default=0)


class StreamingHandler:
    """Asks the models of one turn, streaming, so that a cancel ends them at once.

    `model` is used where a module names none: "instance/model", or a provider itself.
    `settings` go to the provider with each request, as its `extras`; `controls` are fields of
    `ChatRequest` such as `temperature`, for modules that say nothing else.
    """

    def __init__(
        self,
        container: SmartDependencyContainer | None = None,
        model: str | ChatProvider = "",
        *,
        settings: Mapping[str, Any] | None = None,
        controls: Mapping[str, Any] | None = None,
        depth: int = 3,
    ) -> None:
        extras = dict(settings or {})
        self._container = container
        self._provider = model if isinstance(model, ChatProvider) else None
        self._model = model if isinstance(model, str) else str(extras.pop("model", ""))
        self._fields = {**({"extras": extras} if extras else {}), **(controls or {})}
        self._deepest = depth

    async def ask(
        self,
        messages: Sequence[ChatMessage],
        *,
        model: str = "",
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: ExecutionContext | None = None,
        longest: int = 100_000,
        heard: Heard | None = None,
    ) -> str:
        """What a model answers; `heard` is told each piece as it comes.

        Raises:
            ModuleFailed: it is longer than `longest` characters, or too many calls lie in others.
            ProviderError: the call failed.
        """
        own = {"model": "", "max_tokens": max_tokens, "temperature": temperature}
        values = {**self._fields, **{k: v for k, v in own.items() if v is not None}}
        request = validated(ChatRequest, {**values, "messages": tuple(messages)})
        provider, request = self._find(model, request)
        texts, room = [], longest
        with self._deeper():
            async with aclosing(_chunks(provider, request, context)) as chunks:
                async for chunk in chunks:
                    if not chunk.text:
                        continue
                    texts.append(chunk.text)
                    room -= len(chunk.text)
                    if room < 0:
                        raise ModuleFailed(f"longer than {longest:,} characters")
                    if heard is not None:
                        await heard(chunk.text)
        return "".join(texts)

    def _find(self, model: str, request: ChatRequest) -> tuple[ChatProvider, ChatRequest]:
        if self._provider is not None and (not model or self._container is None):
            return self._provider, request.changed(model=model or self._model)
        if self._container is None:
            raise ModuleError("there is no model to ask: give the resolver one, or a kernel")
        name = model or self._model
        wanted = Annotated[ChatProvider, Named(name)] if name else ChatProvider
        try:
            provider: ChatProvider = self._container.resolve(wanted)
        except DependencyError as error:
            if isinstance(error.__cause__, ModelNotFound):
                raise error.__cause__ from None
            raise
        return provider, request

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        depth = _depth.get()
        if depth >= self._deepest:
            raise ModuleFailed(f"would lie more than {self._deepest} calls of models deep")
        token = _depth.set(depth + 1)
        try:
            yield
        finally:
            _depth.reset(token)


def _chunks(provider: ChatProvider, request: ChatRequest, context: ExecutionContext | None) -> Any:
    return provider.send_message_stream(request, context)  # type: ignore[arg-type]  # providers of the container take None
