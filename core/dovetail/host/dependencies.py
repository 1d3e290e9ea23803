"""What the kernel and its plugins put into the container, each time as the config in effect has it.

Models are not given bare: a call through what is given here passes the middleware like any other.
"""

from __future__ import annotations

from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

from dovetail.chat.providers import ChatProvider, EmbeddingProvider, Provider
from dovetail.chat.runs import current_run
from dovetail.container import (
    DependencyProvider,
    Named,
    SmartDependencyContainer,
    Tagged,
    bare,
    qualifiers,
)
from dovetail.context import ExecutionContext, current_context
from dovetail.errors import ContextRequired, DependencyError, DependencyNotFound
from dovetail.events.bus import EventBus
from dovetail.events.dispatcher import EventDispatcher
from dovetail.middleware import ChatCall, EmbedCall
from dovetail.services.registry import ServiceRegistry
from dovetail.sessions.manager import SessionManager
from dovetail.sessions.session import Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from dovetail.chat.chunks import StreamingChunk
    from dovetail.chat.requests import ChatRequest, EmbeddingRequest
    from dovetail.chat.responses import ChatResponse, EmbeddingResponse, ModelInfo
    from dovetail.events.event import Event
    from dovetail.events.registry import ProviderRegistry
    from dovetail.host.generation import Generation
    from dovetail.kernel import Kernel

    Now = Callable[[], Generation]
    """What runs now."""


def container_of(kernel: Kernel) -> SmartDependencyContainer:
    """A container that has the kernel, its parts, and what its plugins provide."""
    container = SmartDependencyContainer()
    container.register_instance(type(kernel), kernel)
    container.register_instance(ServiceRegistry, kernel.services)
    container.register_factory(SessionManager, lambda: kernel.sessions, scope="transient")
    container.register_factory(EventBus, lambda: kernel.bus, scope="transient", enter=False)
    container.register_provider(KernelDependencies(lambda: kernel.generation))
    container.register_provider(PluginDependencies(lambda: kernel.generation))
    return container


class PluginDependencies(DependencyProvider):
    """Asks the dependency providers of the plugins, in the order of the config."""

    def __init__(self, now: Now) -> None:
        self._now = now

    def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
        """Whether one of them can."""
        return any(p.can_provide(dependency_type, context) for p in self._now().dependencies)

    def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Any:
        """What the first gives that can."""
        for provider in self._now().dependencies:
            if provider.can_provide(dependency_type, context):
                return provider.provide(dependency_type, context)
        raise DependencyError("the plugin that provided it has just been taken out")


class KernelDependencies(DependencyProvider):
    """The turn's `Session`, the `EventDispatcher`, and models by name or tag.

    `Annotated[ChatProvider, Named("ollama/llama3.2")]` is a model, `Named("ollama")` an instance,
    `Tagged("fast")` the first instance in the config that has the tag; without either it is the
    default model of `[chat]`. The same for `EmbeddingProvider`.
    """

    def __init__(self, now: Now) -> None:
        self._now = now

    def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
        """Whether it is one of these. If it is not there, a new one would be no help."""
        return bare(dependency_type) in _PROVIDED

    def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Any:
        """It, as it is in this context.

        Raises:
            ContextRequired: the turn has no session.
            DependencyNotFound: nothing has the tag.
            ModelNotFound: there is no such instance.
        """
        wanted = bare(dependency_type)
        if wanted is Session:
            session = _session(context)
            if session is None:
                raise ContextRequired("the work at hand belongs to no turn that has a session")
            return session
        if wanted is EventDispatcher:
            return CurrentDispatcher(self._now)
        kind = BoundChatProvider if wanted is ChatProvider else BoundEmbeddingProvider
        return kind(self._now, *self._model(dependency_type))

    def _model(self, wanted: Any) -> tuple[str, str]:
        """The instance and the model that are meant."""
        generation, kind = self._now(), bare(wanted)
        name = ""
        for mark in qualifiers(wanted):
            if isinstance(mark, Named):
                name = mark.name
            elif isinstance(mark, Tagged):
                name = generation.tagged(mark.tag, kind)
                if not name:
                    message = (
                        f"no {kind.__name__} in the config has the tag `{mark.tag}`: "
                        f'write `tags = ["{mark.tag}"]` into the table of one'
                    )
                    raise DependencyNotFound(message)
        find = generation.find_chat if kind is ChatProvider else generation.find_embedding
        instance, _, model = find(name)
        return instance, model


