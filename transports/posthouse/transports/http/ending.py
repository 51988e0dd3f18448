"""How HTTP on the server's side of one socket pauses and ends: a full buffer, the last answer, and the close.

It may not know what a request asks for, nor what an answer says.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.config import Config
from posthouse.transports.codec import DISCARD_BYTES, Codec, Ended, Finish, Output, Pause, Resume, Shut

from .requests import RequestReader
from .routes import Call
from .state import BODY, CLOSED, HEAD, IDLE, TRANSITIONS, YIELDED, HttpEvent


class Ending(Codec):
    """The state of one socket, and its way to the end."""

    def __init__(self, config: Config, reader: RequestReader, now: float) -> None:
        self.output: list[Output] = []
        self._config: Final = config
        self._reader: Final = reader
        self._state = HEAD
        self._deadline: float | None = now + config.head_timeout
        self._draining = False
        self._paused = False
        self._gone_at: float | None = None  # the input has ended, and the client waits so long
        self._discarded = 0
        self._authenticated = not config.require_authentication
        self._arriving: Call | None = None  # its body is read when its client is admitted
        self._announced: Call | None = None  # its body is read, or will be, when its credentials were verified

    def limit_messages(self, *, authenticated: bool) -> None:
        """The messages of the WebSocket that `accept` begins."""
        self._authenticated = authenticated

    def drain(self) -> None:
        """A shut-down has begun: from now on the socket is closed behind the next answer, and the answer says so."""
        self._draining = True

    def close_idle(self, now: float) -> None:
        """Close, unless a request is being answered or its body is being received."""
        if self._state is IDLE or self._state is HEAD or self._state is YIELDED:
            self._close()

    def close(self, code: int, now: float) -> None:
        """Close behind all sent bytes. HTTP cannot carry the code."""
        self._close()

    def _linger(self) -> None:
        """Nothing follows: half-close, and give the client some time to close first."""
        self._state = TRANSITIONS[self._state][HttpEvent.LAST_ANSWER]
        self.output.append(Finish())
        waiting = len(self._reader.take())
        self._hold_back()
        if self._gone_at is not None:
            self._close()
        else:
            self._discard(waiting)

    def _close(self, *, flush: bool = True) -> None:
        if self._state is not CLOSED:
            if self._state is BODY and self._announced is not None:
                self.output.append(Ended(None))
            self._state = TRANSITIONS[self._state][HttpEvent.CLOSE]
            self._deadline = None
            self._reader.drop()
            self.output.append(Shut(flush))

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > DISCARD_BYTES:
            self._close()

    def _hold_back(self) -> None:
        """Pause while more bytes wait than the largest head has."""
        if self._arriving is not None:
            return  # its client is admitted or refused at once, and then its body does not wait
        full = len(self._reader.buffer) > self._config.max_head_bytes
        if full != self._paused and self._state is not CLOSED:
            self._paused = full
            self.output.append(Pause() if full else Resume())
