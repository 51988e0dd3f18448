"""Things on their way from one task to another, in order."""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

import anyio

T = TypeVar("T")


class Mailbox(Generic[T]):
    """`get` waits for the next of what was `put`."""

    def __init__(self) -> None:
        self._kept: Final[deque[T]] = deque()
        self._news = anyio.Event()

    def put(self, item: T) -> None:
        self._kept.append(item)
        self._news.set()

    async def get(self) -> T:
        while not self._kept:
            self._news = anyio.Event()
            await self._news.wait()
        return self._kept.popleft()
