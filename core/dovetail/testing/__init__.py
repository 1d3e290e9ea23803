"""For plugin authors: contracts that a plugin's tests inherit, a fake model, a pytest plugin.

::

    from dovetail.testing import ChatProviderContract, Subject


    class TestEcho(ChatProviderContract):
        @pytest.fixture
        def subject(self) -> Subject:
            return Subject("echo", settings={"prefix": "> "})

A name is loaded when it is first used: the fakes need no pytest, the contracts do
(`pip install dovetail[testing]`). `-p dovetail.testing.pytest_plugin` hides from a test run
whatever else is installed.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from dovetail.testing.chat import ChatProviderContract as ChatProviderContract
    from dovetail.testing.component import ComponentContract as ComponentContract
    from dovetail.testing.embedding import EmbeddingProviderContract as EmbeddingProviderContract
    from dovetail.testing.fake import FakeCall as FakeCall
    from dovetail.testing.fake import FakeModel as FakeModel
    from dovetail.testing.fake import fake_plugin as fake_plugin
    from dovetail.testing.middleware import MiddlewareContract as MiddlewareContract
    from dovetail.testing.plugins import plugin_of as plugin_of
    from dovetail.testing.script import Gate as Gate
    from dovetail.testing.sessions import SessionStoreContract as SessionStoreContract
    from dovetail.testing.subject import Subject as Subject

_PLACES = {
    "ChatProviderContract": "dovetail.testing.chat",
    "ComponentContract": "dovetail.testing.component",
    "EmbeddingProviderContract": "dovetail.testing.embedding",
    "FakeCall": "dovetail.testing.fake",
    "FakeModel": "dovetail.testing.fake",
    "Gate": "dovetail.testing.script",
    "MiddlewareContract": "dovetail.testing.middleware",
    "SessionStoreContract": "dovetail.testing.sessions",
    "Subject": "dovetail.testing.subject",
    "fake_plugin": "dovetail.testing.fake",
    "plugin_of": "dovetail.testing.plugins",
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
