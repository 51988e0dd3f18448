"""The judge of an HTTP connection: each request has one answer, in order, and nothing follows the last one."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from .judge import Facts, Judge
from .requests import END, Request, Requests, Sent
from .responses import CONTINUE, NO_CONTENT, SWITCHING, Response, read_response
from .texts import NULL, asked, error_code, fault_of, key_of, parse

UNREAD: Final = (400, 408, 414, 431)
"""The statuses for a request whose head may not have been read, so that nothing in it is known."""

HEALTH: Final = (200, 401, 503, *UNREAD)
"""The statuses of a request for `/health` with a method of HEALTH_METHODS."""

HEALTH_METHODS: Final = (b"GET", b"HEAD")

STATUSES: Final[dict[int, int]] = {
    **dict.fromkeys((-32700, -32600), 400),
    **dict.fromkeys((-32007, -32010), 413),
    **dict.fromkeys((-32020, -32022), 401),
    -32021: 403,
    **dict.fromkeys((-32023, -32029), 429),
    **dict.fromkeys((-32009, -32034, -32035, -32050), 503),
}
"""The status of each error code (docs/limits.md). The others have 200."""


class HttpJudge(Judge):
    """The judge of one connection, until it is `upgraded`: then `rest` holds the bytes of the server behind the 101."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.requests: Final = Requests()
        self.upgraded: tuple[Request, Response] | None = None
        self.rest = b""
        self._waiting: Final[deque[Sent]] = deque()
        self._buffer: Final = bytearray()
        self._response: Response | None = None  # whose body is being read
        self._over = False

    # The client

    def sent(self, data: bytes) -> None:
        self._waiting.extend(self.requests.sent(data))

    # The server

    def received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while buffer and self.upgraded is None:
            self._must(not self._over, "http: bytes follow the last answer", bytes(buffer[:80]))
            if self._response is None:
                end = buffer.find(END)
                if end < 0:
                    return
                raw = bytes(buffer[:end])
                del buffer[: end + len(END)]
                self._response = self._head(raw)
            else:
                length = 0 if self._bodiless() else self._response.length
                if len(buffer) < length:
                    return
                self._take_body(bytes(buffer[:length]))
                del buffer[:length]
                continue
            if self._response is not None and (self._bodiless() or not self._response.length):
                self._take_body(b"")
        if self.upgraded is not None:
            self.rest += bytes(buffer)
            buffer.clear()

    def _bodiless(self) -> bool:
        return bool(self._waiting) and self._waiting[0].request.method == b"HEAD"

    def _head(self, raw: bytes) -> Response | None:
        """Judge a head. Returns the final response, None for an interim one."""
        try:
            response = read_response(raw)
        except ValueError as error:
            self._must(False, f"http: {error}", raw[:400])
            return None
        if not self._waiting:
            begun = self.requests.begun and response.status >= 400 and response.last
            self._must(self.requests.unknown or begun, "http: a response answers no request", raw[:200])
            return None if response.interim else response
        sent = self._waiting[0]
        request = sent.request
        if response.status == CONTINUE:
            self._must(request.expects and not sent.continued, "http: a 100 (Continue) that was not asked for")
            sent.continued = True
        elif response.status == SWITCHING:
            self._waiting.popleft()
            self.upgraded = request, response
        if response.interim:
            return None
        self._judge_fields(sent, response)
        return response

    def _judge_fields(self, sent: Sent, response: Response) -> None:
        request, status = sent.request, response.status
        named = response.fields.get(b"x-request-id")
        known = named == request.request_id or (named is None and status in UNREAD)
        self._must(known, "http: a response does not have the X-Request-Id of its request", named)
        # RFC 9112 section 9.6: "a server [...] that receives a "close" connection option MUST initiate closure"
        self._must(response.last or not request.last, "http: the last response does not say that it is the last")
        if request.target == b"/health" and not request.upgrades:
            known = request.method not in HEALTH_METHODS or status in HEALTH
            self._must(known, "http: a server does not tell its health", request.method, status)
        self._judge_origin(request, response)
        whole = sent.end is not None or self.requests.unknown
        self._must(
            whole or (status >= 400 and response.last), "http: a request was answered before it was whole", status
        )

    def _judge_origin(self, request: Request, response: Response) -> None:
        """A page may read the answer only if its own origin is named (Fetch, section 3.2.3)."""
        named, varies = response.fields.get(b"access-control-allow-origin"), response.fields.get(b"vary")
        right = named is None or named == request.fields.get(b"origin")
        self._must(right, "http: an answer names another origin than that of its page", named)
        self._must(named is None or varies == b"Origin", "http: an answer for one origin does not say so", varies)
        readable = named is not None or request.fields.get(b"origin") not in self._facts.origins
        self._must(readable or response.status in UNREAD, "http: a page that may call cannot read its answer", named)

    def _take_body(self, body: bytes) -> None:
        response = self._response
        assert response is not None
        self._response = None
        if self._waiting:
            sent = self._waiting.popleft()
            if sent.request.method == b"POST" and sent.end is not None:
                self._judge_answer(sent, response, body)
            if sent.request.upgrades and not self.requests.unknown:
                self._waiting.extend(self.requests.go_on())
        if response.in_json and body:
            self._json(body)
        self._over = response.last

    # Answers to JSON-RPC

    def _json(self, body: bytes) -> Any:
        try:
            return parse(body)
        except ValueError:
            self._must(False, "answering: a text is not JSON", body[:200])

    def _judge_answer(self, sent: Sent, response: Response, body: bytes) -> None:
        ask = asked(sent.body, self._facts.config)
        status = response.status
        if not response.in_json:
            empty = status == NO_CONTENT and not ask.required
            self._must(empty or status >= 400, "http: a request was not answered with JSON", status, sent.body[:200])
            return
        message = self._json(body)
        entries = message if isinstance(message, list) else [message]
        for entry in entries:
            fault = fault_of(entry) or ("it is a request" if "method" in entry else None)
            self._must(fault is None, f"answering: a message is not JSON-RPC: {fault}", body[:200])
        keys = [key_of(entry["id"]) or NULL for entry in entries]
        if isinstance(message, list):
            code, right = None, ask.batch and bool(keys) and ask.is_answered_by(keys)
        else:
            code = error_code(message)
            right = (not ask.batch and ask.is_answered_by(keys)) or (keys == [NULL] and code is not None)
        self._must(right, "answering: a response has other ids than its request", sent.body[:200], body[:200])
        expected = 200 if code is None else STATUSES.get(code, 200)
        self._must(status == expected, "http: the status does not match the error", status, code)

    # The end

    def received_end(self) -> None:
        inside = self._buffer or self._response is not None
        self._must(not inside, "http: the connection ends within a response", bytes(self._buffer[:80]))
        end = self._end
        config = self._facts.config
        if self._over or self.requests.unknown or end is None or config.call_rate is not None:
            return  # a client that exceeds call_rate for long is closed between two answers
        if self._draining:
            return  # requests that the server has not begun end with it; an invariant judges those that it has begun
        grace = config.half_close_timeout
        if end.input_ended is not None and end.at >= end.input_ended + grace:
            return  # the client was taken for gone
        due = [sent for sent in self._waiting if sent.end is not None and sent.end <= end.delivered]
        self._must(not due, "http: the connection ends, and a request has no answer", *(sent.body[:80] for sent in due))
