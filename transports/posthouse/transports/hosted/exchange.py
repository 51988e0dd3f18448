"""One hosted request, as a codec: its head, its body in pieces, and its answer. Or a handshake, until it is accepted.

It is judged and answered as a request in bytes is. This module may not know what a call says.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.core.values.close_reasons import CloseReason
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address
from posthouse.transports.assembly import Assembly
from posthouse.transports.codec import (
    Announced,
    Answered,
    Arrived,
    Codec,
    Exchange,
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
from posthouse.transports.fields import EXPOSITION, Fields
from posthouse.transports.forwarding import Proxy
from posthouse.transports.http.answers import (
    JSON,
    UNKNOWN,
    Answer,
    exchange_answer,
    field_lines,
    not_admitted_answer,
    refusal_answer,
)
from posthouse.transports.http.bodies import BODY_TIMED_OUT, NO_MEMORY, body_deadline, too_large
from posthouse.transports.http.judgement import Judge, JudgedHead, named
from posthouse.transports.http.routes import PREFLIGHT_FIELDS, Call, Preflight
from posthouse.transports.refusal import Refusal
from posthouse.transports.websocket.handshake import UPGRADE_REQUIRED

from .known_requests import KnownRequests
from .messages import Accepted, answer_response, result_response
from .request import HostedRequest, read_head
from .state import TRANSITIONS, HostedEvent, HostedState
from .websocket import HostedWebSocket
from .whole import Whole

# The state and the events of every call: to look up a member of an enumeration takes longer than to follow the table.
BODY: Final = HostedState.BODY
CLOSED: Final = HostedState.CLOSED
REQUEST: Final = HostedEvent.REQUEST
ANSWER: Final = HostedEvent.ANSWER
CLOSE: Final = HostedEvent.CLOSE


class Judging(Struct, frozen=True):
    """The rules for heads, and the heads that they have judged. `demanding`: calls need credentials."""

    judge: Judge
    known: KnownRequests
    demanding: bool = False


class HostedExchange(Whole):
    """The codec of one request. An `Exchange` is owed `answer` or `refuse`, a `Probe` `respond` or `refuse`, an
    `Upgrade` or an `Announced` call `accept` or `refuse`. Behind its
    answer, the host closes by itself."""

    ends_with_answer = True

    def __init__(self, config: Config, judging: Judging, *, binary: bool, now: float) -> None:
        self.output: list[Output] = []
        self._config: Final = config
        self._judging: Final = judging
        self._binary: Final = binary
        self._since = now
        self._state = BODY
        self._body: Assembly | None = None
        self._judged: JudgedHead | None = None
        self._client: Address | None = None
        self._options = UNKNOWN
        self._handshake: Handshake | None = None
        self._probe: Probe | None = None
        self._announced = False  # its credentials are being verified, and its body is not read
        self._authenticated = not config.require_authentication
        self._draining = False
        self._request: HostedRequest | None = None

    # In

    def begin(self, request: HostedRequest, proxy: Proxy | None) -> None:
        """Judge the head. If a call follows, its body is awaited."""
        self.output.append(HeadRead())
        self._request = request
        paths = self._judging.judge.policy.paths
        head = read_head(request, self._config, paths)
        if isinstance(head, Refusal):
            self._refuse(head)
            return
        judged, self._client = self._judging.judge.judge(head, proxy)
        judged = replace(judged, path=request.full_path)
        if proxy is None:
            self._judging.known.keep(request, head, judged)
        judged = self._judged = named(judged)
        self._options = judged.options
        wanted = judged.wanted
        if isinstance(wanted, Refusal):
            self._refuse(wanted)
        elif isinstance(wanted, Handshake) is not request.websocket:
            self._refuse(Refusal(404, paths.no_websocket) if request.websocket else UPGRADE_REQUIRED)
        elif isinstance(wanted, Handshake):
            self._handshake = wanted
            self._move(REQUEST)
            path, headers, meta = judged.path, judged.headers, judged.meta
            self.output.append(Upgrade(wanted, path, headers, meta, self._client, judged.ignored))
        elif isinstance(wanted, Preflight):
            self._answer_alone(Answered(204), Answer(204, fields=field_lines(PREFLIGHT_FIELDS)))
        elif isinstance(wanted, Probe):
            self._move(REQUEST)
            self._probe = Probe(wanted.path, judged.headers, self._client)
            self.output.append(self._probe)
        elif self._client is not None:
            self._move(REQUEST)
            self.output.append(Arrived(self._client))
        else:
            self._announce(judged)

    def receive_whole_request(self, request: HostedRequest, judged: JudgedHead, data: bytes) -> Exchange | None:
        """The direct way in, instead of `begin` and `receive_body`: a call whose head is known, and its body. None: the
        body is too large, and refused."""
        self._request = request
        self._judged = judged
        self._options = judged.options
        if len(data) > self._config.max_body_bytes:
            self._refuse(too_large(self._config))
            return None
        self._state = TRANSITIONS[self._state][REQUEST]
        return Exchange(data, judged.meta, judged.path, judged.headers, None, judged.ignored)

    def _announce(self, judged: JudgedHead) -> None:
        """If the credentials are to be verified before the body is read, do not read it until then."""
        if isinstance(judged.wanted, Call) and judged.wanted.announced:
            self._announced = True
            self._move(REQUEST)
            head = Announced(judged.meta, judged.path, judged.headers, self._client, judged.ignored)
            self.output += (Pause(), head)

    def receive_body(self, data: bytes, now: float, *, more: bool) -> bool:
        """A piece of the body came, the last one unless there is `more`. False: it may not be read yet."""
        judged = self._judged
        if self._state is not BODY:
            return not self._announced
        assert judged is not None
        body = self._body
        if body is None:
            body = self._body = Assembly()
        body.add(data)
        if body.size > self._config.max_body_bytes:
            self._refuse(too_large(self._config))
        elif not more:
            self._move(REQUEST)
            client, ignored = self._client, judged.ignored
            self.output.append(Exchange(body.take(), judged.meta, judged.path, judged.headers, client, ignored))
        return True

    @property
    def buffered(self) -> int:
        """The bytes of a body that is not whole."""
        return 0 if self._body is None else self._body.size

    def shed(self, now: float) -> None:
        """Refuse the body that is being received, if there is one."""
        if self._state is BODY:
            self._refuse(NO_MEMORY)

    # Answers

    def admit(self, now: float) -> None:
        """No limit refuses the client: its body is awaited."""
        assert self._judged is not None
        self._move(HostedEvent.ADMIT)
        self._announce(self._judged)

    def limit_messages(self, *, authenticated: bool) -> None:
        """The messages of the WebSocket that `accept` begins."""
        self._authenticated = authenticated

    def accept(self, now: float) -> Codec:
        """Accept the handshake after an `Upgrade`. Returns the codec of the WebSocket. Or read the body of a call that
        was announced, or hand on a probe again."""
        if self._announced:
            self._announced = False
            self._since = now
            self._move(HostedEvent.ADMIT)
            self.output.append(Resume())
        elif self._probe is not None:
            self.output.append(replace(self._probe, accepted=True))
        if self._handshake is None:
            return self
        self._move(HostedEvent.UPGRADE)
        selected = [value.decode("ascii") for _, value in self._handshake.headers]
        self.output.append(Send(Accepted(selected[0] if selected else None)))
        codec = HostedWebSocket(self._config, binary=self._binary)
        codec.limit_messages(authenticated=self._authenticated)
        return codec

    def answer(
        self, data: bytes | None, code: int | None, retry_after: float | None, now: float, *, fields: Fields = ()
    ) -> None:
        """End the exchange. `data` None: there is nothing to say. `code` is the JSON-RPC error's, or None."""
        self._answer(exchange_answer(data, code, retry_after, fields))

    def answer_whole(self, data: bytes | None, code: int | None, now: float) -> bytes | None:
        """The direct way out, for a result on a connection that stays open."""
        if data is None or code is not None or self._draining:
            return None
        self._state = TRANSITIONS[self._state][ANSWER]
        return result_response(data, self._options)

    def respond(self, status: int, data: bytes, now: float, *, exposition: bool = False) -> None:
        """End the probe with JSON, or with an `exposition` of metrics."""
        self._answer(Answer(status, data, EXPOSITION if exposition else JSON))

    def refuse(self, reason: CloseReason, now: float, retry_after_ms: int | None = None) -> None:
        """End an exchange or a handshake that was not admitted, or a call whose client was not."""
        self._answer(not_admitted_answer(reason, retry_after_ms, in_json=self._handshake is None), last=True)

    def proceed(self, now: float) -> None:
        """The answer was handed over: nothing follows. The host closes behind a response by itself."""
        if self._state is not CLOSED:
            self._state = TRANSITIONS[self._state][CLOSE]

    def _refuse(self, refusal: Refusal) -> None:
        self._body = None
        answered = Answered(refusal.status, refusal.reason, refusal.rejected_value, self._client)
        self._answer_alone(answered, refusal_answer(refusal), last=not refusal.keep)

    def _answer_alone(self, answered: Answered, answer: Answer, *, last: bool = False) -> None:
        """Answer without the gateway."""
        self.output.append(answered)
        self._answer(answer, last=last)

    def _answer(self, answer: Answer, *, last: bool = False) -> None:
        """Answer. After the `last` answer the host closes the socket, if this version of HTTP has a word for it."""
        self._move(ANSWER)
        close = (last or self._draining) and self._request is not None and not self._request.framed
        self.output.append(Send(answer_response(answer, self._options, close=close)))

    # The end

    def drain(self) -> None:
        """A shut-down has begun: the answer is the last one on the client's socket."""
        self._draining = True

    def close(self, code: int, now: float) -> None:
        """Close behind the answer. HTTP cannot carry the code."""
        self._shut()

    def _shut(self) -> None:
        if self._state is not CLOSED:
            self._move(CLOSE)
            self.output.append(Shut())

    def _move(self, event: HostedEvent) -> None:
        self._state = TRANSITIONS[self._state][event]

    # Time

    def next_timeout(self) -> float | None:
        """When the body must be whole, or faster."""
        if self._state is not BODY:
            return None
        return body_deadline(self._config, self._since, self.buffered)

    def handle_timeout(self, now: float) -> None:
        """Refuse a body that takes too long."""
        due = self.next_timeout()
        if due is not None and now >= due:
            self._refuse(BODY_TIMED_OUT)
