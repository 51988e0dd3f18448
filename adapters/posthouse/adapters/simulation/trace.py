"""What a server did, as one hash: equal for equal runs, on every machine and under every version of Python."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from posthouse.core.values.effects import Invoke, Resolve
from posthouse.transports.switchboard.actions import Action, Write

ENOUGH: Final = 64 * 1024
"""So many bytes are gathered before they are hashed."""


class Trace:
    """Every action with its time, in order."""

    __slots__ = ("_hash", "_said")

    def __init__(self) -> None:
        self._hash: Final = blake2b(digest_size=16)
        self._said = bytearray()

    def add(self, action: Action, now: float) -> None:
        """The next action."""
        said = self._said
        if type(action) is Write:
            said += b"W%d %.9f " % (action.socket, now)
            said += action.data
        elif isinstance(action, Invoke):
            said += b"I%d %.9f %b" % (action.call, now, action.method.name.encode())
        elif isinstance(action, Resolve):
            said += b"R%d %.9f" % (action.request, now)
        else:
            said += b"%b %.9f" % (repr(action).encode(), now)
        if len(said) > ENOUGH:
            self._hash.update(said)
            said.clear()

    def digest(self) -> str:
        """The hash of all so far, in hexadecimal digits."""
        self._hash.update(self._said)
        self._said.clear()
        return self._hash.hexdigest()
