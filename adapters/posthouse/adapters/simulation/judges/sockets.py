"""The judge of a connection to the server's socket: HTTP, and from a 101 on WebSocket."""

from __future__ import annotations

from .handshake import judge
from .http import HttpJudge
from .judge import Facts, Judge, ServerEnd
from .websocket import WebSocketJudge


class SocketJudge(Judge):
    """The judge of one connection. It judges the client by its bytes alone, so that any client can send anything."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._http: HttpJudge = HttpJudge(facts)
        self._now: HttpJudge | WebSocketJudge = self._http
        self._sent_end = False

    def sent(self, data: bytes) -> None:
        self._now.sent(data)

    def sent_end(self) -> None:
        self._sent_end = True
        self._now.sent_end()

    def received(self, data: bytes) -> None:
        self._now.received(data)
        upgraded, http = self._http.upgraded, self._http
        if upgraded is None or self._now is not http:
            return
        try:
            agreed = judge(*upgraded)
        except ValueError as error:
            self._must(False, f"websocket: {error}", upgraded[1].fields)
            return
        early = http.requests.rest()
        self._now = WebSocketJudge(self._facts, agreed, http.requests.size - len(early))
        if self._sent_end:
            self._now.sent_end()
        if self._end is not None:
            self._now.server_ended(self._end)
        self._now.sent(early)
        self._now.received(http.rest)

    def server_ended(self, end: ServerEnd) -> None:
        super().server_ended(end)
        self._now.server_ended(end)

    def received_end(self) -> None:
        self._now.received_end()
