"""What goes wrong in a machine, and how often. A storm draws it; a test chooses it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from posthouse.core.values.errors import UsageError

ACCEPT_ERRORS: Final = (errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EINTR)

NETWORK_ERRORS: Final = (errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ECONNRESET)
"""The errors of a connection that the network has cut."""

LAST_CALLS: Final = (3, 30)
"""A connection breaks at one of so many calls."""

NOTICED: Final = (0.0, 0.5, 5.0)
"""Seconds after which a client notices that the network has cut its connection."""

CROWDED: Final = (0.01, 0.3, 3.0)
"""Seconds for which other processes take all files of the machine."""

DESCRIPTORS: Final = 1024
BACKLOG: Final = 4096
"""The usual limits of a process on Linux: its descriptors, and the clients that wait until they are accepted."""


class MachineFaults(Struct, frozen=True):
    """What goes wrong in a machine. Weights say how often, in a thousand. Raises UsageError for invalid values.

    In calls: `accept` has no descriptor, or its client has gone. `spurious`: a read finds nothing although the socket
    was ready. `partial`: a write takes only a part of what fits. `options`: the options of a connection that the
    network has cut cannot be set, as on macOS.

    In connections, at one of their first calls: `failing`: the network cuts them. `broken_output`: writes fail, while
    the bytes of the client still arrive. `hung_up`: the client is gone, and reading its pipe fails, as from a terminal
    that was closed. `crowded`: other processes take all files of the machine for a while. `unix`: the client comes over
    a unix socket.

    In TLS handshakes: `handshake_failing`, `handshake_stalling`: they fail, or never end. `handshake_writing`: they
    wait until they can write.

    `reordered`: in rounds of the event loop, the tasks that are ready run in another order, or sockets are found to be
    ready a round later. `signals`: in turns of a storm, a signal comes; then the server handles signals. `secure`: the
    server speaks TLS. `trio`: it runs on trio, whose order of tasks is drawn in any case. `descriptors`: the number of
    descriptors of the process. `backlog`: the most clients that wait to be accepted.
    """

    accept: int = 0
    spurious: int = 0
    partial: int = 0
    options: int = 0
    failing: int = 0
    broken_output: int = 0
    hung_up: int = 0
    crowded: int = 0
    unix: int = 0
    handshake_failing: int = 0
    handshake_stalling: int = 0
    handshake_writing: int = 0
    reordered: int = 0
    signals: int = 0
    secure: bool = False
    trio: bool = False
    descriptors: int = DESCRIPTORS
    backlog: int = BACKLOG

    def __post_init__(self) -> None:
        if not all(0 <= getattr(self, name) <= 1000 for name in WEIGHTS):
            raise UsageError(f"{self} must have weights from 0 to 1000: it is how often in a thousand")


WEIGHTS: Final = tuple(
    name for name in MachineFaults.__struct_fields__ if name not in ("secure", "trio", "descriptors", "backlog")
)
"""The names of the faults that have a weight."""


class Fate:
    """What happens to a connection after a number of calls."""

    __slots__ = ("_calls", "_meet")

    def __init__(self, calls: int, meet: Callable[[], object]) -> None:
        self._calls = calls
        self._meet: Final = meet

    def call(self) -> None:
        """The process uses the connection."""
        self._calls -= 1
        if self._calls == -1:
            self._meet()