_PROVIDED = frozenset({Session, EventDispatcher, ChatProvider, EmbeddingProvider})


class CurrentDispatcher(EventDispatcher):
    """Tells the event providers of the config in effect; whoever has it may keep it."""

    def __init__(self, now: Now) -> None:
        self._now = now

    @property
    def registry(self) -> ProviderRegistry:  # type: ignore[override]
        """The event providers that are told now."""
        return self._now().events.registry

    def wants(self, event: str) -> bool:
        """Whether anybody is told of `event`."""
        return self._now().events.wants(event)

    async def dispatch(
        self, event: str | Event, data: Any = None, *, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Tell all who asked for `event`."""
        await self._now().events.dispatch(event, data, metadata=metadata)

    def close(self) -> None:
        """Nothing: it has nothing of its own."""


class _Bound:
    def __init__(self, now: Now, instance: str, model: str) -> None:
        self._now = now
        self.instance = instance
        self._model = model

    async def models(self) -> Sequence[ModelInfo]:
        """The models of the instance."""
        with self._held() as generation:
            _, provider, _ = generation.find(self.instance, "", Provider, "model")
            return await provider.models()

    @contextmanager
    def _held(self) -> Iterator[Generation]:
        """What runs now; it goes on for as long as the call does."""
        generation = self._now()
        generation.enter()
        try:
            yield generation
        finally:
            generation.leave()


class BoundChatProvider(_Bound, ChatProvider):
    """One model, or one instance, whose calls pass the middleware."""

    async def send_message(
        self, request: ChatRequest, context: ExecutionContext | None = None
    ) -> ChatResponse:
        """The whole answer."""
        with self._held() as generation:
            answer = await generation.call_chat(self._call(request, context, stream=False))
            return await answer.read()

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext | None = None
    ) -> AsyncIterator[StreamingChunk]:
        """The answer's chunks as they come."""
        with self._held() as generation:
            answer = await generation.call_chat(self._call(request, context, stream=True))
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def count_tokens(self, request: ChatRequest) -> int | None:
        """Tokens that the messages take; None if the instance cannot say."""
        with self._held() as generation:
            _, provider, _ = generation.find_chat(self.instance)
            return await provider.count_tokens(self._named(request))

    async def context_window(self, model: str) -> int | None:
        """Tokens that prompt and answer may take together; None if the instance cannot say."""
        with self._held() as generation:
            _, provider, _ = generation.find_chat(self.instance)
            return await provider.context_window(model or self._model)

    def _named(self, request: ChatRequest) -> ChatRequest:
        return request if request.model else request.model_copy(update={"model": self._model})

    def _call(
        self, request: ChatRequest, context: ExecutionContext | None, *, stream: bool
    ) -> ChatCall:
        context = _in(context)
        return ChatCall(self._named(request), context, self.instance, stream, _session(context))


class BoundEmbeddingProvider(_Bound, EmbeddingProvider):
    """One model, or one instance, whose calls pass the middleware."""

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext | None = None
    ) -> EmbeddingResponse:
        """One vector for each text, in order."""
        if not request.model:
            request = request.model_copy(update={"model": self._model})
        with self._held() as generation:
            return await generation.call_embed(EmbedCall(request, _in(context), self.instance))

    async def token_counter(self, model: str = "") -> Callable[[str], int] | None:
        """What says how many tokens a text has; None if the instance cannot."""
        with self._held() as generation:
            _, provider, _ = generation.find_embedding(self.instance)
            return await provider.token_counter(model or self._model)


def _in(context: ExecutionContext | None) -> ExecutionContext:
    return context or current_context() or ExecutionContext()


def _session(context: ExecutionContext | None) -> Session | None:
    """The session of the turn that the context belongs to."""
    run = current_run.get()
    while run is not None:
        if run.session is not None and context is not None:
            own = context.session_id == run.session_id and context.user_id == run.user_id
            return run.session if own else None
        run = run.parent
    return None
