"""The server's side of HTTP/1.1 on one socket: one request after the other, each with one answer.

A request is read after the answer before it was handed over. Until then, bytes wait in a bounded buffer. `requests.py`
reads requests, `answers.py` writes answers. This module is the machine between them, with its deadlines. It may not
know what a body says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace
from posthouse.core.values.close_reasons import CloseReason
from posthouse.core.values.config import Config
from posthouse.transports.codec import (
    DISCARD_SECONDS,
    Announced,
    Answered,
    Arrived,
    Codec,
    Ended,
    Exchange,
    Handshake,
    HeadRead,
    Probe,
    Send,
    Upgrade,
)
from posthouse.transports.fields import EXPOSITION, Fields
from posthouse.transports.forwarding import Proxy
from posthouse.transports.policy import Policy
from posthouse.transports.refusal import Refusal
from posthouse.transports.websocket.server import WebSocket

from .answers import (
    CONTINUE,
    JSON,
    Answer,
    exchange_answer,
    field_lines,
    not_admitted_answer,
    refusal_answer,
    result_answer,
    switching_head,
)
from .bodies import BODY_TIMED_OUT, NO_MEMORY
from .challenges import Challenges
from .ending import Ending
from .head import HEAD_TIMED_OUT
from .known_heads import NO_HEADS, KnownHeads
from .requests import RequestReader
from .routes import PREFLIGHT_FIELDS, Call, Preflight
from .state import (
    ANSWER,
    ANSWERING,
    ASKED,
    BODY,
    BODY_EXPECTED,
    CLOSED,
    HEAD,
    IDLE,
    LINGERING,
    PROCEED,
    REQUEST,
    TRANSITIONS,
    YIELDED,
    HttpEvent,
)

CLIENT_GONE: Final = "a client ended its input, and had no answer within half_close_timeout"


class Http1(Ending):
    """The codec of one accepted socket.

    At most one request is pending at a time. An `Exchange` is owed `answer` or `refuse`, a `Probe` `respond` or
    `refuse`, an `Upgrade` or an `Announced` call `accept` or `refuse`. After each answer, and after `Answered`,
    `proceed` is owed when all bytes have left.

    A client that ended its input is taken for gone `half_close_timeout` later: the exchange that has no answer then
    ends, and no other begins. An answer that was given is still sent to its end.
    """

    def __init__(
        self,
        config: Config,
        policy: Policy,
        now: float,
        known: KnownHeads = NO_HEADS,
        proxy: Proxy | None = None,
        challenges: Challenges = Challenges(),
    ) -> None:
        super().__init__(config, RequestReader(config, policy, known, proxy, challenges), now)
        self._policy: Final = policy
        self._parsed = 0
        self._upgrade: Handshake | None = None
        self._probe: Probe | None = None

    # Bytes in

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes, cut anywhere."""
        self._parsed = 0
        state = self._state
        if state is BODY:
            self._read_body(data, now)
        elif state is LINGERING:
            self._discard(len(data))
        elif state is not CLOSED:
            self._reader.buffer += data
            if state is IDLE or state is HEAD:
                self._read_head(now)
        self._hold_back()

    def receive_whole(self, data: bytes, now: float) -> Sequence[Exchange]:
        """The direct way in, for a request with a known head on a socket that is idle."""
        idle = self._state is IDLE and self._gone_at is None
        if not idle or (request := self._reader.read_whole(data)) is None:
            return ()
        self._parsed = 0
        self._state = TRANSITIONS[TRANSITIONS[IDLE][BODY_EXPECTED]][REQUEST]
        self._deadline = None
        return (request,)

    def receive_eof(self, now: float) -> None:
        """The peer half-closed. Whole requests are still answered, for a while."""
        self._gone_at = now + self._config.half_close_timeout
        if self._state is ASKED:
            self._deadline = self._gone_at
        elif self._state is not ANSWERING and self._state is not YIELDED:
            self._close()

    @property
    def buffered(self) -> int:
        """Bytes of an unfinished request, and bytes that wait behind the pending one."""
        return self._reader.buffered

    def proceed(self, now: float) -> None:
        """The answer was handed over: read the next request, beginning with buffered bytes."""
        if self._state is ANSWERING:
            self._parsed += 1
            if self._parsed < self._config.frames_per_turn:
                self._await_head(PROCEED, now)
            else:
                self._state = TRANSITIONS[self._state][HttpEvent.YIELD]
                self._deadline = now
        elif self._state is LINGERING and self._deadline is None:
            self._deadline = now + DISCARD_SECONDS

    def _await_head(self, event: HttpEvent, now: float) -> None:
        self._state = TRANSITIONS[self._state][event]
        self._deadline = now + self._config.keep_alive_timeout
        self._reader.client = None
        if self._gone_at is not None and (now >= self._gone_at or not self._reader.buffer):
            self._close()
        elif self._reader.buffer:
            self._read_head(now)
            self._hold_back()

    def _read_head(self, now: float) -> None:
        reader = self._reader
        first = not reader.head_read
        wanted = reader.read_head(now)
        if first and reader.head_read:
            self.output.append(HeadRead())
        if isinstance(wanted, Exchange):
            self._state = TRANSITIONS[self._state][BODY_EXPECTED]
            self._hand_on(wanted)
        elif wanted is None:
            if self._gone_at is not None:
                self._close()
            elif self._state is IDLE and reader.begun:
                self._state = TRANSITIONS[self._state][HttpEvent.HEAD_BEGUN]
                self._deadline = now + self._config.head_timeout
        elif isinstance(wanted, Call):
            self._state = TRANSITIONS[self._state][BODY_EXPECTED]
            if reader.client is None:
                self._begin_body(wanted, now)
            else:
                self._arriving = wanted
                self._hand_on(Arrived(reader.client))
        elif isinstance(wanted, Refusal):
            self._refuse(wanted)
        elif isinstance(wanted, Preflight):
            self._answer_alone(Answered(204), Answer(204, fields=field_lines(PREFLIGHT_FIELDS)))
        elif isinstance(wanted, Handshake):
            self._upgrade = wanted
            self._hand_on(Upgrade(wanted, reader.path, reader.headers, reader.meta, reader.client, reader.ignored))
        else:
            self._probe = Probe(wanted.path, reader.headers, reader.client)
            self._hand_on(self._probe)

    def _begin_body(self, call: Call, now: float) -> None:
        reader = self._reader
        if call.announced and self._announced is None:
            self._announced = call
            self._hand_on(Announced(reader.meta, reader.path, reader.headers, reader.client, reader.ignored))
            return
        if call.awaited:
            self.output.append(Send(CONTINUE))
        self._read_body(reader.take(), now)

    def _read_body(self, data: bytes, now: float) -> None:
        request = self._reader.read_body(data)
        if isinstance(request, Exchange):
            self._announced = None
            self._hand_on(request)
        elif request is not None:
            self._refuse(request)
        elif self._gone_at is not None:
            self._close()
        else:
            self._deadline = self._reader.body_deadline

    def _hand_on(self, request: Exchange | Upgrade | Arrived | Announced | Probe) -> None:
        self._state = TRANSITIONS[self._state][REQUEST]
        self._deadline = self._gone_at
        self.output.append(request)

    # Answers

    def admit(self, now: float) -> None:
        """Read the body of the call whose client was named."""
        call, self._arriving = self._arriving, None
        assert call is not None
        self._state = TRANSITIONS[self._state][HttpEvent.ADMIT]
        self._begin_body(call, now)
        self._hold_back()

    def accept(self, now: float) -> Codec:
        """Send the 101 after an `Upgrade`. Bytes behind the handshake, and the end of input, go to the new codec. Or
        read the body of a call that was announced, or hand on a probe again."""
        upgrade = self._upgrade
        if upgrade is None:
            if self._announced is not None:
                self._state = TRANSITIONS[self._state][HttpEvent.ADMIT]
                self._reader.body_since = now
                self._begin_body(self._announced, now)
                self._hold_back()
            elif self._probe is not None:
                self.output.append(replace(self._probe, accepted=True))
            return self
        self.output.append(Send(switching_head(upgrade.headers)))
        rest = self._reader.take()
        self._hold_back()
        self._state = TRANSITIONS[self._state][HttpEvent.UPGRADE]
        codec = WebSocket(self._config, deflate=upgrade.deflate, binary=self._policy.binary, now=now)
        codec.limit_messages(authenticated=self._authenticated)
        if rest:
            codec.receive_data(rest, now)
        if self._gone_at is not None:
            codec.receive_eof(now)
        return codec

    def answer(
        self, data: bytes | None, code: int | None, retry_after: float | None, now: float, *, fields: Fields = ()
    ) -> None:
        """End the exchange. `data` None: there is nothing to say. `code` is the JSON-RPC error's, or None."""
        whole = None if fields else self.answer_whole(data, code, now)
        if whole is None:
            self._state = TRANSITIONS[self._state][ANSWER]
            self._deadline = None
            self._answer(exchange_answer(data, code, retry_after, fields))
        else:
            self.output.append(Send(whole))

    def answer_whole(self, data: bytes | None, code: int | None, now: float) -> bytes | None:
        """The direct way out, for a result on a socket that stays open."""
        options = self._reader.options
        stays = options.persistent and not self._draining
        if not stays or data is None or code is not None or len(data) > self._config.write_ahead:
            return None
        self._state = TRANSITIONS[self._state][ANSWER]
        self._deadline = None
        return result_answer(data, options)

    def respond(self, status: int, data: bytes, now: float, *, exposition: bool = False) -> None:
        """End the probe with JSON, or with an `exposition` of metrics. The answer to a HEAD has no body."""
        self._state = TRANSITIONS[self._state][ANSWER]
        self._deadline = self._probe = None
        self._answer(Answer(status, data, EXPOSITION if exposition else JSON))

    def refuse(self, reason: CloseReason, now: float, retry_after_ms: int | None = None) -> None:
        """End an exchange or an upgrade that was not admitted, or a call whose client was not, with the error of this
        reason."""
        if self._arriving is not None or self._announced is not None:
            self._arriving = self._announced = None
            self._reader.skip_body()
        self._state = TRANSITIONS[self._state][ANSWER]
        self._deadline = self._probe = None
        self._answer(not_admitted_answer(reason, retry_after_ms, in_json=self._upgrade is None), last=True)

    def shed(self, now: float) -> None:
        """Refuse the body that is being received, if there is one."""
        if self._state is BODY:
            self._refuse(NO_MEMORY)

    def _refuse(self, refusal: Refusal) -> None:
        self._announced = None
        self._reader.drop_body()
        answered = Answered(refusal.status, refusal.reason, refusal.rejected_value, self._reader.client)
        self._answer_alone(answered, refusal_answer(refusal), last=not refusal.keep)

    def _answer_alone(self, answered: Answered, answer: Answer, *, last: bool = False) -> None:
        """Answer without the gateway."""
        self._state = TRANSITIONS[self._state][ANSWER]
        self._deadline = None
        self.output.append(answered)
        self._answer(answer, last=last)

    def _answer(self, answer: Answer, *, last: bool = False) -> None:
        options = self._reader.options
        close = last or self._draining or not options.persistent
        head, data = answer.write(options, close=close)
        if len(data) <= self._config.write_ahead:
            self.output.append(Send(head + data))
        else:
            self.output += (Send(head), Send(data))
        if close:
            self._linger()

    # Time

    def next_timeout(self) -> float | None:
        """The deadline of what is awaited; a time in the past after yielding."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Read on after others had their turn, or end a request that took too long."""
        if self._state is YIELDED:
            self._parsed = 0
            self._await_head(HttpEvent.RESUME, now)
        elif self._deadline is None or now < self._deadline:
            return
        elif self._state is BODY:
            self._time_out(BODY_TIMED_OUT)
        elif self._state is HEAD and self._reader.begun:
            self._time_out(HEAD_TIMED_OUT)
        elif self._state is ASKED:
            self.output.append(Ended(None, CLIENT_GONE))
            self._close(flush=False)
        else:
            self._close()

    def _time_out(self, refusal: Refusal) -> None:
        """Refuse, and do not wait for a slow client again."""
        self._refuse(refusal)
        self._close()
