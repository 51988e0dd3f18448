"""Streams of bytes to and from a server, until a deadline: over TCP, TLS, a unix socket, or the pipes of a process."""

from __future__ import annotations

import os
import select
import shlex
import socket
import ssl
import subprocess
import time
from typing import Final

from posthouse.adapters.terminal import Failure, Misuse

READ_BYTES: Final = 65536
"""Read at most this many bytes at once."""

EXIT_GRACE: Final = 5.0
"""Seconds that the process has to exit after its input ends, and again after it was told to terminate."""


class NoConnection(Failure):
    """The connection cannot be opened, or ended before the answer: exit code 3."""

    status = 3


class TimedOut(Failure):
    """The deadline has passed."""


class Deadline:
    """A number of seconds from now, shared by everything that is done until then."""

    def __init__(self, seconds: float) -> None:
        self.seconds: Final = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left, always above 0. Raises TimedOut."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.expired()
        return left

    def expired(self) -> TimedOut:
        """The exception to raise when the deadline has passed."""
        return TimedOut(f"no answer within {self.seconds:g} s", hint="to wait longer, use --timeout SECONDS")


class SocketStream:
    """A connected socket, with or without TLS."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket: Final = connected
        self.deadline = deadline

    def send(self, data: bytes) -> None:
        """Send all of it. Raises NoConnection or TimedOut."""
        self._socket.settimeout(self.deadline.left())
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise self.deadline.expired() from None
        except OSError:
            return  # the peer may have answered before it closed: `receive` reports the end

    def receive(self) -> bytes:
        """Some bytes, or none at the end. Raises NoConnection or TimedOut."""
        self._socket.settimeout(self.deadline.left())
        try:
            return self._socket.recv(READ_BYTES)
        except TimeoutError:
            raise self.deadline.expired() from None
        except OSError as error:
            raise NoConnection(f"the connection broke: {error.strerror or error}") from None

    def close(self) -> None:
        self._socket.close()


class ProcessStream:
    """The standard input and output of a process. Its standard error is ours."""

    def __init__(self, command: list[str], deadline: Deadline) -> None:
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise NoConnection(f"cannot run {command[0]}: {error.strerror}") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input: Final = self._process.stdin
        self._output: Final = self._process.stdout
        self.deadline = deadline
        os.set_blocking(self._input.fileno(), False)  # this changes our end of the pipe alone

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if not select.select([], [self._input], [], self.deadline.left())[1]:
                raise self.deadline.expired()
            try:
                rest = rest[os.write(self._input.fileno(), rest) :]
            except BrokenPipeError:
                return  # the process may have answered before it exited: `receive` reports the end

    def receive(self) -> bytes:
        if not select.select([self._output], [], [], self.deadline.left())[0]:
            raise self.deadline.expired()
        return os.read(self._output.fileno(), READ_BYTES)

    def close(self) -> None:
        """End the input of the process and wait for its exit. If it does not exit, terminate it, then kill it."""
        self._input.close()
        for end in (self._process.terminate, self._process.kill):
            if self._exits():
                break
            end()
        self._process.wait()
        self._output.close()

    def _exits(self) -> bool:
        """Wait for the exit, at most `EXIT_GRACE`. Discard the output, so that the process is not blocked by it."""
        until = time.monotonic() + EXIT_GRACE
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._output], [], [], left)[0]:
                return False
            if not os.read(self._output.fileno(), READ_BYTES):
                break
        try:
            self._process.wait(max(left, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


Stream = SocketStream | ProcessStream


def open_tcp(host: str, port: int, deadline: Deadline, tls: ssl.SSLContext | None = None) -> SocketStream:
    """Connect over TCP, and over TLS if `tls` is given. Raises NoConnection."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        connected = socket.create_connection((host, port), deadline.left())
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "it is not a host name"
        raise NoConnection(f"cannot resolve {host}: {reason}", hint="check the spelling of the name") from None
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


def start_process(command: str, deadline: Deadline) -> ProcessStream:
    """Start a process. The command is split as a shell splits it. Raises NoConnection, or Misuse for a bad command."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Misuse(f"cannot parse the command {command!r}: {error}") from None
    if not words:
        raise Misuse("stdio: has no command", hint="example: stdio:'posthouse stdio calculator:service'")
    return ProcessStream(words, deadline)
