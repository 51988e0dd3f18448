"""One process of the server: a switchboard on the virtual clock, with links in place of sockets.

It does what every adapter for sockets does: mutate, drain, wait. After its end a new process starts that knows nothing
of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec import Struct, field
from posthouse.adapters.invariants import FirstBytes
from posthouse.adapters.invariants.ends_of_input import EndsOfInput
from posthouse.adapters.model.checked import CheckedGateway
from posthouse.adapters.model.model import Model
from posthouse.adapters.simulation.handlers.handlers import Handlers
from posthouse.adapters.simulation.network import Link
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.core.gateway import Gateway
from posthouse.core.values.effects import Cancel, Drained, Emit, Invoke, Resolve, StopAccepting
from posthouse.core.values.peers import Address, Identity, SocketId
from posthouse.transports.switchboard.actions import (
    Action,
    CloseSocket,
    EndWriting,
    Reply,
    StartReading,
    StopReading,
    Write,
)
from posthouse.transports.switchboard.switchboard import Switchboard

from .application import Application


class ServerSocket(Struct, eq=False):
    """One accepted socket. `unsent` bytes do not fit into the link yet; then the link is half-closed if `ending`, and
    closed if `closing`. `on_reset` is called when the server cuts the link. `stopping`: it is read once more."""

    id: SocketId
    link: Link
    on_reset: Callable[[], None]
    unsent: bytearray = field(default_factory=bytearray)
    ending: bool = False
    closing: bool = False
    closed: bool = False
    stopping: bool = False


class Process:
    """The `board`, its `handlers`, its `application` and its sockets. `on_action` is called with each action before it
    is performed.

    `touched` are the sockets that the current step has used; `first_bytes` are those of the last sockets.
    `ends_of_input` knows which clients have ended their input. `performing`: the outbox is being drained, and handlers
    may run.
    """

    def __init__(
        self,
        board: Switchboard,
        handlers: Handlers,
        application: Application,
        clock: ProcessClock,
        on_action: Callable[[Action], None],
    ) -> None:
        self.board: Final = board
        self.application: Final = application
        self.handlers: Final = handlers
        self.clock: Final = clock
        self.drained = False
        self.performing = False
        self.touched: Final[dict[SocketId, None]] = {}
        self.sockets: Final[dict[SocketId, ServerSocket]] = {}
        self.first_bytes: Final = FirstBytes()
        self.ends_of_input: Final = EndsOfInput()
        self._on_action: Final = on_action
        self._held: Final[dict[SocketId, int]] = {}
        self._sent: Final[dict[SocketId, int]] = {}
        self._perform: Final[dict[type, Callable[[Any], None]]] = {
            Write: self._write,
            EndWriting: self._end_writing,
            StopReading: self._stop_reading,
            StartReading: self._start_reading,
            CloseSocket: self._close_socket,
            Reply: application.reply,
            Invoke: handlers.invoke,
            Cancel: handlers.cancel,
            Resolve: handlers.sender.resolve,
            Emit: self._emit,
            StopAccepting: self._stop_accepting,
            Drained: self._drained,
        }

    @property
    def gateway(self) -> Gateway:
        """The gateway behind the switchboard."""
        return self.board.gateway

    @property
    def model(self) -> Model | None:
        """The reference model, if there is one."""
        return self.gateway.model if isinstance(self.gateway, CheckedGateway) else None

    # Input

    def open(self, link: Link, address: Address, on_reset: Callable[[], None], identity: Identity | None) -> bool:
        """A client connects. Returns False if it is refused. `on_reset` is called when the server cuts the link."""
        if not self.application.started:
            return False
        id = self.board.opened(address, self.clock.now, identity=identity)
        if id is None:
            return False
        socket = self.sockets[id] = ServerSocket(id, link, on_reset)
        self.first_bytes.opened(id, address)
        self.touched[id] = None
        link.up.read_size = self.board.config.read_bytes
        link.up.asleep = self.clock.asleep
        link.up.deliver = partial(self._received, socket)
        link.up.deliver_eof = partial(self._received_eof, socket)
        link.down.on_room = partial(self._flush, socket)
        return True

    def _received(self, socket: ServerSocket, data: bytes) -> None:
        if not socket.closed:
            self.touched[socket.id] = None
            self.first_bytes.received(socket.id, data)
            if socket.stopping:
                socket.stopping = socket.link.up.reading = False
            self.board.received(socket.id, data, self.clock.now)

    def _received_eof(self, socket: ServerSocket) -> None:
        if not socket.closed:
            self.touched[socket.id] = None
            self.ends_of_input.ended(socket.id, self.clock.now)
            self.board.received_eof(socket.id, self.clock.now)

    def reset(self, link: Link) -> None:
        """The client or the network has cut this link."""
        self.clock.run(partial(self._reset, link))

    def _reset(self, link: Link) -> None:
        for socket in self.sockets.values():
            if socket.link is link:
                link.cut()
                self._held.pop(socket.id, None)
                self._sent.pop(socket.id, None)
                self._close(socket)
                return

    def check(self) -> None:
        """Nothing more than what the engine checks."""

    def check_at_rest(self) -> None:
        """Nothing is left: a link takes no resource."""

    @property
    def over(self) -> bool:
        """Has the process ended?"""
        return self.application.ended

    # Time

    def next_timeout(self) -> float | None:
        """The next deadline of the switchboard."""
        return self.board.next_timeout()

    def sleep(self) -> None:
        """Stop: the process reads nothing, and its events wait."""
        self.clock.asleep = True
        for socket in self.sockets.values():
            socket.link.up.asleep = True

    def wake(self) -> None:
        """Continue: the bytes that arrived in the meantime are there at once."""
        self.clock.wake()
        for socket in list(self.sockets.values()):
            socket.link.up.asleep = False
            socket.link.up.plan_delivery()
            self._flush(socket)

    def kill(self) -> None:
        """End the process and all its links at once."""
        self.application.close()
        self.handlers.close()
        for socket in list(self.sockets.values()):
            socket.closed = True
            socket.link.cut()
            socket.on_reset()
        self.sockets.clear()
        # Tasks may have sent something while they were stopped: it is lost.
        self.board.outbox.clear()
        self._held.clear()
        self._sent.clear()

    # Output

    def perform(self) -> None:
        """Perform the actions in the outbox until it stays empty, and report which bytes the links took."""
        board, now = self.board, self.clock.now
        outbox, held, sent = board.outbox, self._held, self._sent
        self.performing = True
        while True:
            while outbox or held or sent:
                for action in outbox:
                    self._on_action(action)
                    self._perform[type(action)](action)
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
        id, data = action.socket, action.data
        self.touched[id] = None
        socket = self.sockets.get(id)
        if socket is None:
            return
        taken = 0 if socket.unsent else socket.link.down.write(data)
        if taken < len(data):
            socket.unsent += data[taken:]
            if not action.report:
                self._held[id] = self._held.get(id, 0) + len(data) - taken
        if action.report and taken:
            self._sent[id] = self._sent.get(id, 0) + taken

    def _flush(self, socket: ServerSocket) -> None:
        """The link has room for more."""
        if self.clock.asleep:
            return
        if socket.unsent and not socket.closed:
            taken = socket.link.down.write(bytes(socket.unsent[:65536]))
            if taken:
                del socket.unsent[:taken]
                self.touched[socket.id] = None
                self._sent[socket.id] = self._sent.get(socket.id, 0) + taken
        self._finish(socket)

    def _finish(self, socket: ServerSocket) -> None:
        """Half-close or close the link, if that was asked for and every byte is sent."""
        if socket.unsent or socket.closed:
            return
        if socket.ending:
            socket.link.down.end()
        if socket.closing:
            # The client's last bytes are dropped. The client still gets every byte that was sent to it, then the end.
            socket.closing = False
            socket.link.up.drop()
            self.clock.after(0.0, partial(self._close, socket))

    def _close(self, socket: ServerSocket) -> None:
        if not socket.closed:
            socket.closed = True
            del self.sockets[socket.id]
            self.ends_of_input.closed(socket.id)
            self.board.closed(socket.id, self.clock.now)

    def _end_writing(self, action: EndWriting) -> None:
        socket = self.sockets.get(action.socket)
        if socket is not None:
            socket.ending = True
            self._finish(socket)

    def _stop_reading(self, action: StopReading) -> None:
        socket = self.sockets.get(action.socket)
        if socket is None:
            return
        if socket.id % 2:
            socket.link.up.reading = False
        else:
            # Read once more: a real server may have found this socket ready in the same turn.
            socket.stopping = True

    def _start_reading(self, action: StartReading) -> None:
        socket = self.sockets.get(action.socket)
        if socket is not None:
            socket.stopping = False
            socket.link.up.reading = True
            socket.link.up.plan_delivery()

    def _close_socket(self, action: CloseSocket) -> None:
        socket = self.sockets.get(action.socket)
        if socket is None:
            return
        if action.flush:
            socket.ending = socket.closing = True
            self._finish(socket)
        else:
            socket.link.cut()
            socket.on_reset()
            self.clock.after(0.0, partial(self._close, socket))

    def _emit(self, action: Emit) -> None:
        self.ends_of_input.see(action.event, self.board)
        self.handlers.hooks.emit(action)

    def _stop_accepting(self, action: StopAccepting) -> None:
        """There is no listener to close: each client asks whether the process accepts."""

    def _drained(self, action: Drained) -> None:
        self.drained = True
