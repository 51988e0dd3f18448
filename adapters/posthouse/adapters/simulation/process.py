"""The server as one process: a switchboard on the virtual clock, and its sockets as an adapter has them.

It does what every adapter for sockets does (mutate, drain, wait), with links in place of sockets. A process has one
life: after its end there is a new one, that knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from posthouse.adapters.invariants import FirstBytes
from posthouse.adapters.journal import Header, Recorder
from posthouse.adapters.model.model import Model
from posthouse.adapters.simulation.handlers.handlers import Handlers
from posthouse.adapters.simulation.handlers.manners import HandlerFaults
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Cancel, Drained, Emit, Invoke, Resolve, StopAccepting
from posthouse.core.values.peers import Address, Identity, SocketId
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import Action, CloseSocket, EndWriting, StartReading, StopReading, Write
from posthouse.transports.switchboard.switchboard import Switchboard

from .chance import Stream
from .network import Link
from .schedule import ProcessClock, Schedule
from .watched import Watched


class Accepted:
    """One accepted socket: what it was given and the link has no room for, and what is to happen behind that."""

    __slots__ = ("closed", "closing", "ending", "link", "on_reset", "socket", "unsent")

    def __init__(self, socket: SocketId, link: Link, on_reset: Callable[[], None]) -> None:
        self.socket: Final = socket
        self.link: Final = link
        self.on_reset: Final = on_reset
        self.unsent = bytearray()
        self.ending = False
        self.closing = False
        self.closed = False


class Process:
    """`board` and its surroundings. `fates` is the chance of its handlers, `stream` all other. `seen` is told each
    action before it is performed; `journal` takes the lines of a journal of all that the switchboard is told;
    `modelled`: the reference model runs beside it. `heard` is how its last sockets began; `performing`: what was
    asked is being done, and handlers may run."""

    def __init__(
        self,
        service: Service,
        config: Config,
        policy: Policy,
        schedule: Schedule,
        stream: Stream,
        fates: Stream,
        *,
        wall: float,
        manners: HandlerFaults,
        seen: Callable[[Action], None],
        journal: Callable[[bytes], object] | None = None,
        modelled: bool = True,
    ) -> None:
        entropy, recorder = stream.entropy, None
        if journal is not None:
            recorder = Recorder(service, Header.of(service, config, wall=wall, policy=policy), journal, entropy)
            service, entropy = recorder.service, recorder.entropy
        build = Watched if modelled else Gateway
        self.gateway: Final = build(service, config, wall=wall, entropy=entropy)
        self.board: Final = Switchboard(self.gateway, policy)
        if recorder is not None:
            recorder.watch(self.board)
        self.clock: Final = ProcessClock(schedule)
        self.handlers: Final = Handlers(self.board, service, self.clock, fates, manners)
        self.drained = False
        self.performing = False
        self.touched: Final[dict[SocketId, None]] = {}
        self.accepted: Final[dict[SocketId, Accepted]] = {}
        self.heard: Final = FirstBytes()
        self._seen: Final = seen
        self._held: Final[dict[SocketId, int]] = {}
        self._sent: Final[dict[SocketId, int]] = {}
        self._do: Final[dict[type, Callable[[Any], None]]] = {
            Write: self._write,
            EndWriting: self._end_writing,
            StopReading: self._stop_reading,
            StartReading: self._start_reading,
            CloseSocket: self._close_socket,
            Invoke: self.handlers.invoke,
            Cancel: self.handlers.cancel,
            Resolve: self.handlers.resolve,
            Emit: self.handlers.hooks.emit,
            StopAccepting: self._stop_accepting,
            Drained: self._drained,
        }

    # In

    def open(self, link: Link, address: Address, on_reset: Callable[[], None], identity: Identity | None) -> bool:
        """A client has come. False: it is not let in. `on_reset` is called when this end cuts the link."""
        socket = self.board.opened(address, self.clock.now, identity=identity)
        if socket is None:
            return False
        accepted = self.accepted[socket] = Accepted(socket, link, on_reset)
        self.heard.opened(socket, address)
        self.touched[socket] = None
        link.up.most = self.board.config.read_bytes
        link.up.asleep = self.clock.asleep
        link.up.deliver = partial(self._received, accepted)
        link.up.deliver_eof = partial(self._received_eof, accepted)
        link.down.on_room = partial(self._flush, accepted)
        return True

    def _received(self, accepted: Accepted, data: bytes) -> None:
        if not accepted.closed:
            self.touched[accepted.socket] = None
            self.heard.received(accepted.socket, data)
            self.board.received(accepted.socket, data, self.clock.now)

    def _received_eof(self, accepted: Accepted) -> None:
        if not accepted.closed:
            self.touched[accepted.socket] = None
            self.board.received_eof(accepted.socket, self.clock.now)

    def reset(self, link: Link) -> None:
        """The other end, or the network, has cut this link."""
        self.clock.run(partial(self._reset, link))

    def _reset(self, link: Link) -> None:
        for accepted in self.accepted.values():
            if accepted.link is link:
                self._closed(accepted)
                return

    def _closed(self, accepted: Accepted) -> None:
        if not accepted.closed:
            accepted.closed = True
            accepted.link.cut()
            del self.accepted[accepted.socket]
            self._held.pop(accepted.socket, None)
            self._sent.pop(accepted.socket, None)
            self.board.closed(accepted.socket, self.clock.now)

    # Time

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is wanted."""
        return self.board.next_timeout()

    def handle_timeout(self) -> None:
        """Time has passed."""
        self.board.handle_timeout(self.clock.now)

    # Out

    def perform(self) -> None:
        """Do what is in the outbox, while it grows; tell what the links did not take, and what went."""
        board, now = self.board, self.clock.now
        outbox, held, sent = board.outbox, self._held, self._sent
        self.performing = True
        while True:
            while outbox or held or sent:
                for action in outbox:
                    self._seen(action)
                    self._do[type(action)](action)
                outbox.clear()
                while held:
                    socket, size = held.popitem()
                    board.held(socket, size, now)
                while sent:
                    socket, size = sent.popitem()
                    board.sent(socket, size, now)
            self.handlers.turn()
            if not outbox and not held and not sent:
                self.performing = False
                return

    def _write(self, action: Write) -> None:
        socket, data = action.socket, action.data
        self.touched[socket] = None
        accepted = self.accepted.get(socket)
        if accepted is None:
            return
        taken = 0 if accepted.unsent else accepted.link.down.write(data)
        if taken < len(data):
            accepted.unsent += data[taken:]
            if not action.report:
                self._held[socket] = self._held.get(socket, 0) + len(data) - taken
        if action.report and taken:
            self._sent[socket] = self._sent.get(socket, 0) + taken

    def _flush(self, accepted: Accepted) -> None:
        """There is room in the link."""
        if self.clock.asleep:
            return
        if accepted.unsent and not accepted.closed:
            taken = accepted.link.down.write(bytes(accepted.unsent[:65536]))
            if taken:
                del accepted.unsent[:taken]
                self.touched[accepted.socket] = None
                self._sent[accepted.socket] = self._sent.get(accepted.socket, 0) + taken
        self._finish(accepted)

    def _finish(self, accepted: Accepted) -> None:
        """Do what was to happen behind the last byte."""
        if accepted.unsent or accepted.closed:
            return
        if accepted.ending:
            accepted.link.down.end()
        if accepted.closing:
            # What the client still sends is for nobody; what it was sent arrives, and then the end.
            accepted.closing = False
            accepted.link.up.drop()
            self.clock.after(0.0, partial(self._close, accepted))

    def _close(self, accepted: Accepted) -> None:
        if not accepted.closed:
            accepted.closed = True
            del self.accepted[accepted.socket]
            self.board.closed(accepted.socket, self.clock.now)

    def _end_writing(self, action: EndWriting) -> None:
        accepted = self.accepted.get(action.socket)
        if accepted is not None:
            accepted.ending = True
            self._finish(accepted)

    def _stop_reading(self, action: StopReading) -> None:
        accepted = self.accepted.get(action.socket)
        if accepted is not None:
            accepted.link.up.reading = False

    def _start_reading(self, action: StartReading) -> None:
        accepted = self.accepted.get(action.socket)
        if accepted is not None:
            accepted.link.up.reading = True
            accepted.link.up.move()

    def _close_socket(self, action: CloseSocket) -> None:
        accepted = self.accepted.get(action.socket)
        if accepted is None:
            return
        if action.flush:
            accepted.ending = accepted.closing = True
            self._finish(accepted)
        else:
            accepted.link.cut()
            accepted.on_reset()
            self.clock.after(0.0, partial(self._close, accepted))

    def _stop_accepting(self, action: StopAccepting) -> None:
        """There is no listener to close: `open` asks for every client."""

    def _drained(self, action: Drained) -> None:
        self.drained = True

    def sleep(self) -> None:
        """It stands still: it reads nothing, and what it had planned waits."""
        self.clock.asleep = True
        for accepted in self.accepted.values():
            accepted.link.up.asleep = True

    def wake(self) -> None:
        """It goes on: what has come meanwhile is there at once."""
        self.clock.wake()
        for accepted in list(self.accepted.values()):
            accepted.link.up.asleep = False
            accepted.link.up.move()
            self._flush(accepted)

    @property
    def model(self) -> Model | None:
        """The reference model, if there is one."""
        return self.gateway.model if isinstance(self.gateway, Watched) else None

    def kill(self) -> None:
        """The process ends at once, and all its links with it."""
        self.handlers.close()
        for accepted in list(self.accepted.values()):
            accepted.closed = True
            accepted.link.cut()
            accepted.on_reset()
        self.accepted.clear()
        # What its tasks said as they were stopped is said to nobody.
        self.board.outbox.clear()
        self._held.clear()
        self._sent.clear()
