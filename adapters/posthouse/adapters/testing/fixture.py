"""The pytest fixture `connect`: clients of services in process, which leave at the end of the test.

In a `conftest.py`:

    pytest_plugins = ["posthouse.adapters.testing.fixture"]

Tests that use it are marked with `pytest.mark.anyio` (the plugin comes with anyio), and call
`await connect(service, identity=…)` with the arguments of `client_of`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from posthouse.adapters.asgi.application import Application
from posthouse.core.service.service import Service

from .client import Client, client_of

Connect = Callable[..., Awaitable[Client]]
"""The type of the fixture."""


@pytest.fixture
async def connect(anyio_backend: str) -> AsyncIterator[Connect]:
    """Opens clients: `await connect(service, …)`."""
    async with AsyncExitStack() as stack:

        async def connect(service: Service | Application, **options: Any) -> Client:
            return await stack.enter_async_context(client_of(service, **options))

        yield connect
