"""One gateway and all codecs: which connection lives on which socket, and what of it leaves when.

The only thing that an adapter for sockets drives. Mutate, drain, wait: every input runs to its end and leaves what
follows in `outbox`, in order; after a batch of inputs the adapter performs the outbox while it grows, clears it, and
only then waits. What a text means is the gateway's; what bytes mean is the codecs'. It may not know sockets, tasks or
clocks: `now` is monotonic seconds and always an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from posthouse.core.gateway import Gateway
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.peers import Address, CallId, ConnectionId, Identity, Kind, OutgoingId, SocketId
from posthouse.core.values.stats import Health
from posthouse.core.values.timers import Timers
from posthouse.transports.codec import ABNORMAL, Text
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.pipe import Pipe
from posthouse.transports.policy import Policy
from posthouse.transports.websocket.server import WebSocket

from .actions import Action
from .codec_outputs import CodecOutputs, http
from .first_codec import first_codec
from .gateway_effects import GatewayEffects
from .sockets import BACKLOG, WIRE_STALLED, Sockets, SocketState

NORMAL: Final = 1000


class Switchboard:
    """Joins `gateway` to sockets. `policy` says who may open connections, and who an unauthenticated caller is.

    Every input raises only UsageError, for a caller's own misuse: a socket that never was, more bytes `sent` than held,
    fewer than none.
    """

    def __init__(self, gateway: Gateway, policy: Policy = Policy()) -> None:
        self.outbox: list[Action] = []
        self.gateway: Final = gateway
        self.config: Final[Config] = gateway.config
        self._policy = policy
        self._timers = Timers()
        self._sockets = Sockets(gateway, self.outbox, self._timers)
        self._at_eof: dict[SocketId, SocketState] = {}
        self._pending: dict[SocketId, SocketState] = {}
        self._inward = CodecOutputs(gateway, self._sockets, self.outbox)
        self._outward = GatewayEffects(gateway, self._sockets, self.outbox, self._pending, binary=policy.binary)
        self._tell = self._inward.tell
        self._do = self._outward.perform

    # Inputs: sockets

    def opened(self, address: Address, now: float, *, identity: Identity | None = None) -> SocketId | None:
        """A socket was accepted and nothing read from it. None: it is refused; close it unread.

        `identity` is who the adapter knows to be at the other end; None is whom the policy takes everybody for.
        """
        socket = self.gateway.accepted(address, now)
        if socket is not None:
            codec = first_codec(address, self.config, self._policy, now)
            if isinstance(codec, Http1):
                codec.draining = self.gateway.draining
            identity = self._policy.identity if identity is None else identity
            self._sockets.schedule(self._sockets.add(socket, address, codec, identity))
        self._run(now)
        return socket

    def received(self, socket: SocketId, data: bytes, now: float) -> None:
        """Bytes came. At most `config.read_bytes` of them."""
        line = self._sockets.find(socket)
        if line is not None and not line.codec_closed:
            line.codec.receive_data(data, now)
            self._run(now, line)

    def received_eof(self, socket: SocketId, now: float) -> None:
        """The peer half-closed: no more bytes come."""
        line = self._sockets.find(socket)
        if line is not None and not line.codec_closed:
            line.codec.receive_eof(now)
            if line.address.transport == "pipe":
                self._at_eof[socket] = line
            self._run(now, line)

    def held(self, socket: SocketId, size: int, now: float) -> None:
        """The socket did not take `size` bytes of what it was given (Writes without `report`): they wait outside."""
        line = self._find_for(socket, size)
        if line is not None:
            line.wire.held(size)
            self._sockets.count(line, size, now)
            self._run(now)

    def sent(self, socket: SocketId, size: int, now: float) -> None:
        """`size` of the held bytes went."""
        line = self._find_for(socket, size)
        if line is not None:
            self._sockets.sent(line, size, now)
            self._run(now, line)

    def closed(self, socket: SocketId, now: float) -> None:
        """The socket is closed: reset, broken, or as `CloseSocket` asked. Once."""
        line = self._sockets.find(socket)
        if line is None:
            return
        line.codec_closed = True
        connection = line.connection
        if connection is not None:
            self._sockets.part(line, now)
            self.gateway.disconnected(connection, ABNORMAL if type(line.codec) is WebSocket else None, now)
        self._sockets.remove(line, now)
        self._at_eof.pop(socket, None)
        self.gateway.released(socket, now)
        self._run(now)

    # Inputs: handlers and pushes, as the gateway has them

    def complete(self, call: CallId, result: object, now: float) -> bool:
        """The handler of this call returned. False: the call had ended."""
        first = self.gateway.complete(call, result, now)
        self._run(now)
        return first

    def fail(self, call: CallId, error: RpcError, now: float) -> bool:
        """The handler of this call raised, or was stopped. False: the call had ended."""
        first = self.gateway.fail(call, error, now)
        self._run(now)
        return first

    def progress(self, call: CallId, value: object, now: float) -> bool:
        """Tell the caller how far its call is. False: the call had ended, or its caller gave no progress token."""
        told = self.gateway.progress(call, value, now)
        self._run(now)
        return told

    def notify(self, to: ConnectionId, method: str, params: object, now: float) -> bool:
        """Send a notification. False: the connection is gone or cannot be pushed to."""
        sent = self.gateway.notify(to, method, params, now)
        self._run(now)
        return sent

    def broadcast(
        self,
        method: str,
        params: object,
        now: float,
        *,
        kinds: Iterable[Kind] | None = None,
        users: Iterable[str] | None = None,
    ) -> int:
        """Send a notification to every connection of these kinds and users (None: all). To how many it was sent."""
        delivered = self.gateway.broadcast(method, params, now, kinds=kinds, users=users)
        self._run(now)
        return delivered

    def request(self, to: ConnectionId, method: str, params: object, now: float, *, timeout: float) -> OutgoingId:
        """Ask a peer. Exactly one `Resolve` follows, within `timeout` seconds, unless it is abandoned."""
        request = self.gateway.request(to, method, params, now, timeout=timeout)
        self._run(now)
        return request

    def abandon(self, request: OutgoingId, now: float) -> None:
        """Nobody waits for this request any more: there will be no `Resolve`."""
        self.gateway.abandon(request, now)
        self._run(now)

    def shut_down(self, now: float, *, grace: float | None = None) -> None:
        """Begin to leave; `Drained` follows. A second call changes nothing."""
        self.gateway.shut_down(now, grace=grace)
        self._run(now)

    def set_wall(self, unix: float, now: float) -> None:
        """Unix time is `unix` at `now`. Only timestamps depend on it."""
        self.gateway.set_wall(unix, now)

    # Time

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is wanted, or None. A time that has passed: work is left, when others had a turn."""
        mine, gateways = self._timers.next(), self.gateway.next_timeout()
        if mine is None or gateways is None:
            return gateways if mine is None else mine
        return min(mine, gateways)

    def handle_timeout(self, now: float) -> None:
        """Time has passed. Early, late or spurious calls are harmless."""
        self.gateway.handle_timeout(now)
        self._run(now)
        due = []
        while (timer := self._timers.pop(now)) is not None:
            due.append(timer)
        for timer in due:
            line = self._sockets.lines[SocketId(timer.key)]
            if timer.reason == WIRE_STALLED:
                self._sockets.judge(line, now)
            elif not line.codec_closed:
                line.codec.handle_timeout(now)
                self._run(now, line)

    # Look-ups

    @property
    def accepting(self) -> bool:
        """May sockets be accepted? False once a shut-down's notice is over."""
        return self.gateway.accepting

    @property
    def draining(self) -> bool:
        """Has a shut-down begun?"""
        return self.gateway.draining

    def health(self, now: float) -> Health:
        """How the gateway is. Changes nothing."""
        return self.gateway.health(now)

    def stats(self) -> dict[str, int]:
        """What was counted, by name. Changes nothing."""
        return self._inward.stats()

    # What inputs begin and end with

    def _find_for(self, socket: SocketId, size: int) -> SocketState | None:
        """The socket of which so many bytes are reported, unless that changes nothing."""
        line = self._sockets.find(socket)
        if size < 0:
            raise UsageError(f"{size} bytes are reported of socket {socket}: give a number from 0 on")
        return line if size else None

    def _run(self, now: float, line: SocketState | None = None) -> None:
        """Work until none is left: effects first, then what codecs say. A loop, never a recursion."""
        if line is not None:
            self._pending[line.socket] = line
        self._perform(now)
        pending = self._pending
        while pending or (self._at_eof and self._leave_at_eof(now)):
            self._take(pending.pop(next(iter(pending))), now)

    def _leave_at_eof(self, now: float) -> bool:
        """Close the pipes whose input has ended and that wait for nothing. False: there was none."""
        for line in self._at_eof.values():
            codec, connection = line.codec, line.connection
            if line.leaving or connection is None or not isinstance(codec, Pipe) or not codec.at_eof or codec.output:
                continue
            if line.wire.clear and not self.gateway.busy(connection):
                line.leaving = True
                codec.close(NORMAL, now)
                self._pending[line.socket] = line
        return bool(self._pending)

    def _take(self, line: SocketState, now: float) -> None:
        """Do what a codec's output says, while it grows; a codec that was replaced is emptied before its heir."""
        if line.connection is None and isinstance(line.codec, Http1) and self._sockets.exceeds(line):
            # Before connections have to go for a body that nobody has seen yet.
            line.codec.shed(now)
        while True:
            codec = line.codec
            done = 0
            for output in codec.output:
                if type(output) is Text and BACKLOG in line.stopped:
                    break  # who does not take answers is not asked for more questions
                done += 1
                self._tell[type(output)](line, output, now)
                self._perform(now)
            del codec.output[:done]
            if line.codec is codec:
                break
        if line.answered and line.wire.clear:
            self._handed_over(line, now)
        self._sockets.schedule(line)
        self._sockets.measure(line, now)
        self._perform(now)

    def _handed_over(self, line: SocketState, now: float) -> None:
        """The answer has gone: the exchange's connection ends, and the next request's may begin."""
        line.answered = False
        connection = line.connection
        if connection is not None:
            self._sockets.part(line, now)
            self.gateway.disconnected(connection, None, now)
            self._perform(now)
        if not line.codec_closed:
            http(line).proceed(now)
            self._pending[line.socket] = line

    def _perform(self, now: float) -> None:
        """Do what the gateway's outbox says, while it grows. Codecs that this moves are taken from afterwards."""
        effects = self.gateway.outbox
        if effects:
            for effect in effects:
                self._do[type(effect)](effect, now)
            effects.clear()
