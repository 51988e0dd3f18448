"""Replay: what a journal says is told to a new machine, and what follows is looked at."""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct
from posthouse.core.encoding.ordering import ordered
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Effect, Invoke
from posthouse.transports.switchboard.actions import Action
from posthouse.transports.switchboard.switchboard import Switchboard

from .entries import Journal
from .run import Effects, Failure, Run, stand_in

ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
"""Where an object is in memory: what its `repr` says when its type has none of its own."""


class Replayed(Struct, frozen=True):
    """What became of a replay: how many entries were given and how many skipped, and the first failure.

    `parted` is the first entry (from 1) from which something else began than had been recorded: it is not the same
    program any more, or not the same service; or entries were left out. `machine` is as it was left.
    """

    given: int
    skipped: int
    failure: Failure | None
    parted: int | None
    machine: Switchboard | Gateway


def replay(
    journal: Journal,
    service: Service,
    *,
    until: int | None = None,
    check: bool = False,
    effects: Effects | None = None,
    gateway: type[Gateway] = Gateway,
) -> Replayed:
    """Give the first `until` entries (None: all) to a machine of this service, up to the first failure.

    An exception that comes out of an input is a failure, but for UsageError, which is its answer to misuse. With
    `check` every invariant is looked at after every entry, and in the end that the last sockets' bytes mean the same
    however they are cut. `effects` is told what follows. `gateway` is the class to
    build. Raises UsageError for a config that this version refuses.
    """
    run = Run(journal.header, stand_in(service), gateway, check=check, effects=effects)
    run.give(journal.entries[:until])
    return Replayed(run.given, len(run.skipped), run.failure, run.parted, run.machine)


def shown(action: Action | Effect) -> str:
    """An action as text on one line, without what differs between any two processes."""
    if isinstance(action, Invoke):
        args = tuple(map(_in_order, action.args))
        kwargs = {name: _in_order(argument) for name, argument in action.kwargs.items()}
        text = f"Invoke{(action.call, action.caller, action.method.name, args, kwargs, action.meta)}"
    else:
        text = repr(action)
    return ADDRESS.sub("", text)


def _in_order(argument: Any) -> Any:
    """With an array for each set in it, as what leaves has: the order of a set is that of one process."""
    try:
        return ordered(argument)
    except Exception:  # a member's own conversion may raise anything
        return argument
