"""What was recorded of a server is given to two others: one hands whole messages on directly, the other never does.

Both must ask for the same. This module does not know what the direct way is.
"""

from __future__ import annotations

from itertools import zip_longest

from msgspec.structs import replace
from posthouse.adapters.invariants import Violation
from posthouse.adapters.journal import Journal, replay, shown
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Effect
from posthouse.transports.switchboard.actions import Action


def compare(journal: Journal, service: Service) -> None:
    """Replay the journal both ways. Raises Violation if the same input has other actions."""
    direct, general = (_actions(journal, service, direct=direct) for direct in (True, False))
    for one, other in zip_longest(direct, general):
        if one != other:
            raise Violation("totality: the direct way does something else than the general way", one, other)


def _actions(journal: Journal, service: Service, *, direct: bool) -> list[tuple[int, str]]:
    """Every action as text, with the place of the entry that caused it."""
    actions: list[tuple[int, str]] = []

    def note(place: int, action: Action | Effect) -> None:
        actions.append((place, shown(action)))

    taken = Journal(replace(journal.header, direct=direct), journal.entries)
    failure = replay(taken, service, effects=note).failure
    if failure is not None:
        raise failure.error
    return actions
