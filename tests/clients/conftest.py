"""One server for all clients, once on asyncio and once on trio."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .served import Served, served


@pytest.fixture(scope="package", params=["asyncio", "trio"])
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    with served(request.param) as server:
        yield server
