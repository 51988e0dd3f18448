"""Streams over a socket: TCP with or without TLS, and unix sockets."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from posthouse.adapters.terminal import Misuse

from .deadline import READ_BYTES, Deadline, NoConnection, TimedOut


class SocketStream:
    """A connected socket, with or without TLS."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket: Final = connected
        self.deadline = deadline

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._socket.settimeout(self.deadline.left())
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise self.deadline.expired() from None
        except OSError:
            return  # the peer may have answered before it closed: `receive` reports the end

    def receive(self) -> bytes:
        """Some bytes, or none at the end."""
        self._socket.settimeout(self.deadline.left())
        try:
            return self._socket.recv(READ_BYTES)
        except TimeoutError:
            raise self.deadline.expired() from None
        except OSError as error:
            raise NoConnection(f"the connection broke: {error.strerror or error}") from None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def open_tcp(host: str, port: int, deadline: Deadline, tls: ssl.SSLContext | None = None) -> SocketStream:
    """Connect over TCP, and over TLS if `tls` is given. Raises NoConnection."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        connected = socket.create_connection((host, port), deadline.left())
    except socket.gaierror as error:
        raise NoConnection(f"cannot resolve {host}: {error.strerror}", hint="check the spelling of the name") from None
    except ConnectionRefusedError:
        hint = "check that the server runs, and that this is its port"
        raise NoConnection(f"nothing listens on {where}", hint=hint) from None
    except TimeoutError:
        raise NoConnection(f"no connection to {where} within {deadline.seconds:g} s") from None
    except OSError as error:
        raise NoConnection(f"no connection to {where}: {error.strerror or error}") from None
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return SocketStream(connected, deadline)
    try:
        connected.settimeout(deadline.left())
        return SocketStream(tls.wrap_socket(connected, server_hostname=host), deadline)
    except (OSError, TimedOut) as error:
        connected.close()
        raise _no_tls(where, error) from None


def _no_tls(where: str, error: OSError | TimedOut) -> NoConnection:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "to trust its authority, use --ca FILE; to skip the check, use --insecure"
        return NoConnection(f"the certificate of {where} is not trusted: {error.verify_message}", hint=hint)
    reason = error.reason if isinstance(error, ssl.SSLError) else str(error)
    return NoConnection(f"no TLS with {where}: {reason}", hint="if the server has no TLS, use http:// or ws://")


def open_unix(path: str, deadline: Deadline) -> SocketStream:
    """Connect to a unix socket. Raises NoConnection."""
    left = deadline.left()
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(left)
        connected.connect(path)
    except OSError as error:
        connected.close()
        refused = isinstance(error, ConnectionRefusedError)
        reason = "nothing listens there" if refused else error.strerror or str(error)
        raise NoConnection(f"no connection to {path}: {reason}", hint="check that the server runs") from None
    return SocketStream(connected, deadline)


def tls_context(*, authority: str | None, insecure: bool) -> ssl.SSLContext:
    """The TLS settings of a client. `authority` is a PEM file that replaces the system's authorities. Raises Misuse."""
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:
        reason = "it contains no certificate (PEM)" if isinstance(error, ssl.SSLError) else error.strerror
        raise Misuse(f"cannot use {authority}: {reason}") from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
