"""dovetail: a kernel that hosts plugins for LLM applications.

This is the public face: everything a host or a plugin imports from the kernel. A name is loaded
when it is first used, so that a command pays only for what it needs.
"""

# Not `from typing import TYPE_CHECKING`: that import alone doubles the time of `--version`.
TYPE_CHECKING = False

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dovetail.chat.accumulator import StreamingAccumulator as StreamingAccumulator
    from dovetail.chat.accumulator import (
        StreamingToNonStreamingConverter as StreamingToNonStreamingConverter,
    )
    from dovetail.chat.answer import Answer as Answer
    from dovetail.chat.answer import End as End
    from dovetail.chat.chunks import StreamingChunk as StreamingChunk
    from dovetail.chat.chunks import ToolCallDelta as ToolCallDelta
    from dovetail.chat.messages import Annotation as Annotation
    from dovetail.chat.messages import AudioPart as AudioPart
    from dovetail.chat.messages import ChatMessage as ChatMessage
    from dovetail.chat.messages import ContentPart as ContentPart
    from dovetail.chat.messages import ImagePart as ImagePart
    from dovetail.chat.messages import MessageRole as MessageRole
    from dovetail.chat.messages import TextPart as TextPart
    from dovetail.chat.messages import ToolCall as ToolCall
    from dovetail.chat.providers import ChatProvider as ChatProvider
    from dovetail.chat.providers import EmbeddingProvider as EmbeddingProvider
    from dovetail.chat.requests import ChatRequest as ChatRequest
    from dovetail.chat.requests import EmbeddingRequest as EmbeddingRequest
    from dovetail.chat.requests import FunctionTool as FunctionTool
    from dovetail.chat.requests import ResponseFormat as ResponseFormat
    from dovetail.chat.requests import ToolChoice as ToolChoice
    from dovetail.chat.responses import ChatResponse as ChatResponse
    from dovetail.chat.responses import Choice as Choice
    from dovetail.chat.responses import EmbeddingResponse as EmbeddingResponse
    from dovetail.chat.responses import FinishReason as FinishReason
    from dovetail.chat.responses import Logprobs as Logprobs
    from dovetail.chat.responses import ModelInfo as ModelInfo
    from dovetail.chat.responses import TokenLogprob as TokenLogprob
    from dovetail.chat.responses import Usage as Usage
    from dovetail.chat.runs import ChatSessionManager as ChatSessionManager
    from dovetail.chat.runs import Run as Run
    from dovetail.chat.runs import SessionStatus as SessionStatus
    from dovetail.chat.stream import ChatStream as ChatStream
    from dovetail.component import Component as Component
    from dovetail.component import Settings as Settings
    from dovetail.component import Suggestion as Suggestion
    from dovetail.config.durations import Duration as Duration
    from dovetail.container import DependencyHealth as DependencyHealth
    from dovetail.container import DependencyProvider as DependencyProvider
    from dovetail.container import Named as Named
    from dovetail.container import SmartDependencyContainer as SmartDependencyContainer
    from dovetail.container import Tagged as Tagged
    from dovetail.container import bare as bare
    from dovetail.container import qualifiers as qualifiers
    from dovetail.context import ExecutionContext as ExecutionContext
    from dovetail.context import current_context as current_context
    from dovetail.context import use_context as use_context
    from dovetail.context_manager import ContextManager as ContextManager
    from dovetail.errors import AsyncDependency as AsyncDependency
    from dovetail.errors import AuthenticationError as AuthenticationError
    from dovetail.errors import BusClosed as BusClosed
    from dovetail.errors import BusFull as BusFull
    from dovetail.errors import CaptiveDependency as CaptiveDependency
    from dovetail.errors import ConfigError as ConfigError
    from dovetail.errors import ConfigNotFound as ConfigNotFound
    from dovetail.errors import ContentFiltered as ContentFiltered
    from dovetail.errors import ContextRequired as ContextRequired
    from dovetail.errors import ContextTooLong as ContextTooLong
    from dovetail.errors import DependencyCycle as DependencyCycle
    from dovetail.errors import DependencyError as DependencyError
    from dovetail.errors import DependencyNotFound as DependencyNotFound
    from dovetail.errors import DependencyResolutionError as DependencyResolutionError
    from dovetail.errors import DovetailError as DovetailError
    from dovetail.errors import DuplicateService as DuplicateService
    from dovetail.errors import ErrorDetails as ErrorDetails
    from dovetail.errors import EventError as EventError
    from dovetail.errors import InvalidRequest as InvalidRequest
    from dovetail.errors import InvalidResponse as InvalidResponse
    from dovetail.errors import KernelBusy as KernelBusy
    from dovetail.errors import KernelClosed as KernelClosed
    from dovetail.errors import ModelNotFound as ModelNotFound
    from dovetail.errors import NotReady as NotReady
    from dovetail.errors import PluginError as PluginError
    from dovetail.errors import Problem as Problem
    from dovetail.errors import ProviderError as ProviderError
    from dovetail.errors import ProviderTimeout as ProviderTimeout
    from dovetail.errors import ProviderUnavailable as ProviderUnavailable
    from dovetail.errors import RateLimited as RateLimited
    from dovetail.errors import ServiceError as ServiceError
    from dovetail.errors import ServiceNotFound as ServiceNotFound
    from dovetail.errors import SessionBusy as SessionBusy
    from dovetail.errors import SessionConflict as SessionConflict
    from dovetail.errors import SessionCorrupt as SessionCorrupt
    from dovetail.errors import SessionError as SessionError
    from dovetail.errors import SessionForbidden as SessionForbidden
    from dovetail.errors import StageError as StageError
    from dovetail.errors import StartError as StartError
    from dovetail.errors import StreamInterrupted as StreamInterrupted
    from dovetail.errors import ValidationFailed as ValidationFailed
    from dovetail.events.bus import BusEvent as BusEvent
    from dovetail.events.bus import BusSettings as BusSettings
    from dovetail.events.bus import EventBus as EventBus
    from dovetail.events.bus import Subscription as Subscription
    from dovetail.events.consumer import EventConsumer as EventConsumer
    from dovetail.events.dispatcher import EventDispatcher as EventDispatcher
    from dovetail.events.event import Event as Event
    from dovetail.events.in_process import InProcessBusSettings as InProcessBusSettings
    from dovetail.events.in_process import InProcessEventBus as InProcessEventBus
    from dovetail.events.provider import EventProvider as EventProvider
    from dovetail.events.provider import EventSettings as EventSettings
    from dovetail.events.publisher import EventPublisher as EventPublisher
    from dovetail.events.registry import ProviderRegistry as ProviderRegistry
    from dovetail.hookspecs import hookimpl as hookimpl
    from dovetail.hookspecs import hookspec as hookspec
    from dovetail.host.host import Reload as Reload
    from dovetail.host.records import Failure as Failure
    from dovetail.host.records import FailureStage as FailureStage
    from dovetail.host.records import PluginRecord as PluginRecord
    from dovetail.host.records import PluginState as PluginState
    from dovetail.http.client import HttpClient as HttpClient
    from dovetail.http.client import Reply as Reply
    from dovetail.http.client import StreamedReply as StreamedReply
    from dovetail.http.failures import error_of_object as error_of_object
    from dovetail.http.ndjson import NdjsonDecoder as NdjsonDecoder
    from dovetail.http.ndjson import parse_json as parse_json
    from dovetail.http.options import HttpOptions as HttpOptions
    from dovetail.http.sse import ServerSentEvent as ServerSentEvent
    from dovetail.http.sse import SseDecoder as SseDecoder
    from dovetail.ids import new_id as new_id
    from dovetail.kernel import Kernel as Kernel
    from dovetail.metadata.functions import FunctionParameter as FunctionParameter
    from dovetail.metadata.functions import metadata_of as metadata_of
    from dovetail.metadata.functions import parameters_of as parameters_of
    from dovetail.metadata.functions import returns_of as returns_of
    from dovetail.metadata.markers import FromContext as FromContext
    from dovetail.metadata.markers import Hidden as Hidden
    from dovetail.metadata.model import AIMetadata as AIMetadata
    from dovetail.metadata.model import MetadataModel as MetadataModel
    from dovetail.metadata.validation import validated as validated
    from dovetail.metadata.validation import validation_problems as validation_problems
    from dovetail.middleware import ChatCall as ChatCall
    from dovetail.middleware import EmbedCall as EmbedCall
    from dovetail.middleware import EventCall as EventCall
    from dovetail.middleware import Middleware as Middleware
    from dovetail.middleware import StageCall as StageCall
    from dovetail.middleware import TurnCall as TurnCall
    from dovetail.pipeline.executor import InProcessRunner as InProcessRunner
    from dovetail.pipeline.executor import StageExecutor as StageExecutor
    from dovetail.pipeline.executor import StageRunner as StageRunner
    from dovetail.pipeline.persona import Persona as Persona
    from dovetail.pipeline.prompt_state import SystemPromptState as SystemPromptState
    from dovetail.pipeline.stage import Stage as Stage
    from dovetail.pipeline.turn import StageResult as StageResult
    from dovetail.pipeline.turn import Turn as Turn
    from dovetail.redaction import redact as redact
    from dovetail.refs import Ref as Ref
    from dovetail.refs import SoftRef as SoftRef
    from dovetail.services.factory import ServiceFactory as ServiceFactory
    from dovetail.services.registry import ServiceRegistry as ServiceRegistry
    from dovetail.services.service import ContextAwareService as ContextAwareService
    from dovetail.sessions.manager import SessionManager as SessionManager
    from dovetail.sessions.manager import SessionOptions as SessionOptions
    from dovetail.sessions.memory import MemorySessionStore as MemorySessionStore
    from dovetail.sessions.session import Session as Session
    from dovetail.sessions.store import SessionStore as SessionStore
    from dovetail.sync import SyncKernel as SyncKernel
    from dovetail.sync import SyncStream as SyncStream

