"""The machine of a server, as protocols. The server uses the world outside of its event loop only through them.

Names, arguments and errors are those of the standard library, so that its own objects implement the protocols. Only the
methods of sockets are called for each message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from os import PathLike
from typing import Any, Final, Never, Protocol

READ: Final = 1
WRITE: Final = 4
"""Events of a selector: EPOLLIN and EPOLLOUT."""

Address = tuple[Any, ...]
"""A host, a port, and more for IPv6."""


class Socket(Protocol):
    """A socket: connected, listening, or one that speaks TLS. It does not block."""

    @property
    def family(self) -> int: ...

    def fileno(self) -> int: ...

    def setblocking(self, flag: bool, /) -> None: ...

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...

    def bind(self, address: Any, /) -> None: ...

    def listen(self, backlog: int, /) -> None: ...

    def getsockname(self) -> Any: ...

    def accept(self) -> tuple[Socket, Any]: ...

    def recv(self, size: int, /) -> bytes: ...

    def send(self, data: bytes | memoryview, /) -> int: ...

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


class TlsSocket(Socket, Protocol):
    """A socket that speaks TLS."""

    def do_handshake(self) -> None: ...

    def pending(self) -> int: ...

    def unwrap(self) -> object: ...


class TlsContext(Protocol):
    """A certificate and the rules of its handshakes."""

    def wrap_socket(self, sock: Any, *, server_side: bool, do_handshake_on_connect: bool) -> TlsSocket: ...


class Selector(Protocol):
    """Tells which sockets are ready: `select.epoll`, level-triggered. It can itself be waited for."""

    def fileno(self) -> int: ...

    def register(self, descriptor: int, events: int, /) -> object: ...

    def modify(self, descriptor: int, events: int, /) -> object: ...

    def unregister(self, descriptor: int, /) -> object: ...

    def poll(self, timeout: float, most: int, /) -> list[tuple[int, int]]:
        """Wait up to `timeout` seconds. Returns about `most` ready descriptors, with their events. Further bits beside
        `READ | WRITE` mean an error, or a peer that has hung up."""
        ...

    def close(self) -> None: ...


class Sockets(Protocol):
    """Sockets, selectors, and addresses."""

    def selector(self) -> Selector: ...

    def pair(self) -> tuple[Socket, Socket]:
        """Two sockets that are connected with each other."""
        ...

    def open(self, family: int) -> Socket:
        """A new stream socket of this family."""
        ...

    def adopt(self, descriptor: int) -> Socket:
        """The socket of this descriptor, which listens. Raises OSError if it is none, and then leaves it open."""
        ...

    def addresses(self, host: str, port: int) -> list[tuple[int, Address]]:
        """The families and addresses of a host on which a server can listen. Raises OSError."""
        ...

    def tls(
        self, cert: str | PathLike[str], key: str | PathLike[str] | None, passphrase: str | None = None
    ) -> TlsContext:
        """A context with the certificate of these files, whose key may have a passphrase. Raises OSError that names the
        file."""
        ...


class Descriptors(Protocol):
    """Descriptors of files and pipes. `pipe`, `dup`, `close`, `read` and `write` are those of `os`."""

    def limit(self) -> float:
        """The number below which all descriptors of this process stay."""
        ...

    def null(self) -> int:
        """A new descriptor of the null device. Raises OSError if all are in use."""
        ...

    def pipe(self) -> tuple[int, int]: ...

    def dup(self, descriptor: int, /) -> int: ...

    def close(self, descriptor: int, /) -> None: ...

    def read(self, descriptor: int, size: int, /) -> bytes: ...

    def write(self, descriptor: int, data: bytes, /) -> int: ...

    def waiting(self, *, read: Sequence[int] = (), write: Sequence[int] = ()) -> Callable[[], object]:
        """Returns a function that blocks its thread until one of these descriptors is ready, or has an error."""
        ...


class Condition(Protocol):
    """A lock, on whose state threads can wait: `threading.Condition`."""

    def __enter__(self) -> bool: ...

    def __exit__(self, *error: Any) -> object: ...

    def wait(self, timeout: float | None = None) -> bool: ...

    def notify(self, n: int = 1) -> None: ...

    def notify_all(self) -> None: ...


class Queue(Protocol):
    """A queue without a bound, with a reentrant `put`: `queue.SimpleQueue`."""

    def put(self, item: int | None, /) -> None: ...

    def get(self, *, timeout: float | None = None) -> int | None:
        """Wait for the next item. Raises queue.Empty after `timeout` seconds."""
        ...


class Threads(Protocol):
    """Threads, and the objects with which they wait for each other. No thread delays the exit of the process."""

    def start(self, work: Callable[[], None], name: str) -> None: ...

    def every(self, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
        """Call a function every so many seconds, in a thread. Returns a function that stops this."""
        ...

    def condition(self) -> Condition: ...

    def future(self) -> Future[Any]: ...

    def queue(self) -> Queue: ...


class Signals(Protocol):
    """Signals, and the exit of the process."""

    def available(self) -> bool:
        """May this thread handle signals?"""
        ...

    def handle(self, number: int, handler: Any) -> Any:
        """Set the handler of a signal. Returns the previous one."""
        ...

    def wake_up(self, descriptor: int) -> int:
        """Write a byte to this descriptor at each signal, to none if it is -1: `signal.set_wakeup_fd`. Returns the
        previous descriptor."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        ...

    def flush(self) -> None:
        """Write the rest of the log and of the standard streams."""
        ...

    def exit(self, code: int) -> Never:
        """End the process at once."""
        ...


class System(Protocol):
    """A machine. `now()` is monotonic seconds, `wall()` Unix seconds, `entropy(n)` n unpredictable bytes."""

    @property
    def now(self) -> Callable[[], float]: ...

    @property
    def wall(self) -> Callable[[], float]: ...

    @property
    def entropy(self) -> Callable[[int], bytes]: ...

    @property
    def sockets(self) -> Sockets: ...

    @property
    def descriptors(self) -> Descriptors: ...

    @property
    def threads(self) -> Threads: ...

    @property
    def signals(self) -> Signals: ...

    def collector(self) -> AbstractContextManager[None]:
        """Tune the garbage collector for a server, until the context is left."""
        ...
