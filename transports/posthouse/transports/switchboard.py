"""One gateway and all codecs: which connection lives on which socket, and what of it leaves when.

The only thing that an adapter for sockets drives. Mutate, drain, wait: every input runs to its end and leaves what
follows in `outbox`, in order; after a batch of inputs the adapter performs the outbox while it grows, clears it, and
only then waits. What a text means is the gateway's; what bytes mean is the codecs'. It may not know sockets, tasks or
clocks: `now` is monotonic seconds and always an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final

from msgspec.json import encode
from posthouse.core.config import Config
from posthouse.core.effects import (
    Accept,
    Answer,
    Cancel,
    Disconnect,
    Drained,
    Emit,
    Heartbeat,
    Invoke,
    Multicast,
    PauseReading,
    Resolve,
    ResumeReading,
    Transmit,
)
from posthouse.core.errors import RpcError
from posthouse.core.gateway import Gateway
from posthouse.core.lifecycle import AcceptingStopped, DrainStarted
from posthouse.core.peers import (
    NO_META,
    Address,
    CallId,
    ConnectionId,
    Identity,
    Kind,
    Meta,
    Peer,
    RequestId,
    SocketId,
)
from posthouse.core.stats import Health, Stats
from posthouse.core.timers import Timers

from .actions import Action
from .codec import (
    ABNORMAL,
    Answered,
    Ended,
    Exchange,
    Finish,
    HeadRead,
    Heard,
    Pause,
    Probe,
    Resume,
    Selected,
    Send,
    Shut,
    Text,
    Upgrade,
)
from .http1 import Http1
from .opening import first_codec
from .pipe import Pipe
from .policy import Policy
from .sockets import BACKLOG, BUFFER, WIRE_STALLED, Line, Sockets
from .websocket import WebSocket

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
STATS_SCOPES: Final = ("admin",)


class Switchboard:
    """Joins `gateway` to sockets. `policy` says who may open connections, and who an unauthenticated caller is.

    Every input raises only UsageError, for a caller's own misuse: a socket that never was, more bytes `sent` than held.
    """

    def __init__(self, gateway: Gateway, policy: Policy = Policy()) -> None:
        self.outbox: list[Action] = []
        self.gateway: Final = gateway
        self.config: Final[Config] = gateway.config
        self._policy = policy
        self._refused = Stats()
        self._timers = Timers()
        self._sockets = Sockets(gateway, self.outbox, self._timers)
        self._at_eof: dict[SocketId, Line] = {}
        self._pending: dict[SocketId, Line] = {}
        self._outputs: dict[type, Callable[[Line, Any, float], None]] = {
            HeadRead: self._on_head_read,
            Send: self._on_send,
            Text: self._on_text,
            Heard: self._on_heard,
            Exchange: self._on_exchange,
            Probe: self._on_probe,
            Answered: self._on_answered,
            Upgrade: self._on_upgrade,
            Selected: self._on_selected,
            Pause: self._on_pause,
            Resume: self._on_resume,
            Ended: self._on_ended,
            Finish: self._on_finish,
            Shut: self._on_shut,
        }
        self._effects: dict[type, Callable[[Any, float], None]] = {
            Accept: self._accept,
            Transmit: self._transmit,
            Multicast: self._multicast,
            Answer: self._answer,
            Disconnect: self._disconnect,
            PauseReading: self._pause_reading,
            ResumeReading: self._resume_reading,
            Heartbeat: self._heartbeat,
            Invoke: self._pass_on,
            Cancel: self._pass_on,
            Resolve: self._pass_on,
            Emit: self._emit,
            Drained: self._pass_on,
        }

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
        if line is not None and not line.over:
            line.codec.receive_data(data, now)
            self._run(now, line)

    def received_eof(self, socket: SocketId, now: float) -> None:
        """The peer half-closed: no more bytes come."""
        line = self._sockets.find(socket)
        if line is not None and not line.over:
            line.codec.receive_eof(now)
            if line.address.transport == "pipe":
                self._at_eof[socket] = line
            self._run(now, line)

    def held(self, socket: SocketId, size: int, now: float) -> None:
        """The socket did not take `size` bytes of what it was given (Writes without `report`): they wait outside."""
        line = self._sockets.find(socket)
        if line is not None and size > 0:
            line.wire.held(size)
            self._sockets.count(line, size, now)
            self._run(now)

    def sent(self, socket: SocketId, size: int, now: float) -> None:
        """`size` of the held bytes went."""
        line = self._sockets.find(socket)
        if line is not None and size > 0:
            self._sockets.sent(line, size, now)
            self._run(now, line)

    def closed(self, socket: SocketId, now: float) -> None:
        """The socket is closed: reset, broken, or as `CloseSocket` asked. Once."""
        line = self._sockets.find(socket)
        if line is None:
            return
        line.over = True
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

    def request(self, to: ConnectionId, method: str, params: object, now: float, *, timeout: float) -> RequestId:
        """Ask a peer. Exactly one `Resolve` follows, within `timeout` seconds, unless it is abandoned."""
        request = self.gateway.request(to, method, params, now, timeout=timeout)
        self._run(now)
        return request

    def abandon(self, request: RequestId, now: float) -> None:
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
            elif not line.over:
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
        return {**self.gateway.stats(), **self._refused.snapshot()}

    # What every input ends with

    def _run(self, now: float, line: Line | None = None) -> None:
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

    def _take(self, line: Line, now: float) -> None:
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
                self._outputs[type(output)](line, output, now)
                self._perform(now)
            del codec.output[:done]
            if line.codec is codec:
                break
        if line.answered and line.wire.clear:
            self._handed_over(line, now)
        self._sockets.schedule(line)
        self._sockets.measure(line, now)
        self._perform(now)

    def _handed_over(self, line: Line, now: float) -> None:
        """The answer has gone: the exchange's connection ends, and the next request's may begin."""
        line.answered = False
        connection = line.connection
        if connection is not None:
            self._sockets.part(line, now)
            self.gateway.disconnected(connection, None, now)
            self._perform(now)
        if not line.over:
            _http(line).proceed(now)
            self._pending[line.socket] = line

    # From a codec

    def _on_head_read(self, line: Line, output: HeadRead, now: float) -> None:
        self.gateway.head_read(line.socket, now)

    def _on_send(self, line: Line, output: Send, now: float) -> None:
        self._sockets.write(line, output.data, now)

    def _on_text(self, line: Line, output: Text, now: float) -> None:
        assert line.connection is not None
        self.gateway.receive(line.connection, output.data, now)

    def _on_heard(self, line: Line, output: Heard, now: float) -> None:
        assert line.connection is not None
        self.gateway.heard(line.connection, now)

    def _on_exchange(self, line: Line, output: Exchange, now: float) -> None:
        # A refusal comes as an effect; what the gateway has refused it does not receive.
        self.gateway.receive(self._connect(line, "http", output.meta, now), output.data, now)

    def _on_upgrade(self, line: Line, output: Upgrade, now: float) -> None:
        line.upgrade = output
        self._connect(line, "websocket", NO_META, now)

    def _on_selected(self, line: Line, output: Selected, now: float) -> None:
        self.gateway.head_read(line.socket, now)
        line.codec = output.codec
        self._connect(line, "cli", NO_META, now)
        line.codec.receive_data(output.rest, now)

    def _connect(self, line: Line, kind: Kind, meta: Meta, now: float) -> ConnectionId:
        """A connection begins on this line: `Accept` or `Disconnect` follows, or for HTTP an `Answer`."""
        connection = self.gateway.connect(Peer(kind, line.address, line.socket, line.identity, meta), now)
        self._sockets.settle(line, connection)
        return connection

    def _on_probe(self, line: Line, output: Probe, now: float) -> None:
        http, identity = _http(line), line.identity
        line.answered = True
        if output.path == "/health":
            health = self.gateway.health(now)
            http.respond(503 if health.status == "draining" else 200, encode(health), now)
        elif not identity.missing(STATS_SCOPES):
            http.respond(200, encode(self.stats()), now)
        else:
            http.respond(403 if identity.authenticated else 401, encode({"scopes": STATS_SCOPES}), now)

    def _on_answered(self, line: Line, output: Answered, now: float) -> None:
        line.answered = True
        if output.status >= 400:
            self._refused.count(f"http.refused.{output.status}")

    def _on_pause(self, line: Line, output: Pause, now: float) -> None:
        self._sockets.stop_reading(line, BUFFER)

    def _on_resume(self, line: Line, output: Resume, now: float) -> None:
        self._sockets.start_reading(line, BUFFER)

    def _on_ended(self, line: Line, output: Ended, now: float) -> None:
        connection = line.connection
        assert connection is not None
        self._sockets.part(line, now)
        self.gateway.disconnected(connection, output.code, now)

    def _on_finish(self, line: Line, output: Finish, now: float) -> None:
        self._sockets.end_writing(line)

    def _on_shut(self, line: Line, output: Shut, now: float) -> None:
        self._sockets.shut(line, now, flush=output.flush)

    # From the gateway

    def _perform(self, now: float) -> None:
        """Do what the gateway's outbox says, while it grows. Codecs that this moves are taken from afterwards."""
        effects = self.gateway.outbox
        if effects:
            for effect in effects:
                self._effects[type(effect)](effect, now)
            effects.clear()

    def _pass_on(self, effect: Invoke | Cancel | Resolve | Drained, now: float) -> None:
        self.outbox.append(effect)

    def _emit(self, effect: Emit, now: float) -> None:
        self.outbox.append(effect)
        if type(effect.event) is DrainStarted:
            for line in self._sockets.lines.values():
                if isinstance(line.codec, Http1):
                    line.codec.draining = True
        elif type(effect.event) is AcceptingStopped:
            for line in self._sockets.lines.values():
                if line.connection is None and not line.over:
                    self._leave_idle(line, now)

    def _leave_idle(self, line: Line, now: float) -> None:
        if isinstance(line.codec, Http1):
            line.codec.shut_idle(now)
        else:
            line.codec.close(GOING_AWAY, now)
        self._pending[line.socket] = line

    def _accept(self, effect: Accept, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        upgrade, line.upgrade = line.upgrade, None
        if upgrade is not None:
            _http(line).accept_upgrade(now)
            line.codec = WebSocket(self.config, deflate=upgrade.handshake.deflate, binary=self._policy.binary, now=now)
            if upgrade.rest:
                line.codec.receive_data(upgrade.rest, now)
            if upgrade.eof:
                line.codec.receive_eof(now)

    def _transmit(self, effect: Transmit, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        frame = line.codec.frame(effect.data)
        if effect.report:
            line.counted += len(frame)
            more = len(frame) - len(effect.data)  # the gateway counts payloads, the wire has their frames
            self.gateway.report_held(effect.connection, more, now)
            self.gateway.report_sent(effect.connection, -more, now)
        self._sockets.write(line, frame, now, report=effect.report)

    def _multicast(self, effect: Multicast, now: float) -> None:
        frames: dict[Hashable, bytes] = {}
        for connection in effect.connections:
            line = self._sockets.by_connection[connection]
            framing = line.codec.framing
            frame = frames.get(framing)
            if frame is None:
                frame = frames[framing] = line.codec.frame(effect.data)
            self._sockets.write(line, frame, now)

    def _answer(self, effect: Answer, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        line.answered = True
        _http(line).answer(effect.data, effect.code, effect.retry_after, now)
        self._pending[line.socket] = line

    def _disconnect(self, effect: Disconnect, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        self._pending[line.socket] = line
        if isinstance(line.codec, Http1):
            self._disconnect_http(line, line.codec, effect, now)
            return
        line.leaving = True
        if not effect.flush:
            line.wire.drop_unbegun()
        line.codec.close(effect.code, now)
        self._sockets.disown(line, now)  # the peer's side of the closing must be heard

    def _disconnect_http(self, line: Line, http: Http1, effect: Disconnect, now: float) -> None:
        """A request or a handshake that was not admitted, or an exchange that the gateway ends."""
        self._sockets.part(line, now)
        line.upgrade = None
        if line.answered and effect.flush:
            http.close(effect.code, now)
        elif line.answered:
            self._sockets.shut(line, now, flush=False)
        else:
            line.answered = True
            http.refuse(effect.code, None, now)
        self.gateway.disconnected(effect.connection, None, now)

    def _pause_reading(self, effect: PauseReading, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        self._sockets.stop_reading(line, BACKLOG)
        if isinstance(line.codec, WebSocket):
            line.codec.output_paused = True

    def _resume_reading(self, effect: ResumeReading, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        self._sockets.start_reading(line, BACKLOG)
        self._pending[line.socket] = line
        if isinstance(line.codec, WebSocket):
            line.codec.resume_output(now)

    def _heartbeat(self, effect: Heartbeat, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        line.codec.heartbeat(now)
        self._pending[line.socket] = line


def _http(line: Line) -> Http1:
    assert isinstance(line.codec, Http1)
    return line.codec
