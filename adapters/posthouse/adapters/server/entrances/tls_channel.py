"""One socket under TLS: a handshake with a deadline, then the same as `Channel`.

This module does not know certificates: they are in the context that it is given.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import INFO, report
from posthouse.adapters.system.system import READ, WRITE, Socket, TlsContext
from posthouse.core.values.peers import SocketId

from .channel import Channel

TLS_EXPIRES: Final = "tls_timeout"
"""The reason of the deadlines that are armed here; the key is the socket."""


class TlsChannel(Channel):
    """A channel under TLS. A write before the end of the handshake closes it instead."""

    __slots__ = ("_opening", "_timer", "_tls")

    def __init__(
        self,
        id: SocketId,
        accepted: Socket,
        context: TlsContext,
        runner: Runner,
        forget: Callable[[SocketId], None],
    ) -> None:
        self._tls: Final = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        super().__init__(id, self._tls, runner, forget)
        self._opening = True
        self._timer = runner.arm(runner.board.config.tls_timeout, TLS_EXPIRES, id)

    def start(self) -> None:
        self._shake_hands()

    def expire(self) -> None:
        """The deadline of the handshake has come: close the socket if the handshake has not ended."""
        if self._opening:
            report(INFO, "tls.failed", "TLS handshake timed out", socket=self.id)
            self.close(abort=True)

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._ask_for(READ)
        except ssl.SSLWantWriteError:
            self._ask_for(WRITE)
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror
            report(INFO, "tls.failed", "TLS handshake failed", socket=self.id, reason=reason)
            self.close(abort=True)
        else:
            self._opening = False
            self._runner.timers.disarm(self._timer)
            super().start()

    def _watch(self) -> None:
        if not self._opening:
            super()._watch()

    def ready(self, events: int) -> bool:
        if self._opening:
            self._shake_hands()
            return False
        small = super().ready(events)
        # The selector does not see bytes that TLS has decrypted already.
        if events & READ and self._watched & READ and self._tls.pending():
            self._runner.poller.call_soon(self._read_again)
        return small

    def _read_again(self) -> None:
        self.ready(READ)

    def start_reading(self) -> None:
        """Read again, starting with the bytes that were decrypted already."""
        super().start_reading()
        if not self._opening and self._tls.pending():
            self._runner.poller.call_soon(self._read_again)

    def flush(self) -> None:
        if self._opening:
            self.close(abort=True)
        else:
            super().flush()

    def _finish(self) -> None:
        # RFC 8446 section 6.1: close_notify closes one direction; the peer may go on sending.
        try:
            self._tls.unwrap()
        except (OSError, ValueError):
            pass  # the peer's close_notify has not come yet, or the socket is broken

    def _close_socket(self, *, abort: bool) -> None:
        if not abort:
            self._finish()
        super()._close_socket(abort=abort)
