"""What every test of the workspace shares."""

import gc
import signal

import pytest
from hypothesis import settings

# The same examples each time, and no stop-watch: a test passes or fails, whatever the machine does.
settings.register_profile("dovetail", derandomize=True, deadline=None)
settings.load_profile("dovetail")


def pytest_configure() -> None:
    """A shell may start its background jobs deaf to Ctrl-C, and what tests start inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What is collected stays to the end: to look for garbage in it stops a test for 0.2 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The kernel is an asyncio program: its tests run on asyncio alone."""
    return "asyncio"
