"""What every test of the workspace shares."""

import signal

import pytest


def pytest_configure() -> None:
    """A shell may start its background jobs deaf to Ctrl-C, and what tests start inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The kernel is an asyncio program: its tests run on asyncio alone."""
    return "asyncio"
