"""TLS as a shim: bytes pass through unchanged. A handshake waits for bytes of the client, and it can fail or stall.

As in OpenSSL, a whole record is decrypted at once. A selector does not see decrypted bytes: `pending` counts them. A
write takes all of its bytes or none: if the socket takes a part, the same bytes must be written again.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, Final, Literal

from .sockets import Kernel, StreamSocket

RECORD: Final = 16_384
"""The number of bytes that one record carries."""

Course = Literal["succeeds", "fails", "stalls", "writes"]
"""The course of a handshake. One that `writes` first waits until it can write."""


class SimulatedTls:
    """A context for TLS. The faults of the kernel decide how handshakes go."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel: Final = kernel

    def wrap_socket(self, sock: Any, *, server_side: bool, do_handshake_on_connect: bool) -> SimulatedTlsSocket:
        return SimulatedTlsSocket(sock, self._course())

    def _course(self) -> Course:
        happens, faults = self._kernel.stream.happens, self._kernel.faults
        if happens(faults.handshake_failing):
            return "fails"
        if happens(faults.handshake_stalling):
            return "stalls"
        return "writes" if happens(faults.handshake_writing) else "succeeds"


class SimulatedTlsSocket:
    """A socket that speaks TLS, over another one."""

    def __init__(self, under: StreamSocket, course: Course) -> None:
        self.family: Final = under.family
        self._under: Final = under
        self._course = course
        self._shaken = False
        self._decrypted: Final = bytearray()
        self._refused = b""  # the bytes of a write that was not complete
        self._taken = 0  # how many of them were sent
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
        return self._under.broken

    def do_handshake(self) -> None:
        """Shake hands. As a real handshake, it needs first bytes of the client, and leaves those behind it unread."""
        if self._course == "stalls" or not self._under.unread:
            if not self._fill():
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
            self._decrypted.clear()
            raise ssl.SSLWantReadError
        if self._course == "fails":
            raise ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher")
        if self._course == "writes":
            self._course = "succeeds"
            raise ssl.SSLWantWriteError
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
        if not bytes(data).startswith(self._refused):
            raise ssl.SSLError(1, "[SSL: BAD_WRITE_RETRY] bad write retry")
        while self._taken < len(data):
            try:
                self._taken += self._under.send(data[self._taken :])
            except BlockingIOError:
                self._refused = bytes(data)
                raise ssl.SSLWantWriteError from None
        self._refused, self._taken = b"", 0
        return len(data)

    def unwrap(self) -> StreamSocket:
        """Send close_notify, which closes one direction. It does not wait for the close_notify of the peer."""
        if not self._shaken:
            raise ssl.SSLError(1, "[SSL: SHUTDOWN_WHILE_IN_INIT] shutdown while in init")
        self._under.shutdown(socket.SHUT_WR)
        raise ssl.SSLWantReadError
