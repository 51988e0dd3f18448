"""One machine that is given the entries of a journal.

No handler runs, no clock is read, no entropy is drawn: results, times and entropy are in the journal. If entries were
left out, later ids differ: a recorded id is mapped to the id that this machine gave, and an input is skipped if its id
has no counterpart.
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
from posthouse.core.values.effects import ASKS, Effect, Emit, Invoke
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import ConnectionOpened
from posthouse.core.values.peers import Address, Peer, SocketId
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import Action
from posthouse.transports.switchboard.switchboard import Switchboard

from .arguments import InvalidResult, read_argument
from .format import Entry, Header

Effects = Callable[[int, Action | Effect], object]
"""Called with each action, or effect, and the place (from 1) of the entry that caused it. An exception that it raises
is a failure of that entry."""

KINDS: Final = ("socket", "connection", "call", "request", "operation")

ID_ARGUMENTS: Final = {**dict(zip(KINDS, KINDS, strict=True)), "to": "connection", "after": "call"}
"""The arguments that are ids, and the kind of each."""

CREATES: Final = {
    "opened": "socket",
    "accepted": "socket",
    "connect": "connection",
    "call": "connection",
    "request": "request",
    "ask_session": "request",
    "publish": "request",
}
"""The inputs that return a new id, and its kind."""

ENDS: Final = {"closed": "socket", "released": "socket", "complete": "call", "fail": "call", "conclude": "operation"}
"""The inputs that report the end of something, and its kind."""


class Failure(Struct, frozen=True):
    """A failure, and its entry (from 1). Two failures are considered the same if their `kind` is equal."""

    entry: int
    kind: str
    error: BaseException


def failure_kind(error: BaseException) -> str:
    """The violated invariant, or the type of the exception and the function that raised it."""
    if isinstance(error, invariants.Violation):
        return error.sentence
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name}"


def with_recorded_results(service: Service) -> Service:
    """The service, with methods that take a result as the bytes that were recorded."""
    copied = copy(service)
    copied.methods = {name: replace(method, encode_result=_as_recorded) for name, method in service.methods.items()}
    return copied


def _as_recorded(result: object) -> bytes:
    if isinstance(result, InvalidResult):
        raise ResultError(result.reason)
    # A result that was not encoded then may be needed now, if the entry that ended the call was left out.
    return bytes(result) if isinstance(result, Raw) else b"null"


class Chance:
    """Entropy for a replay: the bytes that the entry drew, then those of a counter."""

    def __init__(self) -> None:
        self.drawn: deque[bytes] = deque()
        self._counted = 0

    def entropy(self, size: int) -> bytes:
        """As many bytes as were asked for."""
        if self.drawn and len(self.drawn[0]) == size:
            return self.drawn.popleft()
        self._counted += 1
        return self._counted.to_bytes(max(size, 8), "big")[-size:]


class Run:
    """A machine as the header describes it. `service` comes from `with_recorded_results`; `gateway` is the class to
    build.

    `given` counts the entries that were given; `skipped` has the places (from 1) of the others. `diverged_at` is the
    first place that had another outcome than was recorded. `failure` is the failure that ended the run.
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
        self.diverged_at: int | None = None
        self._chance: Final = Chance()
        config = Config.from_mapping(header.config)
        core = gateway(
            service,
            config,
            wall=header.wall,
            entropy=self._chance.entropy,
            events=header.events,
            tell_exchanges=header.tell_exchanges,
        )
        if header.store is not None:
            core.use_external_store(header.store)
        self._policy: Final = header.policy or Policy()
        board = None if header.machine == "gateway" else Switchboard(core, self._policy, direct=header.direct)
        self.machine: Final[Switchboard | Gateway] = core if board is None else board
        self._checks: Final = check
        self._effects: Final = effects
        self._witness: Final = invariants.Witness(exchanges_told=core._shared.exchanges_told)
        self._ids: Final[dict[str, dict[int, Any]]] = {kind: {} for kind in KINDS}
        self._unended: Final[dict[tuple[str, int], Invoke | None]] = {}
        self._first_bytes: Final = invariants.FirstBytes()

    def give(self, entries: Sequence[Entry], *, check_from: int = 1, cut: bool = True) -> None:
        """Give these entries to the machine, up to the first failure. Before the place `check_from` only actions are
        checked, not the machine's state. `cut`: in the end also cut the bytes of sockets in other places."""
        place = 0
        try:
            for place, entry in enumerate(entries, start=1):
                self._give(place, entry, check_state=self._checks and place >= check_from)
            if place and self._checks and isinstance(self.machine, Switchboard):
                self._check_end(self.machine, cut=cut)
        except Exception as error:
            self.failure = Failure(place, failure_kind(error), error)

    def _give(self, place: int, entry: Entry, *, check_state: bool) -> None:
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
            self.diverged_at = place if self.diverged_at is None else self.diverged_at
        if self._checks:
            self._hear(arguments, returned)
        if entry.input in ENDS:
            kind = ENDS[entry.input]
            self._unended.pop((kind, arguments[kind]), None)
        for action in outbox:
            if self._effects is not None:
                self._effects(place, action)
            if self._checks and isinstance(action, Action):
                self._witness.see(action)
        outbox.clear()
        if self._checks:
            self.machine.next_timeout()  # as every adapter does: it arms the deadlines of calls that outlive their turn
        if check_state:
            self._check()
            if entry.input == "handle_timeout" and isinstance(self.machine, Switchboard):
                invariants.time(self.machine, arguments["now"])

    def _arguments(self, entry: Entry) -> dict[str, Any] | None:
        """The arguments of the input in this run. None: one names something that does not exist here."""
        arguments: dict[str, Any] = {}
        for name, written in entry.arguments.items():
            argument = read_argument(name, written)
            if name in ID_ARGUMENTS and not (name == "after" and argument is None):
                argument = self._ids[ID_ARGUMENTS[name]].get(argument)
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
        """Map the recorded ids of everything that began with an input. Returns whether it began as was recorded."""
        opened = [a.event.connection for a in actions if type(a) is Emit and type(a.event) is ConnectionOpened]
        invoked = [action.call for action in actions if type(action) is Invoke]
        self._ids["connection"].update(zip(entry.opened, opened, strict=False))
        asked = [action.operation for action in actions if isinstance(action, ASKS)]
        self._ids["call"].update(zip(entry.invoked, invoked, strict=False))
        self._ids["operation"].update(zip(entry.asked, asked, strict=False))
        self._unended.update((("operation", operation), None) for operation in asked)
        self._unended.update((("call", action.call), action) for action in actions if type(action) is Invoke)
        same = (len(opened), len(invoked), len(asked)) == (len(entry.opened), len(entry.invoked), len(entry.asked))
        made = CREATES.get(entry.input)
        if made is None:
            return same and returned == entry.returned
        if returned is not None and entry.returned is not None:
            self._ids[made][entry.returned] = returned
        if returned is not None and made == "socket":
            self._unended[made, returned] = None
        return same and (returned is None) == (entry.returned is None)

    def _hear(self, arguments: dict[str, Any], returned: Any) -> None:
        """Remember the bytes of the last sockets."""
        address, socket, data = (arguments.get(name) for name in ("address", "socket", "data"))
        if isinstance(address, Address) and returned is not None:
            self._first_bytes.opened(returned, address)
        elif isinstance(data, bytes) and isinstance(socket, int):
            self._first_bytes.received(SocketId(socket), data)

    def _check_end(self, board: Switchboard, *, cut: bool) -> None:
        if not self._unended:
            invariants.check_at_rest(board)
            self._witness.at_rest()
        if cut:
            self._first_bytes.check(board.config, self._policy)

    def _check(self) -> None:
        self._witness.stopped(invoke for invoke in self._unended.values() if invoke is not None)
        machine = self.machine
        if isinstance(machine, Switchboard):
            invariants.check(machine)
            return
        invariants.calls(machine)
        invariants.flow(machine)
        invariants.identity(machine)
        invariants.sessions(machine)
        invariants.users(machine)
        invariants.topics(machine)
        invariants.shutdown(machine)
        for record in machine._connections.records.values():
            invariants.calls_of(machine, record)
