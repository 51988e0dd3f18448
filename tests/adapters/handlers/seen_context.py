"""The context of a call that no gateway has made."""

from __future__ import annotations

from typing import Any

from posthouse.adapters.handlers.invoked_context import InvokedContext
from posthouse.adapters.handlers.state.states import States
from posthouse.core.service.method import Method
from posthouse.core.values.effects import Invoke
from posthouse.core.values.peers import Address, Caller, CallId, ConnectionId, Identity, Meta, Peer

PEER = Peer("http", Address("10.1.2.3", 99), path="/rpc", headers=((b"X-Tag", b"a"), (b"Cookie", b"secret")))

CALLER = Caller(ConnectionId(5), "c5", PEER, Identity("ada", ("read",)))


def invoked(method: Method) -> Invoke:
    """A call of this method: number 9, from connection 5."""
    return Invoke(CallId(9), CALLER, method, (), {}, Meta(request_id="r1"))


class SeenContext(InvokedContext):
    """Notes what is sent, in `sent`. `answer` is the result of every request to the client, as JSON."""

    def __init__(self, method: Method, states: States | None = None) -> None:
        super().__init__(invoked(method), States() if states is None else states)
        self.sent: list[Any] = []
        self.answer = b"null"
        self.tells = True

    def send_progress(self, value: object) -> bool:
        self.sent.append(value)
        return self.tells

    def notify(self, method: str, params: Any = None, *, after_reply: bool = False) -> bool:
        self.sent.append((method, params, after_reply))
        return self.tells

    async def ask(self, method: str, params: object, timeout: float) -> bytes:
        self.sent.append((method, params, timeout))
        return self.answer
