"""What every test of the workspace shares."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The kernel is an asyncio program: its tests run on asyncio alone."""
    return "asyncio"
