"""The reference model: what a gateway promises about connections and calls, in plain dictionaries.

It stands beside a gateway, is told each of its inputs with the effects that followed (`saw`), and raises `Violation`
when they are not what the rules ask for. It reads texts by itself and knows nothing of the gateway's tables, timers or
reader. What it holds the gateway to:

| | exactly | bounded only |
|---|---|---|
| requests | refused with which code, handed out, or waiting, in order | |
| outcomes | when, to whom, which ids in which array, once, within the limits | -32603 for a result, -32008, -32011 |
| handlers | each Invoke and Cancel; slots; what their ends return | |
| time | what ends with the first `handle_timeout` that is due | which of two deadlines came first |
| pushes | to whom, when, in order with replies | their params; of `message.received` its target |
| requests of ours | one Resolve each, a result or which code | |
| closing | what it settles; what `flush` lets leave; silence | whether a limit was met at all, but not when |
| shut-down | refusals, the end of the grace, Drained | how farewells are spread |
| slow peers | what is queued leaves in order, before they are read again | in which portions |

Events are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, Final

from posthouse.adapters.invariants import Violation, must
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Accept, Disconnect, Drained, Effect, Emit, Heartbeat
from posthouse.core.values.errors import (
    INTERNAL_ERROR,
    RpcError,
)
from posthouse.core.values.lifecycle import LimitBreached
from posthouse.core.values.peers import PUSHABLE, Peer

from .calls import Calls
from .limits import CAUSES
from .records import Connection, Leaving
from .turn import Turn

GOING: Final = 1012
"""The close code of a shut-down."""


class Model:
    """The promises about one gateway that serves `service` within `config`."""

    def __init__(self, service: Service, config: Config) -> None:
        self._config = config
        self._sent = 0
        self._leaving: Leaving | None = None
        self._turn = Turn(config)
        self._calls = Calls(service, config, self._turn)
        self.connections = self._turn.connections
        self.sockets: dict[int, None] = {}
        self._rules: Final[dict[str, Callable[..., None]]] = {
            "accepted": self._accepted,
            "released": self._released,
            "connect": self._connect,
            "receive": self._receive,
            "heard": self._heard,
            "disconnected": self._disconnected,
            "report_held": self._report_held,
            "report_sent": self._report_sent,
            "report_buffered": self._report_buffered,
            "complete": self._complete,
            "fail": self._fail,
            "progress": self._progress,
            "notify": self._notify,
            "broadcast": self._broadcast,
            "request": self._request,
            "abandon": self._abandon,
            "shut_down": self._shut_down,
            "handle_timeout": self._handle_timeout,
        }

    def saw(
        self, name: str, arguments: tuple[Any, ...], now: float, effects: Sequence[Effect], returned: object
    ) -> None:
        """The input `name` ran with these `arguments` (without params and results, which mean nothing here), left
        `effects` and returned `returned`. Raises Violation when that is not what had to follow."""
        turn = self._turn
        turn.begin(effects, now)
        self._rules[name](*arguments, returned)
        for effect in effects:
            if type(effect) is Disconnect:
                self._leave(effect)
            elif type(effect) is Heartbeat:
                self._beat(effect)
            elif type(effect) is Emit and type(effect.event) is LimitBreached:
                self._limit(effect.event)
        turn.compare()
        if self._leaving is not None:
            self._check_drained(self._leaving)

    # Sockets and connections

    def _accepted(self, returned: int | None) -> None:
        if returned is not None:
            accepting = self._leaving is None or self._leaving.accepting
            must(accepting, "shutdown: a socket is accepted that is not to be", returned)
            self.sockets[returned] = None

    def _released(self, socket: int, returned: None) -> None:
        self.sockets.pop(socket, None)

    def _connect(self, peer: Peer, returned: int) -> None:
        connection = self.connections[returned] = Connection(returned, peer, PUSHABLE[peer.kind])
        connection.active_at = self._turn.now
        kinds = [type(effect) for effect in self._turn.effects]
        refused = Disconnect in kinds
        must(refused or not connection.pushable or self._leaving is None, "shutdown: who would stay is let in", peer)
        must((Accept in kinds) is (connection.pushable and not refused), "answering: let in or refused, and told", peer)

    def _disconnected(self, number: int, returned: None) -> None:
        connection = self.connections.pop(number, None)
        if connection is not None and connection.open:
            self._let_go(connection)

    def _leave(self, effect: Disconnect) -> None:
        """The gateway closes a connection."""
        connection = self.connections.get(effect.connection)
        if connection is None or not connection.open:
            raise Violation("order: a connection is closed that is closed already", effect)
        if effect.code == GOING:
            must(self._leaving is not None, "shutdown: a farewell without a shut-down", effect)
            must(not (effect.flush and connection.calls), "shutdown: a farewell to who waits for an outcome", effect)
        self._let_go(connection)

    def _limit(self, event: LimitBreached) -> None:
        """A limit was met, whether that closes or is only observed."""
        cause = CAUSES.get(event.limit)
        connection = None if event.connection is None else self.connections.get(event.connection)
        if cause is not None and connection is not None:
            met = cause(connection, self._turn.now, self._config)
            must(met, "limits: nobody meets a limit without a cause", event.limit, connection.number)

    def _beat(self, effect: Heartbeat) -> None:
        connection = self.connections.get(effect.connection)
        must(connection is not None and connection.open, "order: a sign of life is asked of who is closed", effect)
        if connection is not None:
            connection.beaten_at = self._turn.now

    def _let_go(self, connection: Connection) -> None:
        connection.open = False
        self._calls.let_go(connection)

    def _report_held(self, number: int, size: int, returned: None) -> None:
        connection = self.connections.get(number)
        if connection is not None and connection.open and size > 0:
            if not connection.held:
                connection.taken_at = self._turn.now
            connection.held += size

    def _report_sent(self, number: int, size: int, returned: None) -> None:
        connection = self.connections.get(number)
        if connection is not None and connection.open and size > 0:
            connection.held -= size
            connection.taken_at = self._turn.now
            self._turn.freed(connection)

    def _report_buffered(self, returned: None) -> None:
        """Only a limit can follow."""

    # Texts and handlers

    def _receive(self, number: int, data: bytes, returned: None) -> None:
        connection = self.connections.get(number)
        if connection is not None and connection.open and not connection.asked:
            connection.asked = not connection.pushable
            self._calls.receive(connection, data)

    def _heard(self, number: int, returned: None) -> None:
        connection = self.connections.get(number)
        if connection is not None:
            connection.heard_at = self._turn.now

    def _complete(self, number: int, returned: bool) -> None:
        self._calls.handler_ended(number, (None, INTERNAL_ERROR), returned)

    def _fail(self, number: int, error: RpcError, returned: bool) -> None:
        # Texts that cannot be encoded leave nothing to be said of the error but that there was one.
        self._calls.handler_ended(number, (error.code, INTERNAL_ERROR), returned)

    # Speaking first

    def _progress(self, number: int, returned: bool) -> None:
        call = self._calls.calls.get(number)
        if call is None or not (call.open and call.connection.reachable) or call.waiting or call.token is None:
            must(not returned, "calls: there is progress after the outcome, or to nobody", number)
            return
        must(returned, "calls: progress was not told", number)
        self._turn.push(call.connection, "$/progress")

    def _notify(self, to: int, method: str, returned: bool) -> None:
        connection = self.connections.get(to)
        reachable = connection is not None and connection.reachable
        must(returned is reachable, "answering: who notifies is told whether anybody hears", to)
        if connection is not None:
            self._turn.push(connection, method)

    def _broadcast(
        self, method: str, kinds: Container[str] | None, users: Container[str | None] | None, returned: int
    ) -> None:
        reached = [
            connection
            for connection in self.connections.values()
            if connection.reachable
            and (kinds is None or connection.peer.kind in kinds)
            and (users is None or connection.peer.identity.user in users)
        ]
        must(returned == len(reached), "answering: who broadcasts is told how many hear", returned)
        for connection in reached:
            self._turn.push(connection, method)

    def _request(self, to: int, method: str, timeout: float, returned: int) -> None:
        self._sent += 1
        must(returned == self._sent, "order: requests are numbered", returned)
        self._calls.request(returned, self.connections.get(to), method, self._turn.now + timeout)

    def _abandon(self, request: int, returned: None) -> None:
        self._calls.withdraw(request)

    # Time

    def _handle_timeout(self, returned: None) -> None:
        leaving = self._leaving
        self._calls.expire(graceless=leaving is not None and leaving.graceless(self._turn.now))
        if leaving is not None:
            leaving.passed(self._turn.now)

    # The end

    def _shut_down(self, grace: float | None, returned: None) -> None:
        if self._leaving is not None:
            return
        self._leaving = Leaving.at(self._turn.now, grace, self._config)
        self._calls.draining = True
        for connection in self.connections.values():
            self._turn.push(connection, "connection.draining")

    def _check_drained(self, leaving: Leaving) -> None:
        """Drained comes with the input after which nothing is left, or when the time is over."""
        told = [type(effect) for effect in self._turn.effects].count(Drained)
        nothing = not (leaving.accepting or self.connections or self.sockets or self._calls.handlers)
        must(told <= (not leaving.drained), "shutdown: it ends twice")
        leaving.drained = leaving.drained or bool(told)
        must(not told or nothing or leaving.over, "shutdown: it ends while there is something left")
        must(leaving.drained or not (nothing or leaving.over), "shutdown: nothing is left and it does not end")
        if told and leaving.over:
            staying = [connection.number for connection in self.connections.values() if connection.open]
            must(not staying, "shutdown: it ends and somebody stays", *staying)

    # Between two inputs

    def check(self, gateway: Gateway, now: float) -> None:
        """What the gateway says of itself agrees, and it wants to be woken in time. Costs what there is."""
        health = gateway.health(now)
        handlers = self._calls.handlers
        waiting = len(self._calls.calls) - handlers
        must(health.calls == handlers, "calls: a slot is held by each handler", health.calls, handlers)
        must(health.waiting == waiting, "calls: those wait that were not handed out", health.waiting, waiting)
        must(health.sockets == len(self.sockets), "calls: sockets are those that are open", health.sockets)
        must(gateway.draining is (self._leaving is not None), "shutdown: it says whether it has begun")
        deadlines = self._calls.deadlines()
        if self._leaving is not None:
            deadlines += self._leaving.deadlines()
            self._check_farewells(self._leaving)
        due = gateway.next_timeout()
        late = bool(deadlines) and (due is None or due > min(deadlines))
        must(not late, "time: it would sleep through a deadline", due, min(deadlines, default=None))

    def _check_farewells(self, leaving: Leaving) -> None:
        if leaving.farewells_over:
            staying = [each.number for each in self.connections.values() if each.reachable and not each.calls]
            must(not staying, "shutdown: who waits for nothing is bidden farewell", *staying)

    def at_rest(self) -> None:
        """Nothing is owed to anybody, and no call is known."""
        must(not self._calls.calls, "rest: no call is left", *self._calls.calls)
        must(not self._calls.requests, "rest: no request is in flight", *self._calls.requests)
        owed = [connection.number for connection in self.connections.values() if connection.owed]
        must(not owed, "rest: nothing is owed", *owed)
