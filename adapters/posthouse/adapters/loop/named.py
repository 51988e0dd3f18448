"""Tell libraries which event loop runs, also in the plain callbacks of asyncio.

Where sniffio is installed, anyio asks it. By itself sniffio finds asyncio only inside tasks, but the turn of a server
is a callback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


def asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The asyncio loop that runs here, or None on trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@contextmanager
def named_loop() -> Iterator[None]:
    """While this is entered, the running loop is known in this context, and in every copy that is made of it."""
    try:
        from sniffio import current_async_library_cvar as name
    except ImportError:
        yield  # libraries then ask asyncio itself
        return
    if asyncio_loop() is None:
        yield  # trio names itself
        return
    token = name.set("asyncio")
    try:
        yield
    finally:
        name.reset(token)
