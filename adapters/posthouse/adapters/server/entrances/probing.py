"""A port for probes alone: `/metrics`, `/stats` and `/health`. It speaks plain HTTP, and takes no calls.

On a loopback address it answers every program of this machine. Elsewhere its callers need the scope `admin`.
"""

from __future__ import annotations

import re
from typing import Final

from posthouse.adapters.system.system import Sockets
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

from .listeners import Listener, adopt, is_loopback, listen_tcp

ADDRESS: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+)):([0-9]{1,5})")
DESCRIPTOR: Final = re.compile(r"fd:([0-9]+)")

OPERATOR: Final = Identity(scopes=("admin",))
"""The caller of a port that only this machine can reach."""


def check_metrics(value: object) -> None:
    """Raise UsageError unless this is an address for metrics."""
    if not isinstance(value, str):
        raise UsageError(f"metrics is {value!r}, but must be an address, such as '127.0.0.1:9100'")
    found = ADDRESS.fullmatch(value)
    if not DESCRIPTOR.fullmatch(value) and (found is None or int(found[3]) > 65535):
        raise UsageError(f"metrics {value!r}: write a host and a port from 0 to 65535, such as '127.0.0.1:9100'")


def listen_for_probes(sockets: Sockets, address: str) -> Listener:
    """Listen on HOST:PORT, or take the socket of `fd:N`. Raises OSError as `listen_tcp` does."""
    taken, found = DESCRIPTOR.fullmatch(address), ADDRESS.fullmatch(address)
    if taken is not None:
        listener = adopt(sockets, int(taken[1]))
    else:
        assert found is not None
        listener, *others = listen_tcp(sockets, [found[1] or found[2]], int(found[3]))
        for other in others:  # a name with several addresses: one is enough for a scraper
            other.close()
    listener.probes = True
    listener.identity = OPERATOR if listener.bound.path or is_loopback(sockets, listener.bound.host) else None
    return listener
