"""For plugin authors: contracts to inherit, a fake model, a scripted server, a pytest plugin.

::

    from dovetail.testing import ChatProviderContract, Subject


    class TestEcho(ChatProviderContract):
        @pytest.fixture
        def subject(self) -> Subject:
            return Subject("echo", settings={"prefix": "> "})

How to use the scripted server, `Upstream`, is said in `dovetail.testing.upstream`.

A name is loaded when it is first used: the fakes need no pytest, the contracts do
(`pip install dovetail[testing]`). `-p dovetail.testing.pytest_plugin` hides from a test run
whatever else is installed.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from dovetail.testing.chat import ChatProviderContract as ChatProviderContract
    from dovetail.testing.component import ComponentContract as ComponentContract
    from dovetail.testing.embedding import EmbeddingProviderContract as EmbeddingProviderContract
    from dovetail.testing.event_bus import EventBusContract as EventBusContract
    from dovetail.testing.event_provider import EventProviderContract as EventProviderContract
    from dovetail.testing.events import MockEventPublisher as MockEventPublisher
    from dovetail.testing.fake import FakeCall as FakeCall
    from dovetail.testing.fake import FakeModel as FakeModel
    from dovetail.testing.fake import fake_plugin as fake_plugin
    from dovetail.testing.middleware import MiddlewareContract as MiddlewareContract
    from dovetail.testing.plugins import plugin_of as plugin_of
    from dovetail.testing.script import Gate as Gate
    from dovetail.testing.sessions import SessionStoreContract as SessionStoreContract
    from dovetail.testing.subject import Subject as Subject
    from dovetail.testing.upstream.faults import close_before_headers as close_before_headers
    from dovetail.testing.upstream.faults import comments_only as comments_only
    from dovetail.testing.upstream.faults import cut_between as cut_between
    from dovetail.testing.upstream.faults import cut_in_line as cut_in_line
    from dovetail.testing.upstream.faults import dies_when_reused as dies_when_reused
    from dovetail.testing.upstream.faults import drip as drip
    from dovetail.testing.upstream.faults import endless_line as endless_line
    from dovetail.testing.upstream.faults import error_inside as error_inside
    from dovetail.testing.upstream.faults import garbage as garbage
    from dovetail.testing.upstream.faults import gzipped as gzipped
    from dovetail.testing.upstream.faults import html_page as html_page
    from dovetail.testing.upstream.faults import length_mismatch as length_mismatch
    from dovetail.testing.upstream.faults import refused_url as refused_url
    from dovetail.testing.upstream.faults import reset_at_accept as reset_at_accept
    from dovetail.testing.upstream.faults import reset_before_headers as reset_before_headers
    from dovetail.testing.upstream.faults import retry_later as retry_later
    from dovetail.testing.upstream.faults import split_bytes as split_bytes
    from dovetail.testing.upstream.faults import stall_after as stall_after
    from dovetail.testing.upstream.faults import stall_before_body as stall_before_body
    from dovetail.testing.upstream.faults import stall_before_headers as stall_before_headers
    from dovetail.testing.upstream.faults import with_type as with_type
    from dovetail.testing.upstream.ollama import ollama_embeddings as ollama_embeddings
    from dovetail.testing.upstream.ollama import ollama_json as ollama_json
    from dovetail.testing.upstream.ollama import ollama_ndjson as ollama_ndjson
    from dovetail.testing.upstream.ollama import ollama_tags as ollama_tags
    from dovetail.testing.upstream.openai import openai_embeddings as openai_embeddings
    from dovetail.testing.upstream.openai import openai_error as openai_error
    from dovetail.testing.upstream.openai import openai_json as openai_json
    from dovetail.testing.upstream.openai import openai_models as openai_models
    from dovetail.testing.upstream.openai import openai_sse as openai_sse
    from dovetail.testing.upstream.reply import Close as Close
    from dovetail.testing.upstream.reply import Pause as Pause
    from dovetail.testing.upstream.reply import Repeat as Repeat
    from dovetail.testing.upstream.reply import Reset as Reset
    from dovetail.testing.upstream.reply import ScriptedReply as ScriptedReply
    from dovetail.testing.upstream.reply import Wait as Wait
    from dovetail.testing.upstream.reply import event_stream as event_stream
    from dovetail.testing.upstream.reply import json_reply as json_reply
    from dovetail.testing.upstream.reply import raw as raw
    from dovetail.testing.upstream.request import UpstreamRequest as UpstreamRequest
    from dovetail.testing.upstream.server import Upstream as Upstream

_PLACES = {
    "ChatProviderContract": "dovetail.testing.chat",
    "Close": "dovetail.testing.upstream.reply",
    "ComponentContract": "dovetail.testing.component",
    "EmbeddingProviderContract": "dovetail.testing.embedding",
    "EventBusContract": "dovetail.testing.event_bus",
    "EventProviderContract": "dovetail.testing.event_provider",
    "FakeCall": "dovetail.testing.fake",
    "FakeModel": "dovetail.testing.fake",
    "Gate": "dovetail.testing.script",
    "MiddlewareContract": "dovetail.testing.middleware",
    "MockEventPublisher": "dovetail.testing.events",
    "Pause": "dovetail.testing.upstream.reply",
    "Repeat": "dovetail.testing.upstream.reply",
    "Reset": "dovetail.testing.upstream.reply",
    "ScriptedReply": "dovetail.testing.upstream.reply",
    "SessionStoreContract": "dovetail.testing.sessions",
    "Subject": "dovetail.testing.subject",
    "Upstream": "dovetail.testing.upstream.server",
    "UpstreamRequest": "dovetail.testing.upstream.request",
    "Wait": "dovetail.testing.upstream.reply",
    "close_before_headers": "dovetail.testing.upstream.faults",
    "comments_only": "dovetail.testing.upstream.faults",
    "cut_between": "dovetail.testing.upstream.faults",
    "cut_in_line": "dovetail.testing.upstream.faults",
    "dies_when_reused": "dovetail.testing.upstream.faults",
    "drip": "dovetail.testing.upstream.faults",
    "endless_line": "dovetail.testing.upstream.faults",
    "error_inside": "dovetail.testing.upstream.faults",
    "event_stream": "dovetail.testing.upstream.reply",
    "fake_plugin": "dovetail.testing.fake",
    "garbage": "dovetail.testing.upstream.faults",
    "gzipped": "dovetail.testing.upstream.faults",
    "html_page": "dovetail.testing.upstream.faults",
    "json_reply": "dovetail.testing.upstream.reply",
    "length_mismatch": "dovetail.testing.upstream.faults",
    "ollama_embeddings": "dovetail.testing.upstream.ollama",
    "ollama_json": "dovetail.testing.upstream.ollama",
    "ollama_ndjson": "dovetail.testing.upstream.ollama",
    "ollama_tags": "dovetail.testing.upstream.ollama",
    "openai_embeddings": "dovetail.testing.upstream.openai",
    "openai_error": "dovetail.testing.upstream.openai",
    "openai_json": "dovetail.testing.upstream.openai",
    "openai_models": "dovetail.testing.upstream.openai",
    "openai_sse": "dovetail.testing.upstream.openai",
    "plugin_of": "dovetail.testing.plugins",
    "raw": "dovetail.testing.upstream.reply",
    "refused_url": "dovetail.testing.upstream.faults",
    "reset_at_accept": "dovetail.testing.upstream.faults",
    "reset_before_headers": "dovetail.testing.upstream.faults",
    "retry_later": "dovetail.testing.upstream.faults",
    "split_bytes": "dovetail.testing.upstream.faults",
    "stall_after": "dovetail.testing.upstream.faults",
    "stall_before_body": "dovetail.testing.upstream.faults",
    "stall_before_headers": "dovetail.testing.upstream.faults",
    "with_type": "dovetail.testing.upstream.faults",
}

__all__ = [*_PLACES]  # noqa: PLE0604 - a test compares the two lists


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
