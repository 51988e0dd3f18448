"""One machine that is told what a journal says.

No handler runs, no clock is read, no entropy is drawn: results, times and chance are in the journal. Where entries were
left out, later ids are others; a recorded id is followed to the one that stands in its place, and an input whose id
has no counterpart is skipped.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.structs import replace
from posthouse.adapters import invariants
from posthouse.core.gateway import Gateway
from posthouse.core.service.results import ResultError
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Effect, Emit, Invoke
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import ConnectionOpened
from posthouse.core.values.peers import Address, Peer, SocketId
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import Action
from posthouse.transports.switchboard.switchboard import Switchboard

from .entries import Entry, Header
from .values import Unfit, read_argument

Effects = Callable[[int, Action | Effect], object]
"""Told of each action, or effect, with the place of the entry (from 1) that it followed from. What it raises is a
failure of that entry."""

KINDS: Final = ("socket", "connection", "call", "request")

NAMED: Final = {**dict(zip(KINDS, KINDS, strict=True)), "to": "connection"}
"""The arguments that are ids, and of what."""

MADE: Final = {"opened": "socket", "accepted": "socket", "connect": "connection", "request": "request"}
"""The inputs that return a new id, and of what."""

LEAVING: Final = {"closed": "socket", "released": "socket", "complete": "call", "fail": "call"}
"""The inputs with which something that the adapter had ends."""


class Failure(Struct, frozen=True):
    """What went wrong, and with which entry (from 1). `kind` is equal for two failures that are the same."""

    entry: int
    kind: str
    error: BaseException


def kind_of(error: BaseException) -> str:
    """The invariant that is violated, or the type of an exception and the function that raised it."""
    if isinstance(error, invariants.Violation):
        return error.sentence
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name}"


def stand_in(service: Service) -> Service:
    """The service, with methods whose results are the bytes that they became."""
    copied = copy(service)
    copied.methods = {name: replace(method, encode_result=_as_recorded) for name, method in service.methods.items()}
    return copied


def _as_recorded(result: object) -> bytes:
    if isinstance(result, Unfit):
        raise ResultError(result.reason)
    # A result that nobody wanted then may be wanted now, when what made it so was left out.
    return bytes(result) if isinstance(result, Raw) else b"null"


class Chance:
    """What each entry drew, then a counter."""

    def __init__(self) -> None:
        self.drawn: deque[bytes] = deque()
        self._counted = 0

    def entropy(self, size: int) -> bytes:
        """So many bytes."""
        if self.drawn and len(self.drawn[0]) == size:
            return self.drawn.popleft()
        self._counted += 1
        return self._counted.to_bytes(max(size, 8), "big")[-size:]


class Run:
    """A machine as the header describes it. `service` has been through `stand_in`, `gateway` is the class to build.

    `given` counts the entries that were told, `skipped` has the places (from 1) of the others. `parted` is the first
    place from which something else began than had been recorded. `failure` is the last thing that happened, if any.
    """

    def __init__(
        self,
        header: Header,
        service: Service,
        gateway: type[Gateway] = Gateway,
        *,
        check: bool = False,
        effects: Effects | None = None,
    ) -> None:
        self.given = 0
        self.skipped: list[int] = []
        self.failure: Failure | None = None
        self.parted: int | None = None
        self._chance: Final = Chance()
        config = Config.from_mapping(header.config)
        core = gateway(service, config, wall=header.wall, entropy=self._chance.entropy)
        self._policy: Final = header.policy or Policy()
        board = None if header.machine == "gateway" else Switchboard(core, self._policy)
        self.machine: Final[Switchboard | Gateway] = core if board is None else board
        self._checks: Final = check
        self._effects: Final = effects
        self._witness: Final = invariants.Witness()
        self._ids: Final[dict[str, dict[int, Any]]] = {kind: {} for kind in KINDS}
        self._left: Final[dict[tuple[str, int], Invoke | None]] = {}
        self._heard: Final = invariants.Heard()

    def give(self, entries: Sequence[Entry], *, check_from: int = 1, cut: bool = True) -> None:
        """Tell the machine all this, up to the first failure. Before the place `check_from` only what follows from
        inputs is looked at, not what they left inside. `cut`: in the end what sockets said is cut otherwise too."""
        place = 0
        try:
            for place, entry in enumerate(entries, start=1):
                self._give(place, entry, look_inside=self._checks and place >= check_from)
            if place and self._checks and isinstance(self.machine, Switchboard):
                self._check_end(self.machine, cut=cut)
        except Exception as error:
            self.failure = Failure(place, kind_of(error), error)

    def _give(self, place: int, entry: Entry, *, look_inside: bool) -> None:
        arguments = self._arguments(entry)
        if arguments is None:
            self.skipped.append(place)
            return
        self.given += 1
        outbox: list[Any] = self.machine.outbox
        self._chance.drawn = deque(entry.drawn)
        returned: Any = None
        raised: str | None = None
        try:
            returned = getattr(self.machine, entry.input)(**arguments)
        except UsageError:
            raised = UsageError.__name__
        if not self._follow(entry, returned, outbox) or entry.raised != raised:
            self.parted = place if self.parted is None else self.parted
        if self._checks:
            self._hear(arguments, returned)
        if entry.input in LEAVING:
            kind = LEAVING[entry.input]
            self._left.pop((kind, arguments[kind]), None)
        for action in outbox:
            if self._effects is not None:
                self._effects(place, action)
            if self._checks and isinstance(action, Action):
                self._witness.see(action)
        outbox.clear()
        if self._checks:
            self.machine.next_timeout()  # as every adapter asks: by that calls which outlive their turn get deadlines
        if look_inside:
            self._check()
            if entry.input == "handle_timeout" and isinstance(self.machine, Switchboard):
                invariants.time(self.machine, arguments["now"])

    def _arguments(self, entry: Entry) -> dict[str, Any] | None:
        """What the input is called with in this run. None: it names what there is not."""
        arguments: dict[str, Any] = {}
        for name, written in entry.arguments.items():
            argument = read_argument(name, written)
            if name in NAMED:
                argument = self._ids[NAMED[name]].get(argument)
                if argument is None:
                    return None
            elif isinstance(argument, Peer) and argument.socket is not None:
                socket = self._ids["socket"].get(argument.socket)
                if socket is None:
                    return None
                argument = replace(argument, socket=socket)
            arguments[name] = argument
        return arguments

    def _follow(self, entry: Entry, returned: Any, actions: Sequence[Any]) -> bool:
        """Learn under which ids the journal has what began with an input. Is it as much as then?"""
        opened = [a.event.connection for a in actions if type(a) is Emit and type(a.event) is ConnectionOpened]
        invoked = [action.call for action in actions if type(action) is Invoke]
        self._ids["connection"].update(zip(entry.opened, opened, strict=False))
        self._ids["call"].update(zip(entry.invoked, invoked, strict=False))
        self._left.update((("call", action.call), action) for action in actions if type(action) is Invoke)
        same = (len(opened), len(invoked)) == (len(entry.opened), len(entry.invoked))
        made = MADE.get(entry.input)
        if made is None:
            return same and returned == entry.returned
        if returned is not None and entry.returned is not None:
            self._ids[made][entry.returned] = returned
        if returned is not None and made == "socket":
            self._left[made, returned] = None
        return same and (returned is None) == (entry.returned is None)

    def _hear(self, arguments: dict[str, Any], returned: Any) -> None:
        """Remember what the last sockets say."""
        address, socket, data = (arguments.get(name) for name in ("address", "socket", "data"))
        if isinstance(address, Address) and returned is not None:
            self._heard.opened(returned, address)
        elif isinstance(data, bytes) and isinstance(socket, int):
            self._heard.received(SocketId(socket), data)

    def _check_end(self, board: Switchboard, *, cut: bool) -> None:
        if not self._left:
            invariants.check_at_rest(board)
            self._witness.at_rest()
        if cut:
            self._heard.check(board.config, self._policy)

    def _check(self) -> None:
        self._witness.stopped(invoke for invoke in self._left.values() if invoke is not None)
        machine = self.machine
        if isinstance(machine, Switchboard):
            invariants.check(machine)
            return
        invariants.calls(machine)
        invariants.flow(machine)
        invariants.shutdown(machine)
        for record in machine._connections.records.values():
            invariants.calls_of(machine, record)
