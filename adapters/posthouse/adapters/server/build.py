"""How a server is built: the machine under it, and the class of its gateway. A simulation builds it otherwise.

Nothing here is an option for users: those are arguments of `serve`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from msgspec import Struct
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.system.clock import Clock
from posthouse.adapters.system.machine import Machine
from posthouse.adapters.system.system import System
from posthouse.core.gateway import Gateway
from posthouse.core.values.lifecycle import EventName
from posthouse.core.values.peers import Identity
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.switchboard import Switchboard

from .entrances.endpoints import Endpoints

Watch = Callable[[Runner, Endpoints, Runs, Events], object]
"""Gets the parts of each server that is ready to run."""


class Build(Struct, frozen=True):
    """How servers are built. A simulation builds them for a machine of its own, with a gateway that it checks.

    `board` is the class of the switchboard. One that is `hosted` has its clients from an application; `callers` stand
    for those that it identifies. `policy` stands for the one that follows from the arguments. `write` takes
    each line of a journal; `events` are told
    in any case, and with `tell_exchanges` those of every exchange. `direct` is as for a Switchboard.
    """

    machine: Callable[[Clock], System] = Machine
    gateway: type[Gateway] = Gateway
    board: type[Switchboard] = Switchboard
    hosted: bool = False
    callers: tuple[Identity, ...] = ()
    policy: Policy | None = None
    write: Callable[[bytes], object] | None = None
    events: tuple[EventName, ...] = ()
    tell_exchanges: bool = False
    direct: bool = True
    watch: Watch | None = None


BUILD: Final[ContextVar[Build]] = ContextVar("build")
"""How `serve` builds a server in this context, if not as usual."""
