"""One generation of the host: the components of one reading of the config, composed into chains.

A running turn keeps the generation it began with; a reload makes another one.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import structlog

from dovetail.chat.answer import Answer, as_provider_error
from dovetail.chat.near_models import name_near_models
from dovetail.chat.providers import ChatProvider, EmbeddingProvider, Provider, overrides
from dovetail.chat.responses import ChatResponse
from dovetail.chat.runs import current_run
from dovetail.chat.telling import MODEL_COMPLETE, call_ended, embedding_ended
from dovetail.config.nearest import nearest
from dovetail.errors import InvalidRequest, InvalidResponse, ModelNotFound, PluginError
from dovetail.events.dispatcher import EventDispatcher
from dovetail.events.provider import EventProvider
from dovetail.events.registry import ProviderRegistry
from dovetail.host.records import describe
from dovetail.middleware import ChatCall, EmbedCall, Middleware, compose
from dovetail.pipeline.pipeline import Pipeline
from dovetail.refs import SoftRef

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dovetail.chat.answer import End
    from dovetail.chat.requests import EmbeddingRequest
    from dovetail.chat.responses import EmbeddingResponse, ModelInfo
    from dovetail.config import Entry
    from dovetail.container import DependencyProvider
    from dovetail.context import ExecutionContext
    from dovetail.host.lifecycle import Instance
    from dovetail.host.reading import Reading
    from dovetail.host.records import Failure
    from dovetail.middleware import TurnCall
    from dovetail.pipeline.executor import StageExecutor
    from dovetail.pipeline.persona import Persona

log = structlog.get_logger("dovetail")

P = TypeVar("P", bound=Provider)

MODELS_SECONDS = 10.0
"""How long one instance may take to list its models."""


class Generation:
    """Components by name, and the chains that calls go through."""

    def __init__(
        self,
        reading: Reading,
        instances: Sequence[Instance],
        quarantined: Sequence[Failure],
    ) -> None:
        self.reading = reading
        self.config = reading.config
        self.kernel = reading.kernel
        self.chat = reading.chat
        self.sessions = reading.sessions
        self.personas = reading.personas
        self.instances = tuple(instances)
        self.quarantined = tuple(quarantined)
        self.users = 0
        """Turns in flight that began with this generation."""
        self.retired = asyncio.Event()
        """Set when it is not the current one any more and no turn uses it."""
        self.current = True
        for instance in self.instances:
            instance.holders += 1
        self.providers = {
            i.planned.entry.name: cast("Provider", i.component)
            for i in self.instances
            if i.planned.entry.kind == "provider"
        }
        for ref in (ref for instance in self.instances for ref in instance.planned.refs):
            if isinstance(ref, SoftRef):
                ref.rebind(self.providers.get(ref.instance))
        self.secrets: frozenset[str] = frozenset().union(
            *(instance.planned.secrets for instance in self.instances)
        )
        """Text of the config that must not be shown, should a plugin's error hold it."""
        self.dependencies = tuple(
            cast("DependencyProvider", i.component)
            for i in self.instances
            if i.planned.entry.kind == "dependencies"
        )
        self.executors = tuple(
            cast("StageExecutor", i.component)
            for i in self.instances
            if i.planned.entry.kind == "stage"
        )
        self.staged = bool(self.chat.persona) or not all(e.needs_persona for e in self.executors)
        """Whether every turn has stages around its answer."""
        self.call_turn: Callable[[TurnCall], Awaitable[Answer]]
        self.call_chat: Callable[[ChatCall], Awaitable[Answer]]
        self.call_embed: Callable[[EmbedCall], Awaitable[EmbeddingResponse]]
        self._compose()

    def _compose(self) -> None:
        order = {entry.name: place for place, entry in enumerate(self.config.middleware)}
        chosen = [i for i in self.instances if i.planned.entry.kind == "middleware"]
        chosen.sort(key=lambda i: order.get(i.planned.entry.name, 0))
        middleware = [cast("Middleware", i.component) for i in chosen]
        self.middleware = tuple(middleware)
        self.events = self._dispatcher()
        self.pipeline = Pipeline(
            self.executors, middleware, self.reading.pipeline, self.events, secrets=self.secrets
        )
        present = {instance.planned.entry.name for instance in chosen}
        for entry in self.config.middleware:
            if entry.name not in present and not entry.optional:
                # It broke while it ran. It may have been a guard: without it nothing is asked.
                refuse = self._refuse(entry)
                self.call_turn, self.call_chat, self.call_embed = refuse, refuse, refuse
                return
        self.call_turn = compose(middleware, "turn", _ask_turn)
        tell = self.events.wants(MODEL_COMPLETE)
        ask, embed = (
            (self._ask_and_tell, self._embed_and_tell)
            if tell
            else (self._ask_provider, self._ask_embedding)
        )
        self.call_chat = compose(middleware, "chat", ask)
        self.call_embed = compose(middleware, "embed", embed)

    def _dispatcher(self) -> EventDispatcher:
        """Tells the event providers, those of equal priority in the order of the config."""
        order = {entry.name: place for place, entry in enumerate(self.config.providers)}
        registry = ProviderRegistry()
        listening = [i for i in self.instances if isinstance(i.component, EventProvider)]
        for instance in sorted(listening, key=lambda i: order.get(i.planned.entry.name, 0)):
            provider = cast("EventProvider", instance.component)
            instance.mailbox = registry.register(provider, mailbox=instance.mailbox).mailbox
        return EventDispatcher(registry, self.middleware)

    def tagged(self, tag: str, kind: type[Provider]) -> str:
        """The first instance in the config that has a tag and is of this kind; empty if none."""
        for entry in self.config.providers:
            if tag in entry.tags and isinstance(self.providers.get(entry.name), kind):
                return entry.name
        return ""

    def _refuse(self, entry: Entry) -> Callable[[object], Awaitable[Any]]:
        place = self.config.where(entry.path)
        why = next((str(f) for f in self.quarantined if f.component == place), "it is out of order")
        message = f"no call is made without the middleware `{entry.name}`, which must work: {why}"

        async def refuse(_call: object) -> NoReturn:
            raise PluginError(message)

        return refuse

    def enter(self) -> None:
        """A turn begins with it."""
        self.users += 1

    def leave(self) -> None:
        """A turn that began with it has ended."""
        self.users -= 1
        self._check_retired()

    def retire(self) -> None:
        """Another one is current from now on."""
        self.current = False
        self._check_retired()

    def _check_retired(self) -> None:
        if not self.current and self.users == 0:
            self.events.close()
            self.retired.set()

    def find_persona(self, name: str) -> tuple[str, Persona | None]:
        """The persona of this name (empty: the config's default), with its name.

        Raises:
            InvalidRequest: there is none.
        """
        chosen = name or self.chat.persona
        persona = self.personas.get(chosen)
        if persona is None and chosen:
            near = nearest(chosen, self.personas)
            guess = f"; did you mean `{near}`?" if near else ""
            names = ", ".join(f"`{known}`" for known in self.personas) or "none"
            message = f"there is no persona `{chosen}` (personas: {names}){guess}"
            raise InvalidRequest(message)
        return chosen, persona

    async def models(self) -> list[ModelInfo]:
        """The models of every instance, as `instance/model`; asked all together."""
        answers = await asyncio.gather(
            *(asyncio.wait_for(p.models(), MODELS_SECONDS) for p in self.providers.values()),
            return_exceptions=True,
        )
        found: list[ModelInfo] = []
        for name, answer in zip(self.providers, answers, strict=True):
            if isinstance(answer, Exception):
                why = describe(answer, self.secrets)
                log.warning("an instance cannot list its models", instance=name, error=why)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += (m.model_copy(update={"id": f"{name}/{m.id}"}) for m in answer)
        return found

    def find(self, model: str, default: str, kind: type[P], key: str) -> tuple[str, P, str]:
        """The instance's name, the instance, and what follows the first slash of `model`.

        Raises:
            ModelNotFound: there is no such instance, or it is not of this kind.
        """
        chosen = model or default or self._only(kind)
        if not chosen:
            message = (
                f"no model was named: give one as instance/model, or set `{key}` in [chat] "
                f"(instances: {self._names(kind)})"
            )
            raise ModelNotFound(message)
        name, _, rest = chosen.partition("/")
        provider = self.providers.get(name)
        if isinstance(provider, kind):
            return name, provider, rest
        if provider is not None:
            message = f"`{name}` is no {kind.__name__} (instances that are: {self._names(kind)})"
            raise ModelNotFound(message, model=chosen)
        raise self._unknown(chosen, name, kind)

    def find_chat(self, model: str) -> tuple[str, ChatProvider, str]:
        """The chat provider for `model` (empty: the config's), as `find` gives it."""
        return self.find(model, self.chat.model, ChatProvider, "model")

    def find_embedding(self, model: str) -> tuple[str, EmbeddingProvider, str]:
        """The embedding provider for `model` (empty: the config's), as `find` gives it."""
        kind: type[EmbeddingProvider] = EmbeddingProvider  # type: ignore[type-abstract]
        return self.find(model, self.chat.embedding_model, kind, "embedding_model")

    def _unknown(self, chosen: str, name: str, kind: type[Provider]) -> ModelNotFound:
        table = {self.config.where(e.path) for e in self.config.providers if e.name == name}
        broken = next((f for f in self.quarantined if f.component in table), None)
        if broken is not None:
            return ModelNotFound(f"`{name}` is out of order: {broken}", model=chosen)
        near = nearest(name, self.providers)
        suggestion = (f"{near}/{chosen.partition('/')[2]}".rstrip("/"),) if near else ()
        message = (
            f"there is no provider instance `{name}` for the model `{chosen}` "
            f"(instances: {self._names(kind)}); add a table [providers.{name}], and install its "
            f"plugin if it is missing (by its usual name: pip install dovetail-{name})"
        )
        return ModelNotFound(message, model=chosen, nearest=suggestion)

    def _names(self, kind: type[Provider]) -> str:
        fitting = [name for name, p in self.providers.items() if isinstance(p, kind)]
        return ", ".join(f"`{name}`" for name in fitting) or "none"

    def _only(self, kind: type[Provider]) -> str:
        fitting = [name for name, p in self.providers.items() if isinstance(p, kind)]
        return fitting[0] if len(fitting) == 1 else ""

    async def _ask_provider(self, call: ChatCall) -> Answer:
        name, model = call.provider, call.request.model
        provider = self.providers.get(name)
        if not isinstance(provider, ChatProvider):
            provider = self._provider(name, ChatProvider)
        if call.stream or not overrides(provider, ChatProvider, "send_message"):
            try:
                source = provider.send_message_stream(call.request, call.context)
            except Exception as error:
                raise as_provider_error(error, name, model, self.secrets) from error
            answer = await Answer.begin(
                source, provider=name, model=model, context=call.context, secrets=self.secrets
            )
        else:
            answer = await self._whole(provider, name, call)
        run = current_run.get()
        if run is not None:
            run.answers = [*(known for known in run.answers if not known.ended), answer]
        return answer

    async def _whole(self, provider: ChatProvider, name: str, call: ChatCall) -> Answer:
        model = call.request.model
        try:
            response: object = await provider.send_message(call.request, call.context)
        except BaseException as error:
            failure = as_provider_error(error, name, model, self.secrets)
            if failure is error:
                raise
            raise failure from error
        if not isinstance(response, ChatResponse):
            message = f"`send_message` returned {type(response).__name__}, not a ChatResponse"
            raise InvalidResponse(message, provider=name, model=model)
        return Answer.of(response, provider=name, model=model, context=call.context)

    async def embed(
        self, request: EmbeddingRequest, model: str, context: ExecutionContext
    ) -> EmbeddingResponse:
        """A vector for each text, by `model` (empty: the request's, or the config's)."""
        name, provider, rest = self.find_embedding(model or request.model)
        try:
            return await self.call_embed(
                EmbedCall(request.model_copy(update={"model": rest}), context, name)
            )
        except ModelNotFound as error:
            await name_near_models(error, provider, name, rest)
            raise

    async def _ask_and_tell(self, call: ChatCall) -> Answer:
        """Ask the provider, and tell of it when the answer has ended."""
        began = time.monotonic()
        try:
            answer = await self._ask_provider(call)
        except BaseException as error:
            data = call_ended(call, began, None, None, error, self.secrets)
            await self.events.dispatch(MODEL_COMPLETE, data)
            raise
        first = time.monotonic()

        def tell(end: End) -> Awaitable[None] | None:
            data = call_ended(call, began, first, end.response, end.error, self.secrets)
            return self.events.begin(MODEL_COMPLETE, data)

        answer.on_end(tell)
        return answer

    async def _embed_and_tell(self, call: EmbedCall) -> EmbeddingResponse:
        began = time.monotonic()
        try:
            response = await self._ask_embedding(call)
        except BaseException as error:
            data = embedding_ended(call, began, None, error, self.secrets)
            await self.events.dispatch(MODEL_COMPLETE, data)
            raise
        data = embedding_ended(call, began, response, None, self.secrets)
        await self.events.dispatch(MODEL_COMPLETE, data)
        return response

    async def _ask_embedding(self, call: EmbedCall) -> EmbeddingResponse:
        name, model = call.provider, call.request.model
        provider = self._provider(name, EmbeddingProvider)  # type: ignore[type-abstract]
        try:
            response = await provider.embed(call.request, call.context)
        except BaseException as error:
            failure = as_provider_error(error, name, model, self.secrets)
            if failure is error:
                raise
            raise failure from error
        if len(response.embeddings) != len(call.request.input):
            message = (
                f"it gave {len(response.embeddings)} vectors for {len(call.request.input)} texts"
            )
            raise InvalidResponse(message, provider=name, model=model)
        return response.model_copy(
            update={"provider": name, "model": response.model or call.request.model}
        )

    def _provider(self, name: str, kind: type[P]) -> P:
        return self.find(name, "", kind, "model")[1]


def _ask_turn(call: TurnCall) -> Awaitable[Answer]:
    return call.ask(call)
