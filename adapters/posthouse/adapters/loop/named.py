"""Tell libraries which event loop runs, also in the plain callbacks of asyncio.

Where sniffio is installed, anyio asks it. By itself sniffio finds asyncio only inside tasks, but the turn of a server
is a callback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

name: ContextVar[str | None] | None
try:
    from sniffio import current_async_library_cvar as name
except ImportError:
    name = None

T = TypeVar("T")


def asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The asyncio loop that runs here, or None on trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@contextmanager
def named_loop() -> Iterator[None]:
    """While this is entered, the running loop is known in this context, and in every copy that is made of it."""
    if name is None or asyncio_loop() is None:
        yield  # libraries ask asyncio itself; trio names itself
        return
    token = name.set("asyncio")
    try:
        yield
    finally:
        name.reset(token)


def call_in_thread(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """Call it in a thread with variables of the loop. No loop runs in a thread, so that one may be started there."""
    if name is None:
        return function(*args, **kwargs)
    token = name.set(None)
    try:
        return function(*args, **kwargs)
    finally:
        name.reset(token)
