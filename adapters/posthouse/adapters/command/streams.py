"""Blocking bytes with a deadline, for a command that does one thing: over TCP, TLS, a unix socket, or a child's pipes.

What goes wrong is a Failure with a line that says what to do. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import os
import select
import shlex
import socket
import ssl
import subprocess
import time
from typing import Final, Protocol

from posthouse.adapters.terminal import Failure, Misuse

READ_BYTES: Final = 65536
NO_CONNECTION: Final = 3
"""The exit code for what could not be reached, or went before it answered."""

CHILD_GRACE: Final = 5.0
"""Seconds that a child has to end after its input did; and again after it was told to."""


class NoConnection(Failure):
    """There is no connection, or no longer."""

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text, hint=hint, status=NO_CONNECTION)


class TimedOut(Failure):
    """The deadline has passed."""


class Deadline:
    """So many seconds from now, for all that is done until then."""

    def __init__(self, seconds: float) -> None:
        self.seconds: Final = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then, never 0. Raises TimedOut."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.expired()
        return left

    def expired(self) -> TimedOut:
        """What to raise when it has passed."""
        return TimedOut(f"no answer within {self.seconds:g} s", hint="give it longer with --timeout SECONDS")


class Stream(Protocol):
    """Bytes to and from the other end, until `deadline`."""

    deadline: Deadline

    def send(self, data: bytes) -> None:
        """All of it. Raises NoConnection or TimedOut."""
        ...

    def receive(self) -> bytes:
        """Some bytes, none at their end. Raises NoConnection or TimedOut."""
        ...

    def close(self) -> None:
        """No more. Never raises."""
        ...


class SocketStream:
    """A connected socket, with or without TLS."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket: Final = connected
        self.deadline = deadline

    def send(self, data: bytes) -> None:
        """All of it."""
        self._socket.settimeout(self.deadline.left())
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise self.deadline.expired() from None
        except OSError:
            return  # it may have answered before it went: whoever reads finds out

    def receive(self) -> bytes:
        """Some bytes, none at their end."""
        self._socket.settimeout(self.deadline.left())
        try:
            return self._socket.recv(READ_BYTES)
        except TimeoutError:
            raise self.deadline.expired() from None
        except OSError as error:
            raise NoConnection(f"the connection broke: {error.strerror or error}") from None

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class ChildStream:
    """A process that was started for this: its standard input and output. Its standard error is ours."""

    def __init__(self, command: list[str], deadline: Deadline) -> None:
        try:
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise NoConnection(f"cannot run {command[0]}: {error.strerror}") from None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._input: Final = self._child.stdin
        self._output: Final = self._child.stdout
        self.deadline = deadline
        os.set_blocking(self._input.fileno(), False)  # our end alone: a pipe's two ends do not share it

    def send(self, data: bytes) -> None:
        """All of it."""
        rest = memoryview(data)
        while rest:
            if not select.select([], [self._input], [], self.deadline.left())[1]:
                raise self.deadline.expired()
            try:
                rest = rest[os.write(self._input.fileno(), rest) :]
            except BrokenPipeError:
                return  # it may have answered before it went: whoever reads finds out

    def receive(self) -> bytes:
        """Some bytes, none at their end."""
        if not select.select([self._output], [], [], self.deadline.left())[0]:
            raise self.deadline.expired()
        return os.read(self._output.fileno(), READ_BYTES)

    def close(self) -> None:
        """End its input, and see that it ends: by itself, else told to, else killed."""
        self._input.close()
        for end in (self._child.terminate, self._child.kill):
            if self._ends():
                break
            end()
        self._child.wait()
        self._output.close()

    def _ends(self) -> bool:
        """Discard what it still says, so that it is not held up, until it has ended or had its time."""
        until = time.monotonic() + CHILD_GRACE
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._output], [], [], left)[0]:
                return False
            if not os.read(self._output.fileno(), READ_BYTES):
                break
        try:
            self._child.wait(max(left, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


def open_tcp(host: str, port: int, deadline: Deadline, tls: ssl.SSLContext | None = None) -> SocketStream:
    """Connect over TCP, with TLS where `tls` says how. Raises NoConnection."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        connected = socket.create_connection((host, port), deadline.left())
    except socket.gaierror as error:
        raise NoConnection(f"{host} cannot be resolved: {error.strerror}", hint="is the name right?") from None
    except ConnectionRefusedError:
        raise NoConnection(f"nothing listens on {where}", hint="is the server running, and on this port?") from None
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
        hint = "name the authority that signed it with --ca FILE, or do not check it: --insecure"
        return NoConnection(f"the certificate of {where} is not trusted: {error.verify_message}", hint=hint)
    reason = error.reason if isinstance(error, ssl.SSLError) else str(error)
    return NoConnection(f"no TLS with {where}: {reason}", hint="if the server does not speak it, say http:// or ws://")


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
        raise NoConnection(f"no connection to {path}: {reason}", hint="is the server running?") from None
    return SocketStream(connected, deadline)


def open_child(command: str, deadline: Deadline) -> ChildStream:
    """Start a process, by its words as a shell would split them. Raises NoConnection, or Misuse for no command."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Misuse(f"the command {command!r} cannot be read: {error}") from None
    if not words:
        raise Misuse("stdio: names no command", hint="such as stdio:'posthouse stdio calculator:service'")
    return ChildStream(words, deadline)


def tls_context(*, authority: str | None, insecure: bool) -> ssl.SSLContext:
    """How to trust: `authority` is a PEM file in place of the system's. Raises Misuse for one that is none."""
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:
        reason = "it holds no certificate (PEM)" if isinstance(error, ssl.SSLError) else error.strerror
        raise Misuse(f"cannot use {authority}: {reason}") from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
