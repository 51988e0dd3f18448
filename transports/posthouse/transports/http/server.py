"""The server's side of HTTP/1.1 on one socket: one request after the other, each with one answer.

A request is read only when the one before it was answered and the answer handed over; what comes meanwhile waits in a
bounded buffer. Heads are judged by `http_head.py` and `http_routes.py`, bodies gathered by `http_bodies.py`, answers
written by `http_answers.py`: this is the machine between them, with its deadlines. It may not know what a body says.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from posthouse.core.values.close_reasons import MEMORY_BUDGET, CloseReason
from posthouse.core.values.config import KIB, Config
from posthouse.core.values.errors import SERVER_BUSY, refusal
from posthouse.core.values.peers import NO_META, Meta
from posthouse.transports.codec import (
    Answered,
    Exchange,
    Finish,
    Handshake,
    HeadRead,
    Output,
    Pause,
    Probe,
    Resume,
    Send,
    Shut,
    Upgrade,
)
from posthouse.transports.policy import Policy
from posthouse.transports.refusal import Refusal

from .answers import (
    CONTINUE,
    UNKNOWN,
    Answer,
    ResponseOptions,
    cors_lines,
    exchange_answer,
    field_lines,
    not_admitted_answer,
    refusal_answer,
    switching_head,
)
from .bodies import Body, ChunkedBody, CountedBody
from .head import Head, HeadScanner, parse
from .routes import PREFLIGHT_FIELDS, Call, Preflight, judge

MAX_DISCARDED: Final = 64 * KIB
MAX_LINGER: Final = 2.0
"""After the last answer so many bytes are taken in and dropped, for so many seconds: to close on unread bytes would
be a reset, which can take the answer back from the client (RFC 9112 section 9.6)."""

RATE_GRACE: Final = 2.0
"""Seconds before `min_body_rate` counts."""

HEAD_TIMED_OUT: Final = Refusal(408, "The request head took too long.")
BODY_TIMED_OUT: Final = Refusal(408, "The request body took too long.")
NO_MEMORY: Final = Refusal(
    503,
    "There is no memory for the request body.",
    ((b"Retry-After", b"1"),),
    refusal(SERVER_BUSY, limit=MEMORY_BUDGET.name),
)


class State(Enum):
    """Where a socket is between two requests."""

    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()  # a request is whole, or refused; nothing is parsed before `proceed`
    LEAVING = auto()  # the last answer was given: what comes is dropped
    OVER = auto()


class Http1:
    """The codec of one accepted socket. `draining`: answers say that the socket is closed behind them.

    Of the requests that it cannot answer by itself at most one is pending at a time. An `Exchange` is owed `answer`
    or `refuse`, a `Probe` is owed `respond`, an `Upgrade` `accept_upgrade` or `refuse`; each of them, and `Answered`,
    is followed by `proceed` when all that was sent has been handed over.
    """

    __slots__ = (
        "_body",
        "_body_since",
        "_buffer",
        "_config",
        "_deadline",
        "_discarded",
        "_eof",
        "_gate",
        "_head_begun",
        "_head_read",
        "_manner",
        "_meta",
        "_parsed",
        "_paused",
        "_policy",
        "_state",
        "_upgrade",
        "_yielded",
        "draining",
        "output",
    )

    def __init__(self, config: Config, policy: Policy, now: float) -> None:
        self.output: list[Output] = []
        self.draining = False
        self._config: Final = config
        self._policy: Final = policy
        self._gate: Final = HeadScanner(config)
        self._buffer = bytearray()
        self._state = State.HEAD
        self._deadline: float | None = now + config.head_timeout
        self._head_begun = True  # the first head is waited for as if it had begun
        self._head_read = False
        self._parsed = 0
        self._yielded = False
        self._body: Body | None = None
        self._body_since = 0.0
        self._meta: Meta = NO_META
        self._manner = UNKNOWN
        self._upgrade: Handshake | None = None
        self._paused = False
        self._eof = False
        self._discarded = 0

    # Bytes in

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes as they came, cut anywhere."""
        self._parsed = 0
        if self._state is State.BODY:
            self._read_body(data, now)
        elif self._state is State.LEAVING:
            self._discard(len(data))
        elif self._state is not State.OVER:
            self._buffer += data
            if self._state is State.HEAD and not self._yielded:
                self._read_head(now)
        self._hold_back()

    def receive_eof(self, now: float) -> None:
        """The peer half-closed. A request that is whole is still answered, and those that wait behind it."""
        self._eof = True
        if self._state is State.ANSWERING or self._yielded:
            return
        self._shut()

    def proceed(self, now: float) -> None:
        """What was answered has been handed over: read the next request, from what is buffered first."""
        if self._state is State.ANSWERING:
            self._state = State.HEAD
            self._parsed += 1
            if self._parsed < self._config.frames_per_turn:
                self._await_head(now)
            else:
                self._yielded = True
                self._deadline = now
        elif self._state is State.LEAVING and self._deadline is None:
            self._deadline = now + MAX_LINGER

    def _await_head(self, now: float) -> None:
        self._head_begun = False
        self._deadline = now + self._config.keep_alive_timeout
        self._read_head(now)
        self._hold_back()

    def _read_head(self, now: float) -> None:
        buffer = self._buffer
        end = self._gate.scan(buffer)
        if isinstance(end, int):
            raw = bytes(buffer[:end])
            del buffer[:end]
            self._gate.reset()
            if not self._head_read:
                self._head_read = True
                self.output.append(HeadRead())
            head = parse(raw)
            if isinstance(head, Head):
                self._take_head(head, now)
                return
            end = head
        if end is not None:
            self._manner = UNKNOWN
            self._refuse(end)
        elif self._eof:
            self._shut()
        elif not self._head_begun and self._has_head():
            self._head_begun = True
            self._deadline = now + self._config.head_timeout

    def _has_head(self) -> bool:
        """Is there some of a head? None begins with a CR: one alone is half of an empty line."""
        return bool(self._buffer) and self._buffer != b"\r"

    def _take_head(self, head: Head, now: float) -> None:
        wanted = judge(head, self._policy, self._config)
        origin = head.fields.get(b"origin")
        cors = b"" if origin is None or not self._policy.allows_origin(origin) else cors_lines(origin)
        self._manner = ResponseOptions(head.persistent, head.method == b"HEAD", cors)
        if isinstance(wanted, Call):
            self._meta = wanted.meta
            self._body = ChunkedBody(self._config) if head.chunked else CountedBody(head.length or 0)
            self._body_since = now
            self._state = State.BODY
            if wanted.awaited:
                self.output.append(Send(CONTINUE))
            rest = bytes(self._buffer)
            self._buffer.clear()
            self._read_body(rest, now)
        elif isinstance(wanted, Refusal):
            self._refuse(wanted)
        elif isinstance(wanted, Preflight):
            self._answer_alone(Answered(204), Answer(204, fields=field_lines(PREFLIGHT_FIELDS)))
        elif isinstance(wanted, Handshake):
            self._upgrade = wanted
            self._hand_on(Upgrade(wanted))
        else:
            self._hand_on(wanted)

    def _read_body(self, data: bytes, now: float) -> None:
        body = self._body
        assert body is not None
        rest = body.feed(data)
        if isinstance(rest, bytes):
            self._body = None
            self._buffer += rest
            self._hand_on(Exchange(body.join(), self._meta))
        elif isinstance(rest, Refusal):
            self._refuse(rest)
        elif self._eof:
            self._shut()
        else:
            config = self._config
            due = self._body_since + config.body_timeout
            if config.min_body_rate:
                due = min(due, self._body_since + max(RATE_GRACE, body.received / config.min_body_rate))
            self._deadline = due

    def _hand_on(self, request: Exchange | Probe | Upgrade) -> None:
        self._state = State.ANSWERING
        self._deadline = None
        self.output.append(request)

    def _hold_back(self) -> None:
        """Pause while more waits than one head may have, which is read no further now."""
        full = len(self._buffer) > self._config.max_head_bytes
        if full != self._paused and self._state is not State.OVER:
            self._paused = full
            self.output.append(Pause() if full else Resume())

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > MAX_DISCARDED:
            self._shut()

    # Answers

    def answer(self, data: bytes | None, code: int | None, retry_after: float | None, now: float) -> None:
        """End the exchange. `data` None: there is nothing to say. `code` is the JSON-RPC error's, or None."""
        self._answer(exchange_answer(data, code, retry_after))

    def respond(self, status: int, data: bytes, now: float) -> None:
        """End the probe with JSON. A HEAD is answered without it."""
        self._answer(Answer(status, data))

    def accept_upgrade(self, now: float) -> tuple[bytes, bool]:
        """Send the 101. What has come behind the handshake, and whether its input has ended, is no HTTP and not this
        codec's: it is returned, for the one that follows."""
        assert self._upgrade is not None
        self.output.append(Send(switching_head(self._upgrade.headers)))
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._hold_back()
        self._state = State.OVER
        return rest, self._eof

    def refuse(self, reason: CloseReason, now: float) -> None:
        """End an exchange or an upgrade that was not admitted, with the error of this reason."""
        self._answer(not_admitted_answer(reason, in_json=self._upgrade is None), last=True)

    def shed(self, now: float) -> None:
        """Refuse the body that is on its way, if one is: too much is held already, by whomever."""
        if self._state is State.BODY:
            self._refuse(NO_MEMORY)

    def _refuse(self, refusal: Refusal) -> None:
        self._body = None
        answered = Answered(refusal.status, refusal.reason, refusal.rejected_value)
        self._answer_alone(answered, refusal_answer(refusal), last=not refusal.keep)

    def _answer_alone(self, answered: Answered, answer: Answer, *, last: bool = False) -> None:
        """Answer without asking anybody."""
        self._state = State.ANSWERING
        self._deadline = None
        self.output.append(answered)
        self._answer(answer, last=last)

    def _answer(self, answer: Answer, *, last: bool = False) -> None:
        manner = self._manner
        close = last or self.draining or not manner.persistent
        head, data = answer.write(manner, close=close)
        if len(data) <= self._config.write_ahead:
            self.output.append(Send(head + data))
        else:
            self.output += (Send(head), Send(data))
        if close:
            self._leave()

    # The end

    def _leave(self) -> None:
        """Nothing follows: half-close, and let the client close first, for a while."""
        self._state = State.LEAVING
        self.output.append(Finish())
        waiting = len(self._buffer)
        self._buffer.clear()
        self._hold_back()
        if self._eof:
            self._shut()
        else:
            self._discard(waiting)

    def _shut(self) -> None:
        if self._state is not State.OVER:
            self._state = State.OVER
            self._deadline = None
            self._body = None
            self._yielded = False
            self._buffer.clear()
            self.output.append(Shut())

    def shut_idle(self, now: float) -> None:
        """Close where no request is being answered nor its body on its way."""
        if self._state is State.HEAD:
            self._shut()

    def close(self, code: int, now: float) -> None:
        """Close behind what was sent. HTTP has no word for the code."""
        self._shut()

    # Time

    def next_timeout(self) -> float | None:
        """The deadline of a head, a body, an idle socket, or of lingering; in the past while requests are unread."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Read on after others had their turn, or end what took too long."""
        if self._yielded:
            self._yielded = False
            self._parsed = 0
            self._await_head(now)
        elif self._deadline is None or now < self._deadline:
            return
        elif self._state is State.BODY:
            self._time_out(BODY_TIMED_OUT)
        elif self._state is State.HEAD and self._has_head():
            self._manner = UNKNOWN
            self._time_out(HEAD_TIMED_OUT)
        else:
            self._shut()

    def _time_out(self, refusal: Refusal) -> None:
        """Say so and close at once: who was slow is not waited for again."""
        self._refuse(refusal)
        self._shut()

    # What a codec is that carries connections of one request each

    @property
    def framing(self) -> str:
        """Nothing is pushed to an HTTP client: an answer goes out by `answer`."""
        return "http"

    def frame(self, payload: bytes) -> bytes:
        """An answer's body is the payload itself."""
        return payload

    def heartbeat(self, now: float) -> None:
        """HTTP has no way to ask."""

    @property
    def buffered(self) -> int:
        """Bytes of requests that are not whole, or wait behind the one that is being answered."""
        return len(self._buffer) + (self._body.buffered if self._body is not None else 0)
