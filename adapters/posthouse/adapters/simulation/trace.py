"""A hash of everything that a server did: equal for equal runs, on every machine and in every version of Python."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from posthouse.core.values.effects import Invoke, Resolve, Verify
from posthouse.transports.switchboard.actions import Action, Write


class Trace:
    """The hash of all actions, with their times, in order."""

    def __init__(self) -> None:
        self._hash: Final = blake2b(digest_size=16)

    def add(self, action: Action, now: float) -> None:
        """Add the next action."""
        if type(action) is Write:
            text = b"W%d %.9f %b" % (action.socket, now, action.data)
        elif isinstance(action, Invoke):
            text = b"I%d %.9f %b" % (action.call, now, action.method.name.encode())
        elif isinstance(action, Resolve):
            text = b"R%d %.9f" % (action.request, now)
        elif isinstance(action, Verify):
            text = b"V%d %.9f %b" % (action.operation, now, action.authenticator.name.encode())
        else:
            text = b"%b %.9f" % (repr(action).encode(), now)
        self._hash.update(text)

    def digest(self) -> str:
        """The hash of all actions so far, as hexadecimal digits."""
        return self._hash.hexdigest()
