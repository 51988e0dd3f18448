"""The store of a server, between its opening and its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from posthouse.adapters.report import WARNING, report
from posthouse.adapters.store.store import Store


@asynccontextmanager
async def opened(store: Store | None, seconds: float) -> AsyncIterator[None]:
    """The store, open inside the block. It has so many seconds to close, even if the server is cancelled."""
    if store is None:
        yield
        return
    await store.open()
    try:
        yield
    finally:
        with anyio.move_on_after(seconds, shield=True) as scope:
            await store.close()
        if scope.cancelled_caught:
            report(WARNING, "store.resists", "the store was not closed in time: the server ends")
