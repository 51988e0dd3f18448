"""What must always be true of a gateway and its switchboard, and what must be true when nothing is left to do.

Each function is one kind of fact, changes nothing and raises `Violation`. `check` is all of them, and `check_touched`
what a step can have broken where it touched few sockets: simulations call it after every step, and `check` as often as
they can afford. `Witness` stands outside, and sees the actions alone.

| fact | where |
|---|---|
| calls: slots, caps, one outcome | `calls`, `calls_of`, `Witness` |
| joint tables: who is found where | `tables`, `line_of` |
| flow: what is held and queued adds up | `flow`, `flow_of`, `line_of` |
| time: nothing is overdue, everything that waits has a deadline | `time`, `line_of` |
| totality: an input leaves no work behind | `totality` |
| order: nothing comes behind its end, or before its beginning | `Witness` |
| chunking: where bytes are cut changes nothing | `chunking`, `Heard` |
| shutdown: it ends, once, and nothing begins after it | `shutdown`, `Witness` |

That every request is answered once, to who asked, is what `posthouse.adapters.simulation.Model` holds.
"""

from __future__ import annotations

from .chunking import Heard, chunking
from .state import (
    calls,
    calls_of,
    check,
    check_at_rest,
    check_touched,
    flow,
    flow_of,
    line_of,
    shutdown,
    tables,
    time,
    totality,
)
from .violation import Violation, must
from .witness import Witness

__all__ = [
    "Heard",
    "Violation",
    "Witness",
    "calls",
    "calls_of",
    "check",
    "check_at_rest",
    "check_touched",
    "chunking",
    "flow",
    "flow_of",
    "line_of",
    "must",
    "shutdown",
    "tables",
    "time",
    "totality",
]
