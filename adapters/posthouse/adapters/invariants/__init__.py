"""The invariants: facts that hold of a gateway and its switchboard between two inputs, and when nothing is left to do.

Each function is one kind of fact, changes nothing and raises `Violation`. They read private tables, since a fact that
joins two tables is seen nowhere else. `check` is all of them. `check_touched` checks the sockets that a step touched:
simulations call it after every step, and `check` as often as they can afford. `Witness` reads no tables: it sees the
actions alone.

| fact | function |
|---|---|
| calls: slots, caps, one outcome | `calls`, `calls_of`, `Witness` |
| tables: a connection is found wherever it should be | `tables`, `socket_of` |
| proxies: a connection has the address of its own client | `client_of` |
| identity: who waits for a verification, operations that have not ended | `identity` |
| sessions: who belongs to which, what the store is asked and told | `sessions` |
| users of the store: who is in, what is asked for them | `users` |
| topics: who is subscribed, what is kept, what waits | `topics` |
| flow: the sums of held and queued bytes are right | `flow`, `flow_of`, `socket_of` |
| time: nothing is overdue, everything that waits has a deadline | `time`, `socket_of` |
| totality: an input leaves no work behind | `totality` |
| order: nothing happens before its beginning or after its end | `Witness` |
| chunking: where bytes are cut changes nothing | `chunking`, `FirstBytes` |
| shutdown: it ends, once, and nothing begins after it | `shutdown`, `Witness` |

`posthouse.adapters.simulation.Model` holds that every request is answered once, to its caller. This folder does not
know event loops, handlers or journals.
"""

from __future__ import annotations

from .accounts.sessions import sessions
from .accounts.users import users
from .checks import check, check_at_rest, check_touched
from .chunking import FirstBytes, chunking
from .forwarding import client_of
from .gateway import calls, calls_of, flow, flow_of, shutdown
from .identity import identity
from .publishing.topics import topics
from .switchboard import socket_of, tables, time, totality
from .violation import Violation, must
from .witness import Witness

__all__ = [
    "FirstBytes",
    "Violation",
    "Witness",
    "calls",
    "calls_of",
    "check",
    "check_at_rest",
    "check_touched",
    "chunking",
    "client_of",
    "flow",
    "flow_of",
    "identity",
    "must",
    "sessions",
    "shutdown",
    "socket_of",
    "tables",
    "time",
    "topics",
    "totality",
    "users",
]
