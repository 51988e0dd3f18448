"""A switchboard for a host that speaks HTTP and WebSocket by itself: each request of the host stands for a socket.

All that is behind the codecs is as for sockets. This module may not know what a message says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace
from posthouse.core.gateway import Gateway
from posthouse.core.values.close_reasons import DRAINING, MAX_CONNECTIONS
from posthouse.core.values.peers import Address, Identity, SocketId
from posthouse.transports.forwarding import Proxy
from posthouse.transports.http.answers import UNKNOWN, not_admitted_answer, read_fields
from posthouse.transports.http.challenges import Challenges
from posthouse.transports.http.judgement import Judge
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.switchboard import Switchboard

from .exchange import HostedExchange
from .messages import Response
from .request import HostedRequest
from .websocket import HostedWebSocket

WHOLE: Final = 2**63
"""Every frame is handed over whole: a host cuts messages by itself."""


class HostedBoard(Switchboard):
    """A switchboard with inputs for hosted requests. A socket here is one of them: it closes behind its answer, or with
    its WebSocket. The data of its `Write` actions are those of `messages.py`."""

    def __init__(
        self,
        gateway: Gateway,
        policy: Policy = Policy(),
        about: Mapping[str, str | float] = {},
        *,
        direct: bool = True,
    ) -> None:
        super().__init__(gateway, policy, about, direct=direct)
        policy, challenges = self._policy, Challenges.of(gateway.schemes)
        self._demanding: Final = Judge(self.config, policy, challenges, hosted=True)
        open_to_all = replace(self.config, require_authentication=False)
        self._undemanding: Final = Judge(open_to_all, policy, challenges, hosted=True)

    def requested(
        self,
        request: HostedRequest,
        address: Address,
        now: float,
        *,
        identity: Identity | None = None,
        host_scope: Any = None,
    ) -> SocketId | None:
        """A request or a handshake came, whose body is to come. None: a limit or a shut-down refuses it: send what
        `turned_away` returns. `identity` is the caller's, if the host knows it. None: the identity that the policy
        gives to everybody. `host_scope` is for handlers."""
        trusted = self._networks.trust(address)
        socket = self.gateway.accepted(address, now, trusted=trusted)
        if socket is None:
            self._run(now)
        else:
            identity = self._policy.identity if identity is None else identity
            judge = self._undemanding if identity.authenticated else self._demanding
            codec = HostedExchange(self.config, judge, binary=self._policy.binary, now=now)
            if self.gateway.draining:
                codec.drain()
            state = self._sockets.add(socket, address, codec, identity, ahead=WHOLE)
            state.host_scope = host_scope
            codec.begin(request, Proxy(self.config, self._networks, address) if trusted else None)
            self._run(now, state)
        return socket

    def turned_away(self, request: HostedRequest) -> Response:
        """The answer to a request that `requested` has refused."""
        reason = MAX_CONNECTIONS if self.accepting else DRAINING
        answer = not_admitted_answer(reason, None, in_json=not request.websocket)
        head, data = answer.write(UNKNOWN, close=False)
        return Response(data, answer.status, read_fields(head))

    def received_body(self, socket: SocketId, data: bytes, now: float, *, more: bool) -> None:
        """A piece of the body of a request came, the last one unless there is `more`."""
        state = self._sockets.find(socket)
        if state is not None and isinstance(state.codec, HostedExchange):
            state.codec.receive_body(data, now, more=more)
            self._run(now, state)

    def received_message(self, socket: SocketId, message: str | bytes, now: float) -> None:
        """One whole message of a WebSocket came: a text, or a binary one."""
        state = self._sockets.find(socket)
        if state is not None and isinstance(state.codec, HostedWebSocket):
            state.codec.receive_message(message, now)
            self._run(now, state)

    def left(self, socket: SocketId, code: int, now: float) -> None:
        """The peer of a WebSocket has gone, with this close code. `closed` must follow."""
        state = self._sockets.find(socket)
        if state is not None and isinstance(state.codec, HostedWebSocket):
            state.codec.receive_end(code, now)
            self._run(now, state)
