"""A hash of everything that a server did: equal for equal runs, on every machine and in every version of Python."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from posthouse.core.values.effects import Invoke, Resolve
from posthouse.transports.switchboard.actions import Action, Write

BUFFER_BYTES: Final = 64 * 1024
"""The bytes that are collected before they are hashed."""


class Trace:
    """The hash of all actions, with their times, in order."""

    __slots__ = ("_buffer", "_hash")

    def __init__(self) -> None:
        self._hash: Final = blake2b(digest_size=16)
        self._buffer = bytearray()

    def add(self, action: Action, now: float) -> None:
        """Add the next action."""
        buffer = self._buffer
        if type(action) is Write:
            buffer += b"W%d %.9f " % (action.socket, now)
            buffer += action.data
        elif isinstance(action, Invoke):
            buffer += b"I%d %.9f %b" % (action.call, now, action.method.name.encode())
        elif isinstance(action, Resolve):
            buffer += b"R%d %.9f" % (action.request, now)
        else:
            buffer += b"%b %.9f" % (repr(action).encode(), now)
        if len(buffer) > BUFFER_BYTES:
            self._hash.update(buffer)
            buffer.clear()

    def digest(self) -> str:
        """The hash of all actions so far, as hexadecimal digits."""
        self._hash.update(self._buffer)
        self._buffer.clear()
        return self._hash.hexdigest()
