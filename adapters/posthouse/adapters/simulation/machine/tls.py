"""TLS as a shim: bytes pass through unchanged. A handshake waits for bytes of the client, and it can fail.

As in OpenSSL, a whole record is decrypted at once. A selector does not see decrypted bytes: `pending` counts them.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, Final

from posthouse.adapters.simulation.chance import Stream

from .unconnected import SimulatedSocket

RECORD: Final = 16_384
"""The number of bytes that one record carries."""


class SimulatedTls:
    """A context for TLS. Of a thousand handshakes, about `failing` fail."""

    def __init__(self, stream: Stream) -> None:
        self.failing = 0
        self._stream: Final = stream

    def wrap_socket(self, sock: Any, *, server_side: bool, do_handshake_on_connect: bool) -> SimulatedTlsSocket:
        return SimulatedTlsSocket(sock, fails=self._stream.happens(self.failing))


class SimulatedTlsSocket:
    """A socket that speaks TLS, over another one. `fails`: its handshake fails."""

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
        """Has a call reported an error of the connection?"""
        return self._fails or getattr(self._under, "broken", False)

    def do_handshake(self) -> None:
        """Shake hands. As a real handshake, it needs the first bytes of the client."""
        if not self._fill():
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
        if self._fails:
            raise ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher")
        self._shaken = True

    def _fill(self) -> bool:
        """Decrypt the bytes that have come. Returns False at the end of the input."""
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
        """Send close_notify, which closes one direction. It does not wait for the close_notify of the peer."""
        self._under.shutdown(socket.SHUT_WR)
        raise ssl.SSLWantReadError
