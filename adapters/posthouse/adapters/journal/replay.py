"""Replay: give the inputs of a journal to a new machine, and examine what follows."""

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

from .format import Journal
from .run import Effects, Failure, Run, with_recorded_results

ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
"""The address in the default `repr` of an object. It differs between processes."""


class Replayed(Struct, frozen=True):
    """The outcome of a replay: how many entries were given, how many skipped, and the first failure.

    `diverged_at` is the first entry (from 1) that had another outcome than was recorded: the program or the service is
    another, or entries were left out. `machine` is the machine after the last entry.
    """

    given: int
    skipped: int
    failure: Failure | None
    diverged_at: int | None
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

    An exception that an input raises is a failure, except UsageError, which reports misuse. With `check`, every
    invariant is checked after every entry, and in the end that the bytes of the last sockets mean the same however they
    are cut. `effects` is called with every action that follows. `gateway` is the class to build. Raises UsageError for
    a config that this version refuses.
    """
    run = Run(journal.header, with_recorded_results(service), gateway, check=check, effects=effects)
    run.give(journal.entries[:until])
    return Replayed(run.given, len(run.skipped), run.failure, run.diverged_at, run.machine)


def shown(action: Action | Effect) -> str:
    """An action as one line of text that is equal in every process."""
    if isinstance(action, Invoke):
        args = tuple(map(_in_order, action.args))
        kwargs = {name: _in_order(argument) for name, argument in action.kwargs.items()}
        text = f"Invoke{(action.call, action.caller, action.method.name, args, kwargs, action.meta)}"
    else:
        text = repr(action)
    return ADDRESS.sub("", text)


def _in_order(argument: Any) -> Any:
    """The argument with sorted arrays in place of sets: the order of a set differs between processes."""
    try:
        return ordered(argument)
    except Exception:  # the conversion of a member may raise anything
        return argument
