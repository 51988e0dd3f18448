"""Listen: names become addresses, addresses become listening sockets. Nothing here accepts.

TCP over IPv4 and IPv6, with TLS or without, and unix sockets that only their owner may connect to.
"""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import closing
from ipaddress import ip_address
from typing import Final

from msgspec import Struct
from posthouse.adapters.system.system import Address, Socket, Sockets
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

BACKLOG: Final = 1024
"""The number of connections that the kernel queues until they are accepted."""

UNIX_MODE: Final = 0o600
"""The mode of a unix socket: only its owner may connect."""

PICKS: Final = 16
"""How often a free port is picked for several addresses. Another program may use it on one of them."""


class Bound(Struct, frozen=True):
    """An address that a server listens on: `path` for a unix socket, else `host` and `port`."""

    host: str = ""
    port: int = 0
    path: str = ""
    secure: bool = False

    @property
    def url(self) -> str:
        """The address as clients write it: `http://127.0.0.1:8000`, `https://[::1]:8443`, `unix:/run/service.sock`."""
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


class Listener:
    """One listening socket, non-blocking. The path of an `adopted` one is another program's. `probes`: only probes are
    answered there. `identity` is that of its callers, None: that of the policy."""

    __slots__ = ("_identity", "bound", "identity", "probes", "socket")

    def __init__(self, listening: Socket, bound: Bound, *, adopted: bool = False) -> None:
        listening.setblocking(False)
        self.socket: Final = listening
        self.bound: Final = bound
        self.probes = False
        self.identity: Identity | None = None
        self._identity = None if adopted else _identity(bound.path)

    def close(self) -> None:
        """Stop listening. Removes the path of a unix socket, unless it is another's by now. Twice is harmless."""
        # Compared before closing: afterwards another file may have the same inode.
        ours = self.socket.fileno() >= 0 and self._identity is not None and self._identity == _identity(self.bound.path)
        self.socket.close()
        if ours:
            os.unlink(self.bound.path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None  # no such file, or no path at all
    return status.st_dev, status.st_ino


def is_loopback(sockets: Sockets, host: str) -> bool:
    """Do all addresses of this host belong to this machine alone? Raises OSError for a name that cannot be resolved."""
    return all(ip_address(address[0].partition("%")[0]).is_loopback for _, address in _resolve(sockets, host, 0))


def _resolve(sockets: Sockets, host: str, port: int) -> list[tuple[int, Address]]:
    try:
        return sockets.addresses(host, port)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "it is not a host name"
        raise OSError(errno.EADDRNOTAVAIL, f"cannot resolve {host!r}: {reason}") from None


def listen_tcp(
    sockets: Sockets, hosts: Sequence[str], port: int, *, secure: bool = False, shared: bool = False
) -> list[Listener]:
    """Listen on every address of `hosts`, all on the same port. Addresses of a name that this machine does not have are
    skipped. Raises OSError if a host has no other address, and then listens on none.

    Port 0 picks a port that is free on the first address. If it is in use on another one, pick again. `shared`: other
    sockets that are shared may listen there, too (SO_REUSEPORT), and Linux divides the clients between them.
    """
    for _ in range(PICKS - 1 if port == 0 else 0):
        try:
            return _listen_all(sockets, hosts, port, secure=secure, shared=shared)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return _listen_all(sockets, hosts, port, secure=secure, shared=shared)


def _listen_all(sockets: Sockets, hosts: Sequence[str], port: int, *, secure: bool, shared: bool) -> list[Listener]:
    listeners: list[Listener] = []
    try:
        for host in hosts:
            before, missing = len(listeners), None
            for family, address in _resolve(sockets, host, port):
                try:
                    listener = _listen(sockets.open(family), address, port, secure=secure, shared=shared)
                except OSError as error:
                    named = OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}")
                    if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                        raise named from None
                    missing = named
                else:
                    listeners.append(listener)
                    port = listener.bound.port  # port 0 picks one, for all listeners
            if len(listeners) == before and missing is not None:
                raise missing
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen(listening: Socket, address: Address, port: int, *, secure: bool, shared: bool) -> Listener:
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if listening.family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address[0], port, *address[2:]))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    host, bound_port = listening.getsockname()[:2]
    return Listener(listening, Bound(host, bound_port, secure=secure))


def adopt(sockets: Sockets, descriptor: int, *, secure: bool = False) -> Listener:
    """Use a socket that another program has opened, and that listens. Raises OSError if the descriptor has none."""
    try:
        listening = sockets.adopt(descriptor)
        name = listening.getsockname()
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on the descriptor {descriptor}: {error.strerror}") from None
    if listening.family == socket.AF_UNIX:
        path = os.fsdecode(name)
        return Listener(listening, Bound(path=path or f"descriptor {descriptor}"), adopted=True)
    return Listener(listening, Bound(name[0], name[1], secure=secure), adopted=True)


def listen_unix(
    sockets: Sockets, path: str, *, mode: int = UNIX_MODE, group: str | None = None, secure: bool = False
) -> Listener:
    """Listen on a unix socket with this mode, that belongs to this group (None: that of the process). A stale socket is
    replaced.

    Raises UsageError if another server listens there, the path is not a socket, or there is no such group; OSError if
    it cannot be created.
    """
    if not path:
        raise UsageError("the path of the unix socket is empty")
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        pass
    else:
        if not is_socket:
            raise UsageError(f"{path} exists and is not a socket: use another path, or remove it")
        if _answers(path):
            raise UsageError(f"{path} is in use: another server listens there")
        os.unlink(path)
    number = None if group is None else _group(group)
    listening = sockets.open(socket.AF_UNIX)
    before = os.umask(0o777 if number is not None else 0o777 & ~mode)  # it never exists with wider permissions
    try:
        listening.bind(path)
        if number is not None:
            os.chown(path, -1, number)
            os.chmod(path, mode)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    return Listener(listening, Bound(path=os.path.abspath(path), secure=secure))


def _group(name: str) -> int:
    """The number of this group. Raises UsageError if there is none."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise UsageError(f"there is no group {name!r} on this machine") from None


def _answers(path: str) -> bool:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # its backlog is full, so a server listens
        return True
