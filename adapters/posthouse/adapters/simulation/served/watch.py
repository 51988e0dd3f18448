"""The observer of a running server. It sees each input and each action of the switchboard, and keeps the first
defect."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from posthouse.adapters.handlers.events import Events
from posthouse.adapters.invariants import FirstBytes, time
from posthouse.adapters.invariants.canary import keeps_secrets
from posthouse.adapters.invariants.ends_of_input import EndsOfInput
from posthouse.adapters.invariants.violation import Violation, must
from posthouse.adapters.journal.format import INPUTS
from posthouse.adapters.loop.runner import Perform, Runner
from posthouse.adapters.server.entrances.channel import Channel
from posthouse.adapters.server.entrances.endpoints import Endpoints
from posthouse.core.values.effects import Drained, Emit
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import AuthFailed, AuthSucceeded, CallFailed, Event
from posthouse.core.values.peers import Address, Identity, SocketId
from posthouse.transports.codec import Text
from posthouse.transports.switchboard.actions import Action, CloseSocket, Write
from posthouse.transports.switchboard.socket_state import SocketState
from posthouse.transports.switchboard.sockets import BACKLOG
from posthouse.transports.switchboard.write_queue import Writer

Identify = Callable[[Address], Identity | None]
"""Returns the identity of the client at an address, None if the world gave it none."""


class WatchedWriter:
    """The writer of one socket. What it writes is seen as the action for which it stands."""

    def __init__(self, socket: SocketId, perform: Perform) -> None:
        self._socket: Final = socket
        self._perform: Final = perform

    def write(self, data: bytes, report: bool) -> None:
        """See a `Write`, and perform it."""
        self._perform(Write(self._socket, data, report))


class Watch:
    """Observes one server, until it is `dead`.

    `on_action` is called with each action before it is performed, `incident` with each exception of a handler.
    `failed` is the first exception of the switchboard that is not misuse. (A firewall would take it for an exception of
    the service.) `unflushed` and `unchecked`: there were inputs since it was last cleared. `touched`: the sockets that
    were used since it was last cleared. `first_bytes`: the first bytes of the latest sockets. `broken` has a function
    for each socket: has the socket reported an error?
    """

    def __init__(
        self,
        runner: Runner,
        endpoints: Endpoints,
        events: Events,
        on_action: Callable[[Action], None],
        incident: Callable[[str, BaseException], None],
        identify: Identify,
    ) -> None:
        self.runner: Final = runner
        self.board: Final = runner.board
        self.endpoints: Final = endpoints
        self.dead = False
        self.drained = False
        self.unflushed = False
        self.unchecked = False
        self.failed: Exception | None = None
        self.touched: Final[dict[SocketId, None]] = {}
        self.first_bytes: Final = FirstBytes()
        self.ends_of_input: Final = EndsOfInput()
        self.broken: Final[dict[SocketId, Callable[[], bool]]] = {}
        self._asked: Final[dict[SocketId, None]] = {}  # the sockets that the switchboard wants to be closed
        self._raised: Final = events.log.raised
        self._on_action: Final = on_action
        self._incident: Final = incident
        self._identify: Final = identify
        self._see: Final[dict[str, Callable[..., object]]] = {
            "received": self._received,
            "received_eof": self._received_eof,
            "closed": self._closed,
            "held": self._touch,
            "sent": self._touch,
            "handle_timeout": self._handled_timeout,
        }
        tell = self.board._outputs.tell
        tell[Text] = partial(self._told_text, tell[Text])
        for kind, perform in runner.actions.items():
            runner.actions[kind] = partial(self._perform, perform)
        seen: dict[str, Callable[..., Any]] = {"attach": partial(self._attach, self.board.attach)}
        for name in INPUTS["switchboard"]:
            input = self._guarded(name, getattr(self.board, name))
            seen[name] = partial(self._opened, input) if name == "opened" else input
        for name, function in seen.items():
            setattr(self.board, name, function)

    def _attach(self, attach: Callable[[SocketId, Writer], None], socket: SocketId, writer: Writer) -> None:
        perform = partial(self._perform, lambda action: writer.write(action.data, action.report))
        attach(socket, WatchedWriter(socket, perform))

    def _perform(self, perform: Perform, action: Any) -> None:
        if not self.dead:
            try:
                if type(action) is Write:
                    self.touched[action.socket] = None
                elif type(action) is Emit:
                    self._told(action.event)
                elif type(action) is CloseSocket:
                    self._asked[action.socket] = None
                elif type(action) is Drained:
                    self.drained = True
                self._on_action(action)
            except Exception as error:
                self._fail(error)
                raise
        perform(action)

    def _told_text(
        self, tell: Callable[[SocketState, Text, float], None], state: SocketState, text: Text, now: float
    ) -> None:
        waiting = [output for output in state.codec.output if type(output) is Text]
        if waiting and not any(output is text for output in waiting):
            self._fail(Violation("order: a text is handed on before an earlier one", state.socket))
        if state.stopped & BACKLOG:
            self._fail(Violation("flow: a text is handed on although its peer takes no answers", state.socket))
        tell(state, text, now)

    def _told(self, event: Event) -> None:
        self.ends_of_input.see(event, self.board)
        if type(event) is AuthFailed or type(event) is AuthSucceeded:
            keeps_secrets("an event", event)
        if type(event) is CallFailed:
            raised = self._raised.get(event.incident)
            if raised is not None:  # None: the result was invalid, and the handler raised nothing
                self._incident(event.incident, raised)

    def _fail(self, error: Exception) -> None:
        if not self.dead:
            self.failed = self.failed or error

    def _guarded(self, name: str, input: Callable[..., Any]) -> Callable[..., Any]:
        see = self._see.get(name)

        def guarded(*arguments: Any, **named: Any) -> Any:
            try:
                returned = input(*arguments, **named)
            except UsageError:
                raise
            except Exception as error:
                self._fail(error)
                raise
            self.unflushed = self.unchecked = True
            if see is not None:
                try:
                    see(*arguments)
                except Exception as error:
                    self._fail(error)
                    raise
            return returned

        return guarded

    def _opened(
        self,
        open_socket: Callable[..., SocketId | None],
        address: Address,
        now: float,
        *,
        identity: Identity | None = None,
    ) -> SocketId | None:
        known = self._identify(address) if isinstance(address, Address) else None  # misuse passes anything
        id = open_socket(address, now, identity=known or identity)
        if id is not None:
            self.first_bytes.opened(id, address)
            self.touched[id] = None
        return id

    def _received(self, socket: SocketId, data: bytes, now: float) -> None:
        self.touched[socket] = None
        self.first_bytes.received(socket, data)
        if socket not in self.broken:
            channel = self.endpoints.by_id.get(socket)
            if isinstance(channel, Channel):
                self.broken[socket] = partial(getattr, channel.socket, "broken", False)

    def _received_eof(self, socket: SocketId, now: float) -> None:
        self.touched[socket] = None
        self.ends_of_input.ended(socket, now)

    def _closed(self, socket: SocketId, now: float) -> None:
        self.ends_of_input.closed(socket)
        is_broken = self.broken.pop(socket, None)
        asked = socket in self._asked or self.drained or self.dead
        self._asked.pop(socket, None)
        must(asked or is_broken is None or is_broken(), "order: a socket is closed that nobody asked to close")

    def _handled_timeout(self, now: float) -> None:
        time(self.board, now)
        self.ends_of_input.check(self.board, now)

    def _touch(self, socket: SocketId, size: int, now: float) -> None:
        self.touched[socket] = None
