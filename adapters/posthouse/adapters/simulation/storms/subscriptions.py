"""Checks of what clients receive: broadcasts, the events of subscriptions, and the state of connections.

This module does not know which calls are made, nor why.
"""

from __future__ import annotations

from typing import Any, Final

from posthouse.adapters.invariants import Violation, must
from posthouse.adapters.simulation.clients.client import Client
from posthouse.adapters.simulation.clients.pending import PendingCall
from posthouse.adapters.simulation.clients.protocols.http import HttpProtocol

MAX_CALLS: Final = 5
"""The most calls in one batch."""


class Subscriptions:
    """The events of subscriptions, which are sent behind the replies of their calls, by the tokens of the calls."""

    def __init__(self) -> None:
        self._calls: Final[dict[str, PendingCall]] = {}
        self._received: Final[dict[str, int]] = {}

    def expect(self, call: PendingCall, token: str) -> None:
        """This call may have events."""
        self._calls[token] = call

    def event(self, client: Client, params: Any) -> None:
        """An event was received. Raises Violation unless its call has a result, and the event before was received."""
        if client.broke_protocol:
            return  # malformed input may have hidden the reply
        token, number = params
        call = self._calls[token]
        if call.status != "result":
            raise Violation("order: a notification behind a reply came without the reply", client.name, call, params)
        received = self._received.get(token, 0)
        if number != received:
            raise Violation("order: a notification behind a reply came twice, or is missing", call, params, received)
        self._received[token] = received + 1


class Visits:
    """The results of `visit`: each call of a connection counts one more, and an exchange has those of one batch."""

    def __init__(self) -> None:
        self._seen: Final[dict[tuple[str, int, int], PendingCall]] = {}

    def checked(self, client: Client, call: PendingCall) -> int:
        """The number in this result. Raises Violation if a connection can have no such number, or no second one."""
        number: int = call.value[1]
        if isinstance(client.protocol, HttpProtocol):
            right = 0 < number <= MAX_CALLS
        else:
            right = self._seen.setdefault((client.name, client.connections, number), call) is call and number > 0
        if not right:
            raise Violation("answering: the state of a connection was lost, or is another one's", call, call.value)
        return number


def check_news(transport: str, users: tuple[str | None, ...], news: Any) -> None:
    """A broadcast was received, perhaps with the `kinds` and `users` that it is for. Raises Violation unless a client
    over this transport, who is one of these users, is among them."""
    if not isinstance(news, dict):
        return
    kind = transport if transport == "websocket" else "cli"
    must(news["kinds"] is None or kind in news["kinds"], "flow: a broadcast came to a client of another kind", kind)
    meant = news["users"] is None or any(user in news["users"] for user in users)
    must(meant, "flow: a broadcast came to a client of another user", users, news["users"])
