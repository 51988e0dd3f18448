"""TLS as a shim: bytes pass through unchanged. A handshake takes some turns, and it can fail.

What is decrypted already and not yet read, which a selector does not see, exists here too.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, Final

from posthouse.adapters.simulation.chance import Stream

from .unconnected import SimulatedSocket

RECORD: Final = 16_384
"""The bytes that one record carries: so many are decrypted at once."""


class SimulatedTls:
    """A context whose handshakes fail so often in a thousand."""

    def __init__(self, stream: Stream) -> None:
        self.failing = 0
        self._stream: Final = stream

    def wrap_socket(self, sock: Any, *, server_side: bool, do_handshake_on_connect: bool) -> SimulatedTlsSocket:
        return SimulatedTlsSocket(sock, fails=self._stream.happens(self.failing))


class SimulatedTlsSocket:
    """A socket under the shim. `fails`: its handshake does."""

    def __init__(self, under: SimulatedSocket, *, fails: bool) -> None:
        self.family: Final = under.family
        self._under: Final = under
        self._fails: Final = fails
        self._shaken = False
        self._decrypted: Final = bytearray()
        self.fileno: Final = under.fileno
        self.setblocking: Final = under.setblocking
        self.setsockopt: Final = under.setsockopt
        self.bind: Final = under.bind
        self.listen: Final = under.listen
        self.getsockname: Final = under.getsockname
        self.accept: Final = under.accept
        self.shutdown: Final = under.shutdown
        self.close: Final = under.close

    @property
    def broken(self) -> bool:
        """The server was told of an error."""
        return self._fails or getattr(self._under, "broken", False)

    def do_handshake(self) -> None:
        """It needs the first bytes of the client, as a real one does."""
        if not self._fill():
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
        if self._fails:
            raise ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher")
        self._shaken = True

    def _fill(self) -> bool:
        """Decrypt what has come. False: the input has ended."""
        try:
            data = self._under.recv(RECORD)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None
        self._decrypted.extend(data)
        return bool(data)

    def pending(self) -> int:
        return len(self._decrypted)

    def recv(self, size: int) -> bytes:
        if not self._decrypted and not self._fill():
            return b""
        data = bytes(self._decrypted[:size])
        del self._decrypted[:size]
        return data

    def send(self, data: bytes | memoryview) -> int:
        try:
            return self._under.send(data)
        except BlockingIOError:
            raise ssl.SSLWantWriteError from None

    def unwrap(self) -> SimulatedSocket:
        """Send close_notify: one direction is closed. The peer's has not come."""
        self._under.shutdown(socket.SHUT_WR)
        raise ssl.SSLWantReadError