_PLACES = {
    "StreamingAccumulator": "dovetail.chat.accumulator",
    "StreamingToNonStreamingConverter": "dovetail.chat.accumulator",
    "Answer": "dovetail.chat.answer",
    "End": "dovetail.chat.answer",
    "StreamingChunk": "dovetail.chat.chunks",
    "ToolCallDelta": "dovetail.chat.chunks",
    "Annotation": "dovetail.chat.messages",
    "AudioPart": "dovetail.chat.messages",
    "ChatMessage": "dovetail.chat.messages",
    "ContentPart": "dovetail.chat.messages",
    "ImagePart": "dovetail.chat.messages",
    "MessageRole": "dovetail.chat.messages",
    "TextPart": "dovetail.chat.messages",
    "ToolCall": "dovetail.chat.messages",
    "ChatProvider": "dovetail.chat.providers",
    "EmbeddingProvider": "dovetail.chat.providers",
    "ChatRequest": "dovetail.chat.requests",
    "EmbeddingRequest": "dovetail.chat.requests",
    "FunctionTool": "dovetail.chat.requests",
    "ResponseFormat": "dovetail.chat.requests",
    "ToolChoice": "dovetail.chat.requests",
    "ChatResponse": "dovetail.chat.responses",
    "Choice": "dovetail.chat.responses",
    "EmbeddingResponse": "dovetail.chat.responses",
    "FinishReason": "dovetail.chat.responses",
    "Logprobs": "dovetail.chat.responses",
    "ModelInfo": "dovetail.chat.responses",
    "TokenLogprob": "dovetail.chat.responses",
    "Usage": "dovetail.chat.responses",
    "ChatSessionManager": "dovetail.chat.runs",
    "Run": "dovetail.chat.runs",
    "SessionStatus": "dovetail.chat.runs",
    "ChatStream": "dovetail.chat.stream",
    "Component": "dovetail.component",
    "Settings": "dovetail.component",
    "Suggestion": "dovetail.component",
    "Duration": "dovetail.config.durations",
    "DependencyHealth": "dovetail.container",
    "DependencyProvider": "dovetail.container",
    "Named": "dovetail.container",
    "SmartDependencyContainer": "dovetail.container",
    "Tagged": "dovetail.container",
    "bare": "dovetail.container",
    "qualifiers": "dovetail.container",
    "ExecutionContext": "dovetail.context",
    "current_context": "dovetail.context",
    "use_context": "dovetail.context",
    "ContextManager": "dovetail.context_manager",
    "AsyncDependency": "dovetail.errors",
    "AuthenticationError": "dovetail.errors",
    "BusClosed": "dovetail.errors",
    "BusFull": "dovetail.errors",
    "CaptiveDependency": "dovetail.errors",
    "ConfigError": "dovetail.errors",
    "ConfigNotFound": "dovetail.errors",
    "ContentFiltered": "dovetail.errors",
    "ContextRequired": "dovetail.errors",
    "ContextTooLong": "dovetail.errors",
    "DependencyCycle": "dovetail.errors",
    "DependencyError": "dovetail.errors",
    "DependencyNotFound": "dovetail.errors",
    "DependencyResolutionError": "dovetail.errors",
    "DovetailError": "dovetail.errors",
    "DuplicateService": "dovetail.errors",
    "ErrorDetails": "dovetail.errors",
    "EventError": "dovetail.errors",
    "InvalidRequest": "dovetail.errors",
    "InvalidResponse": "dovetail.errors",
    "KernelBusy": "dovetail.errors",
    "KernelClosed": "dovetail.errors",
    "ModelNotFound": "dovetail.errors",
    "NotReady": "dovetail.errors",
    "PluginError": "dovetail.errors",
    "Problem": "dovetail.errors",
    "ProviderError": "dovetail.errors",
    "ProviderTimeout": "dovetail.errors",
    "ProviderUnavailable": "dovetail.errors",
    "RateLimited": "dovetail.errors",
    "ServiceError": "dovetail.errors",
    "ServiceNotFound": "dovetail.errors",
    "SessionBusy": "dovetail.errors",
    "SessionConflict": "dovetail.errors",
    "SessionCorrupt": "dovetail.errors",
    "SessionError": "dovetail.errors",
    "SessionForbidden": "dovetail.errors",
    "StageError": "dovetail.errors",
    "StartError": "dovetail.errors",
    "StreamInterrupted": "dovetail.errors",
    "ValidationFailed": "dovetail.errors",
    "BusEvent": "dovetail.events.bus",
    "BusSettings": "dovetail.events.bus",
    "EventBus": "dovetail.events.bus",
    "Subscription": "dovetail.events.bus",
    "EventConsumer": "dovetail.events.consumer",
    "EventDispatcher": "dovetail.events.dispatcher",
    "Event": "dovetail.events.event",
    "InProcessBusSettings": "dovetail.events.in_process",
    "InProcessEventBus": "dovetail.events.in_process",
    "EventProvider": "dovetail.events.provider",
    "EventSettings": "dovetail.events.provider",
    "EventPublisher": "dovetail.events.publisher",
    "ProviderRegistry": "dovetail.events.registry",
    "hookimpl": "dovetail.hookspecs",
    "hookspec": "dovetail.hookspecs",
    "Reload": "dovetail.host.host",
    "Failure": "dovetail.host.records",
    "FailureStage": "dovetail.host.records",
    "PluginRecord": "dovetail.host.records",
    "PluginState": "dovetail.host.records",
    "HttpClient": "dovetail.http.client",
    "Reply": "dovetail.http.client",
    "StreamedReply": "dovetail.http.client",
    "error_of_object": "dovetail.http.failures",
    "NdjsonDecoder": "dovetail.http.ndjson",
    "parse_json": "dovetail.http.ndjson",
    "HttpOptions": "dovetail.http.options",
    "ServerSentEvent": "dovetail.http.sse",
    "SseDecoder": "dovetail.http.sse",
    "new_id": "dovetail.ids",
    "Kernel": "dovetail.kernel",
    "FunctionParameter": "dovetail.metadata.functions",
    "metadata_of": "dovetail.metadata.functions",
    "parameters_of": "dovetail.metadata.functions",
    "returns_of": "dovetail.metadata.functions",
    "FromContext": "dovetail.metadata.markers",
    "Hidden": "dovetail.metadata.markers",
    "AIMetadata": "dovetail.metadata.model",
    "MetadataModel": "dovetail.metadata.model",
    "validated": "dovetail.metadata.validation",
    "validation_problems": "dovetail.metadata.validation",
    "ChatCall": "dovetail.middleware",
    "EmbedCall": "dovetail.middleware",
    "EventCall": "dovetail.middleware",
    "Middleware": "dovetail.middleware",
    "StageCall": "dovetail.middleware",
    "TurnCall": "dovetail.middleware",
    "InProcessRunner": "dovetail.pipeline.executor",
    "StageExecutor": "dovetail.pipeline.executor",
    "StageRunner": "dovetail.pipeline.executor",
    "Persona": "dovetail.pipeline.persona",
    "SystemPromptState": "dovetail.pipeline.prompt_state",
    "Stage": "dovetail.pipeline.stage",
    "StageResult": "dovetail.pipeline.turn",
    "Turn": "dovetail.pipeline.turn",
    "redact": "dovetail.redaction",
    "Ref": "dovetail.refs",
    "SoftRef": "dovetail.refs",
    "ServiceFactory": "dovetail.services.factory",
    "ServiceRegistry": "dovetail.services.registry",
    "ContextAwareService": "dovetail.services.service",
    "SessionManager": "dovetail.sessions.manager",
    "SessionOptions": "dovetail.sessions.manager",
    "MemorySessionStore": "dovetail.sessions.memory",
    "Session": "dovetail.sessions.session",
    "SessionStore": "dovetail.sessions.store",
    "SyncKernel": "dovetail.sync",
    "SyncStream": "dovetail.sync",
}

__all__ = ["__version__", *_PLACES]  # noqa: PLE0604 - a test compares the two lists


def __getattr__(name: str) -> object:
    """Load a public name from the module it lives in."""
    module = _PLACES.get(name)
    if module is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *_PLACES})
