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
from posthouse.transports.credentials import read_credentials
from posthouse.transports.forwarding import Proxy
from posthouse.transports.http.answers import UNKNOWN, not_admitted_answer
from posthouse.transports.http.challenges import Challenges
from posthouse.transports.http.judgement import Judge, JudgedHead
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.socket_state import SocketState
from posthouse.transports.switchboard.switchboard import Switchboard

from .exchange import HostedExchange, Judging
from .known_requests import KnownRequests
from .messages import Response, answer_response
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
        open_to_all = replace(self.config, require_authentication=False)
        self._demanding, self._undemanding = [
            Judging(
                Judge(config, policy, challenges, hosted=True),
                KnownRequests(config.max_head_bytes),
                config.require_authentication,
            )
            for config in (self.config, open_to_all)
        ]
        self._unknown_callers: Final = self._judging(policy.identity)
        self._trusts: Final = bool(self.config.trust_proxies)

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
        state = self._add(address, now, trusted, identity, host_scope)
        if state is None:
            self._run(now)
            return None
        codec = state.codec
        assert isinstance(codec, HostedExchange)
        try:
            codec.begin(request, Proxy(self.config, self._networks, address) if trusted else None)
            self._run(now, state)
        except BaseException:
            self.closed(state.socket, now)  # the host does not know it
            raise
        return state.socket

    def find(self, request: HostedRequest, address: Address, identity: Identity | None = None) -> JudgedHead | None:
        """How a call with this head is judged, for `exchanged`. None: its head is not known, give it to `requested`.
        Changes nothing."""
        if not self._direct or (self._trusts and self._networks.trust(address)):
            return None
        judging = self._unknown_callers if identity is None else self._judging(identity)
        judged = judging.known.find(request)
        if judged is not None and judging.demanding and read_credentials(judged.headers) is None:
            return None  # the value of a cookie was cut out, too, and it may have been another one
        return judged

    def exchanged(
        self,
        request: HostedRequest,
        judged: JudgedHead,
        data: bytes,
        address: Address,
        now: float,
        *,
        identity: Identity | None = None,
        host_scope: Any = None,
    ) -> SocketId | None:
        """A whole call came: `requested` and `received_body` in one, for a head that `find` has judged. Returns None as
        `requested` does."""
        state = self._add(address, now, False, identity, host_scope)
        if state is None:
            self._run(now)
            return None
        codec = state.codec
        assert isinstance(codec, HostedExchange)
        try:
            self.gateway.head_read(state.socket, now)
            self._sockets.received_bytes += len(data)
            exchange = codec.receive_whole_request(request, judged, data)
            if exchange is None:
                self._run(now, state)
            else:
                self._work.hand_on(state, (exchange,), now)
        except BaseException:
            self.closed(state.socket, now)
            raise
        return state.socket

    def _judging(self, identity: Identity) -> Judging:
        return self._undemanding if identity.authenticated else self._demanding

    def _add(
        self, address: Address, now: float, trusted: bool, identity: Identity | None, host_scope: Any
    ) -> SocketState | None:
        """A socket for a request, unless a limit or a shut-down refuses it."""
        gateway = self.gateway
        socket = gateway.accepted(address, now, trusted=trusted)
        if socket is None:
            return None
        if identity is None:
            judging, identity = self._unknown_callers, self._policy.identity
        else:
            judging = self._judging(identity)
        codec = HostedExchange(self.config, judging, binary=self._policy.binary, now=now)
        if gateway.draining:
            codec.drain()
        state = self._sockets.add(socket, address, codec, identity, ahead=WHOLE)
        state.host_scope = host_scope
        return state

    def turned_away(self, request: HostedRequest) -> Response:
        """The answer to a request that `requested` has refused."""
        reason = MAX_CONNECTIONS if self.accepting else DRAINING
        answer = not_admitted_answer(reason, None, in_json=not request.websocket)
        return answer_response(answer, UNKNOWN, close=False)

    def received_body(self, socket: SocketId, data: bytes, now: float, *, more: bool) -> bool:
        """A piece of the body of a request came, the last one unless there is `more`. False: it may not be read, and is
        to be given again behind `StartReading`."""
        state = self._sockets.find(socket)
        if state is None or not isinstance(state.codec, HostedExchange):
            return True
        taken = state.codec.receive_body(data, now, more=more)
        if taken:
            self._sockets.received_bytes += len(data)
        self._run(now, state)
        return taken

    def received_message(self, socket: SocketId, message: str | bytes, now: float) -> None:
        """One whole message of a WebSocket came: a text, or a binary one."""
        state = self._sockets.records.get(socket) or self._sockets.find(socket)
        if state is None or not isinstance(codec := state.codec, HostedWebSocket):
            return
        self._sockets.received_bytes += len(message)
        text = codec.receive_whole_message(message) if self._direct and not state.stopped else None
        if text is None:
            codec.receive_message(message, now)
            self._run(now, state)
        else:
            self._work.hand_on(state, (text,), now)

    def left(self, socket: SocketId, code: int, now: float) -> None:
        """The peer of a WebSocket has gone, with this close code. `closed` must follow."""
        state = self._sockets.find(socket)
        if state is not None and isinstance(state.codec, HostedWebSocket):
            state.codec.receive_end(code, now)
            self._run(now, state)
