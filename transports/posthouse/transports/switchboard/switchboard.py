"""The class that joins a gateway to sockets: its inputs, its clock, and the order in which the work is done.

An adapter for sockets drives this class only. Mutate, flush, wait: every input runs to its end and appends its actions
to `outbox`, in order. After a batch of inputs the adapter performs the outbox while it grows, clears it, and only then
waits. `now` is monotonic seconds and always an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace
from posthouse.core.gateway import Gateway
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Address, CallId, ConnectionId, Identity, Kind, OperationId, OutgoingId, SocketId
from posthouse.core.values.stats import Health, Measurements
from posthouse.core.values.timers import Timers
from posthouse.transports.forwarding import Networks
from posthouse.transports.policy import Policy

from .actions import Action
from .codec_outputs import CodecOutputs
from .first_codec import first_codecs
from .gateway_effects import GatewayEffects
from .local_calls import LocalCalls
from .socket_state import GONE, SocketState
from .sockets import WIRE_STALLED, Sockets
from .work import Work
from .write_queue import Writer


class Switchboard:
    """Joins `gateway` to sockets. `policy` says who may open connections, and who an unauthenticated caller is. `about`
    has facts of the process that `/stats` reports before the counters, such as its version. With `direct=False` nothing
    takes a shorter way: the results are the same, later.

    Inputs raise UsageError for misuse by the caller, and nothing else: a socket that never was, or more bytes `sent`
    than are held, or a negative number of bytes.
    """

    def __init__(
        self,
        gateway: Gateway,
        policy: Policy = Policy(),
        about: Mapping[str, str | float] = {},
        *,
        direct: bool = True,
    ) -> None:
        self.outbox: list[Action] = []
        self.gateway: Final = gateway
        self.config: Final[Config] = gateway.config
        self._policy = policy = policy.speaking(gateway.subprotocols)
        self._direct: Final = direct
        self._first_codec = first_codecs(gateway.config, policy, direct=direct, schemes=gateway.schemes)
        open_to_all = replace(gateway.config, require_authentication=False)
        self._probe_codec = first_codecs(open_to_all, policy.for_probes(), direct=direct, schemes=gateway.schemes)
        self._networks: Final = Networks(gateway.config.trust_proxies)
        self._timers = Timers()
        self._sockets = Sockets(gateway, self.outbox, self._timers)
        self._records: Final = self._sockets.records
        pending: dict[SocketId, SocketState] = {}
        self._outputs = CodecOutputs(gateway, self._sockets, self.outbox, about)
        self._local_calls = LocalCalls(gateway, self.outbox)
        effects = GatewayEffects(gateway, self._sockets, self._local_calls, self.outbox, pending, direct=direct)
        self._work = Work(gateway, self._sockets, self._outputs, effects, pending)
        self._run = self._work.run

    # Inputs: sockets

    def opened(
        self, address: Address, now: float, *, identity: Identity | None = None, probes: bool = False
    ) -> SocketId | None:
        """A socket was accepted and nothing was read from it. Returns None if it is refused: close it unread.

        `identity` is the peer's, if the adapter knows it. None: the identity that the policy gives to everybody. With
        `probes` it came to a port where only probes are answered.
        """
        socket = self.gateway.accepted(address, now, trusted=self._networks.trust(address))
        if socket is not None:
            identity = self._policy.identity if identity is None else identity
            codec = (self._probe_codec if probes else self._first_codec)(address, identity, now)
            if self.gateway.draining:
                codec.drain()
            self._sockets.schedule(self._sockets.add(socket, address, codec, identity))
        self._run(now)
        return socket

    def attach(self, socket: SocketId, writer: Writer) -> None:
        """From now on, this writer gets the bytes of a `Write` directly, while no action is queued."""
        state = self._sockets.find(socket)
        if state is not None and self._direct:
            state.wire.writer = writer

    def received(self, socket: SocketId, data: bytes, now: float) -> None:
        """Bytes came. At most `config.read_bytes` of them."""
        state = self._records.get(socket)
        if state is None or state.codec_closed:
            self._sockets.find(socket)
            return
        self._sockets.received_bytes += len(data)
        if self._direct and not state.stopped:
            messages = state.codec.receive_whole(data, now)
            if messages:
                self._work.hand_on(state, messages, now)
                return
        state.codec.receive_data(data, now)
        self._run(now, state)

    def received_eof(self, socket: SocketId, now: float) -> None:
        """The peer half-closed: no more bytes come."""
        state = self._sockets.find(socket)
        if state is not None and not state.codec_closed:
            state.codec.receive_eof(now)
            if state.address.transport == "pipe":
                self._work.at_eof[socket] = state
            self._run(now, state)

    def held(self, socket: SocketId, size: int, now: float) -> None:
        """The socket did not take `size` bytes of Writes without `report`: they wait outside."""
        state = self._sockets.find_for(socket, size)
        if state is not None:
            state.wire.owed += size
            self._sockets.count(state, size, now)
            self._run(now)

    def sent(self, socket: SocketId, size: int, now: float) -> None:
        """`size` of the held bytes went."""
        state = self._sockets.find_for(socket, size)
        if state is not None:
            self._sockets.sent(state, size, now)
            self._run(now, state)

    def closed(self, socket: SocketId, now: float) -> None:
        """The socket is closed: reset, broken, or as `CloseSocket` asked. Once."""
        state = self._sockets.records.get(socket)
        if state is None:
            self._sockets.find(socket)
            return
        state.advance(GONE)
        connection = state.connection
        if connection is not None:
            self._sockets.part(state, now)
            self.gateway.disconnected(connection, state.codec.abnormal_code, now)
        self._sockets.remove(state, now)
        self._work.at_eof.pop(socket, None)
        self.gateway.released(socket, now)
        self._run(now)

    # Inputs: handlers and pushes, as the gateway has them

    def complete(self, call: CallId, result: object, now: float) -> bool:
        """The handler of this call returned. True: its caller gets this result. False: the call has another outcome."""
        first = self.gateway.complete(call, result, now)
        self._run(now)
        return first

    def fail(self, call: CallId, error: RpcError, now: float) -> bool:
        """The handler of this call raised, or was stopped. False: the call had ended."""
        first = self.gateway.fail(call, error, now)
        self._run(now)
        return first

    def conclude(self, operation: OperationId, outcome: object, now: float) -> bool:
        """The outside has done what a `Verify` asked for. False: it had ended, and this outcome does not count."""
        first = self.gateway.conclude(operation, outcome, now)
        self._run(now)
        return first

    def progress(self, call: CallId, value: object, now: float) -> bool:
        """Tell the caller how far its call is. False: the call had ended, or its caller gave no progress token."""
        told = self.gateway.progress(call, value, now)
        self._run(now)
        return told

    def notify(self, to: ConnectionId, method: str, params: object, now: float, *, after: CallId | None = None) -> bool:
        """Send a notification. False: the connection is gone or cannot be pushed to. `after`: behind the reply of this
        call, and not at all if it gets no result."""
        sent = self.gateway.notify(to, method, params, now, after=after)
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
        namespace: str = "",
    ) -> int:
        """Send a notification to every connection of these kinds and users (None: all). Returns their number."""
        delivered = self.gateway.broadcast(method, params, now, kinds=kinds, users=users, namespace=namespace)
        self._run(now)
        return delivered

    def request(self, to: ConnectionId, method: str, params: object, now: float, *, timeout: float) -> OutgoingId:
        """Ask a peer. Exactly one `Resolve` follows, within `timeout` seconds, unless it is abandoned."""
        request = self.gateway.request(to, method, params, now, timeout=timeout)
        self._run(now)
        return request

    def abandon(self, request: OutgoingId, now: float) -> None:
        """Forget this request: there will be no `Resolve`."""
        self.gateway.abandon(request, now)
        self._run(now)

    def ask_session(self, call: CallId, method: str, params: object, now: float) -> OutgoingId:
        """A handler changes or ends the session of its caller. Exactly one `Resolve` follows."""
        asked = self.gateway.ask_session(call, method, params, now)
        self._run(now)
        return asked

    def publish(self, topic: str, value: object, now: float) -> OutgoingId:
        """Publish a value of the service to a topic. Exactly one `Resolve` follows, with its position or an error."""
        asked = self.gateway.publish(topic, value, now)
        self._run(now)
        return asked

    def unsubscribe(
        self,
        now: float,
        *,
        user: str | None = None,
        namespace: str = "",
        session: str | None = None,
        topic: str | None = None,
    ) -> int:
        """End the subscriptions of a user or of a session, to one topic or to all. Returns their number."""
        ended = self.gateway.unsubscribe(now, user=user, namespace=namespace, session=session, topic=topic)
        self._run(now)
        return ended

    def revoke(self, user: str, now: float, *, namespace: str = "", not_before: float | None = None) -> int:
        """Revoke a user: close its connections, cancel its calls, and verify its credentials anew. Returns the number
        of connections. `not_before`: only credentials that were made before, which are then refused."""
        closed = self.gateway.revoke(user, now, namespace=namespace, not_before=not_before)
        self._run(now)
        return closed

    # Inputs: calls that this process makes itself

    def call(
        self,
        method: str,
        params: object,
        now: float,
        *,
        identity: Identity | None = None,
        timeout: float | None = None,
    ) -> ConnectionId:
        """Call a method as this caller (None: as the policy's), on a connection of its own. Exactly one `Reply` with
        this connection follows, within the deadline of the method and `timeout` seconds, unless `hang_up` comes first.
        """
        identity = self._policy.identity if identity is None else identity
        connection = self._local_calls.begin(method, params, now, identity=identity, timeout=timeout)
        self._run(now)
        return connection

    def hang_up(self, connection: ConnectionId, now: float) -> None:
        """Forget a call that this process made: its connection ends, and there will be no `Reply`. After the `Reply`
        this changes nothing."""
        self._local_calls.hang_up(connection, now)
        self._run(now)

    # Inputs: the server

    def shut_down(self, now: float, *, grace: float | None = None) -> None:
        """Begin a shut-down; `Drained` follows. A second call changes nothing."""
        self.gateway.shut_down(now, grace=grace)
        self._run(now)

    def set_wall(self, unix: float, now: float) -> None:
        """Unix time is `unix` at `now`. Only timestamps depend on it, and when identities expire."""
        self.gateway.set_wall(unix, now)
        self._run(now)

    # Time

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is wanted, or None. A time in the past: work is left, after others had a turn."""
        mine, gateways = self._timers.next(), self.gateway.next_timeout()
        if mine is None or gateways is None:
            return gateways if mine is None else mine
        return min(mine, gateways)

    def handle_timeout(self, now: float) -> None:
        """Time has passed. Early, late or spurious calls are harmless."""
        self.gateway.handle_timeout(now)
        self._run(now)
        # All are collected first: a codec with work left arms another deadline in the past, and others go before it.
        due = []
        while (timer := self._timers.pop(now)) is not None:
            due.append(timer)
        for timer in due:
            state = self._sockets.rang(timer)
            if timer.reason == WIRE_STALLED:
                self._sockets.judge(state, now)
            elif not state.codec_closed:
                state.codec.handle_timeout(now)
                self._run(now, state)

    # Look-ups

    @property
    def accepting(self) -> bool:
        """May sockets be accepted? False after the notice of a shut-down."""
        return self.gateway.accepting

    @property
    def draining(self) -> bool:
        """Has a shut-down begun?"""
        return self.gateway.draining

    def health(self, now: float) -> Health:
        """The health of the gateway. Changes nothing."""
        return self._outputs.health(now)

    def add_to_health(self, members: dict[str, Any]) -> None:
        """From now on, `/health` has these members, too: what a host knows of other processes."""
        self._outputs.beside_health = members

    def expose(self, exposition: Callable[[Measurements], bytes]) -> None:
        """From now on, `/metrics` is answered with what this function makes of the measurements."""
        self._outputs.exposition = exposition

    def stats(self) -> dict[str, int]:
        """All counters and sizes by name. Changes nothing."""
        return self._outputs.stats()

    def measurements(self) -> Measurements:
        """All counters, sizes, durations and levels. Changes nothing."""
        return self._outputs.measurements()
