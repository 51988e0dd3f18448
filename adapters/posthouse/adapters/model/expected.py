"""What must follow from one input, and the comparison with what did follow.

The other modules of the model say what they expect; `compare` holds the effects of the gateway against that. Messages
to a connection whose socket is full stay due, and must be sent in the order of the inputs that caused them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Final

from msgspec import DecodeError, Raw
from posthouse.adapters.invariants import Violation, must
from posthouse.adapters.invariants.canary import keeps_secrets
from posthouse.core.service.method import Method
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Answer, Cancel, Disconnect, Effect, Emit, Invoke, Multicast, Resolve, Transmit
from posthouse.core.values.errors import BATCH_REPLY_TOO_LARGE, INVALID_PARAMS, RESPONSE_TOO_LARGE, RpcError
from posthouse.core.values.lifecycle import CallEnded
from posthouse.core.values.peers import ConnectionId

from .messages import Codes, Sent, read_sent, text_of
from .records import Call, Connection, DueMessage, ReplySlot
from .reports.ends import TOO_LARGE, End
from .reports.statistics import Statistics
from .reports.told import Told

RECEIVED: Final = "message.received"
"""The push with which callers of built-in methods reach each other. The model only checks that its target is open."""


class Expected:
    """The effects that the current input must have. `connections` are those that are known, by number. `results`:
    checks of the results of calls that are answered now, by connection and id."""

    def __init__(self, config: Config, *, ends_are_told: bool, exchanges_told: bool = True) -> None:
        self._config = config
        self._ends_are_told = ends_are_told
        self._ends: list[CallEnded] = []
        self.connections: dict[int, Connection] = {}
        self.told = Told(config, exchanges=exchanges_told)
        self.statistics = Statistics(ends_are_told=ends_are_told)
        self.input = 0
        self.now = 0.0
        self.effects: Sequence[Effect] = ()
        self._invokes: list[Invoke] = []
        self._cancels: dict[int, None] = {}
        self._resolves: dict[int, Codes] = {}
        self._touched: dict[int, Connection] = {}
        self.results: dict[tuple[int, bytes], Callable[[Raw], None]] = {}
        self._compare: Final[dict[type, Callable[[Any], None]]] = {
            Transmit: self._transmit,
            Multicast: self._multicast,
            Answer: self._answer,
            Cancel: self._cancel,
            Resolve: self._resolve,
            Disconnect: self._disconnect,
        }

    def begin(self, effects: Sequence[Effect], now: float) -> None:
        """The next input had these effects."""
        self.input += 1
        self.now = now
        self.effects = effects
        self._invokes = [effect for effect in effects if type(effect) is Invoke]
        self.told.begin(effects, now)
        self.statistics.see(effects)
        events = [effect.event for effect in effects if type(effect) is Emit]
        self._ends = [event for event in events if type(event) is CallEnded]

    # Expectations

    def started(self, number: int, connection: Connection, method: Method) -> bool:
        """Is this call the next one whose handler was started? Each start may be asked for once."""
        invokes = self._invokes
        if not invokes or invokes[0].call != number:
            return False
        invoke = invokes.pop(0)
        caller = invoke.caller
        right = caller.connection == connection.number and caller.identity == connection.identity
        right = right and invoke.method is method
        must(right, "calls: a handler was started for the wrong caller or method", invoke)
        return True

    def reply(self, slot: ReplySlot, codes: Codes) -> DueMessage | None:
        """An entry has its outcome. It must be sent now, or with the last outcome of its batch. Returns the message."""
        connection, batch = slot.connection, slot.batch
        reply = None if slot.id is None else (slot.id, codes)
        if batch is None:
            return None if reply is None else self._expect(connection, DueMessage(self.input, [reply]))
        batch.replies[slot.place] = reply
        batch.left -= 1
        if batch.left:
            return None
        replies = [each for each in batch.replies if each is not None]
        if replies or not connection.pushable:
            return self._expect(connection, DueMessage(self.input, replies, array=batch.array))
        return None

    def ended(self, end: End) -> Codes:
        """A request has its outcome, which must be told if ends are. Returns the codes that its reply may have."""
        if not self._ends_are_told:
            return (*end.codes, *TOO_LARGE)
        event = next((event for event in self._ends if end.is_told_by(event, self.now)), None)
        if event is None:
            raise Violation("calls: the end of a call was not told", end, *self._ends)
        self._ends.remove(event)
        return (event.code,)

    def push(self, connection: Connection, method: str, behind: DueMessage | None = None) -> None:
        """A notification or a request must be sent, if the connection can be pushed to."""
        if connection.reachable and method != RECEIVED:
            self._expect(connection, DueMessage(self.input, [], method=method, behind=behind))

    def _expect(self, connection: Connection, due: DueMessage) -> DueMessage:
        connection.due.append(due)
        self._touched[connection.number] = connection
        return due

    def cancel(self, call: Call) -> None:
        """The handler of this call must be cancelled."""
        self._cancels[call.number] = None

    def resolve(self, request: int, codes: Codes) -> None:
        """A request of the gateway must get its outcome, with one of these codes."""
        self._resolves[request] = codes

    def has_room(self, connection: Connection) -> None:
        """The socket took bytes. If it holds none now, every due message must be sent."""
        self._touched[connection.number] = connection

    # Comparison

    def compare(self) -> None:
        """Compare the effects with the expectations. Raises Violation."""
        for effect in self.effects:
            compare = self._compare.get(type(effect))
            if compare is not None:
                compare(effect)
        must(not self._invokes, "calls: a handler was started that should not run", *self._invokes)
        must(not self._cancels, "calls: a handler was not cancelled", *self._cancels)
        must(not self._resolves, "answering: a request of the server got no outcome", *self._resolves)
        must(not self._ends, "calls: an end was told that no call has", *self._ends)
        self.told.compare(self.connections)
        for connection in self._touched.values():
            if connection.due and not connection.held and connection.open:
                first = connection.due[0]
                raise Violation("answering: an expected message was not sent", f"{first} to {connection.number}")
        self._touched.clear()

    def _transmit(self, effect: Transmit) -> None:
        if effect.report:
            self._receiver(effect.connection).held += len(effect.data)
        self._take(self._receiver(effect.connection), self._parse(effect.data))

    def _multicast(self, effect: Multicast) -> None:
        sent = self._parse(effect.data)
        for connection in effect.connections:
            self._take(self._receiver(connection), sent)

    def _answer(self, effect: Answer) -> None:
        connection = self._receiver(effect.connection)
        must(not connection.pushable, "answering: an Answer was sent to a connection that is not HTTP", effect)
        if effect.data is not None:
            sent = self._parse(effect.data)
            code = sent.code if isinstance(sent, Sent) else None
            must(effect.code == code, "answering: the code of an Answer is not that of its error", effect)
            self._take(connection, sent)
            return
        must(connection.due, "answering: an HTTP exchange was ended although no answer was due", effect)
        due = connection.due.popleft()
        must(not due.replies, "answering: an HTTP exchange was ended without its replies", due)

    def _receiver(self, number: ConnectionId) -> Connection:
        connection = self.connections.get(number)
        if connection is None or connection.closed:
            raise Violation("answering: a message was sent to a closed connection", number)
        return connection

    def _parse(self, data: bytes) -> list[Sent] | Sent:
        keeps_secrets("a message", data)
        try:
            sent = read_sent(data)
        except DecodeError as error:
            raise Violation("answering: a message is not JSON-RPC", data) from error
        if isinstance(sent, list):
            within = len(data) <= self._config.max_batch_reply_bytes or all_have(BATCH_REPLY_TOO_LARGE, sent)
            must(within, "answering: a batch reply is above its limit", len(data))
        elif sent.method is None and len(data) > self._config.max_response_bytes:
            must(all_have(RESPONSE_TOO_LARGE, [sent]), "answering: a reply is above its limit", len(data))
        return sent

    def _take(self, connection: Connection, sent: list[Sent] | Sent) -> None:
        """Remove the due message that was sent: the first, or another one of the same input."""
        if isinstance(sent, Sent) and sent.method == RECEIVED:
            return
        due = connection.due
        if self.results:
            self._check_results(connection, sent if isinstance(sent, list) else [sent])
        if due and matches(due[0], sent):
            due.popleft()
            return
        for place, each in enumerate(due):
            if each.input == due[0].input and matches(each, sent) and each.behind not in due:
                del due[place]
                return
        sentence = "answering: an unexpected message was sent"
        if any(matches(each, sent) for each in due):
            sentence = "order: a message was sent before an earlier one"
        text = [shown(each) for each in sent] if isinstance(sent, list) else shown(sent)
        raise Violation(sentence, f"{text} to {connection.number}; due: {list(due)[:3]}")

    def _check_results(self, connection: Connection, sent: list[Sent]) -> None:
        for each in sent:
            check = self.results.pop((connection.number, text_of((each.id,))), None)
            if check is not None and isinstance(each.result, Raw):
                check(each.result)

    def _cancel(self, effect: Cancel) -> None:
        must(effect.call in self._cancels, "calls: a handler was cancelled that should run", effect)
        del self._cancels[effect.call]

    def _resolve(self, effect: Resolve) -> None:
        must(effect.request in self._resolves, "answering: a request of the server got an unexpected outcome", effect)
        codes = self._resolves.pop(effect.request)
        code = None if isinstance(effect.outcome, bytes) else effect.outcome.code
        must(code in codes, "answering: a request of the server got the wrong outcome", effect, codes)

    def _disconnect(self, effect: Disconnect) -> None:
        connection = self._receiver(effect.connection)
        flushed = not (effect.flush and connection.due)
        must(flushed, "answering: queued messages were not sent before a flushing close", connection)
        connection.due.clear()
        connection.closed = True


def matches(due: DueMessage, sent: list[Sent] | Sent) -> bool:
    """Is this the message that is due?"""
    if isinstance(sent, list):
        replies = due.replies
        return due.array and len(sent) == len(replies) and all(map(replies_to, sent, replies, repeat(True)))
    if sent.method is not None:
        return sent.method == due.method
    return not due.array and len(due.replies) == 1 and replies_to(sent, due.replies[0])


def replies_to(sent: Sent, due: tuple[bytes, Codes], in_array: bool = False) -> bool:
    """Is this a valid reply to this id, with one of these codes?"""
    id, codes = due
    if text_of((sent.id,)) != id or not sent.valid:
        return False
    code = sent.code
    return code in codes and (in_array or code != BATCH_REPLY_TOO_LARGE)


def all_have(code: int, replies: list[Sent]) -> bool:
    """Are all of these errors with this code?"""
    return all(reply.code == code for reply in replies)


def shown(sent: Sent) -> str:
    """A message, for the text of a violation."""
    return sent.method or f"{sent.code or 'a result'} to id {text_of((sent.id,)).decode()}"


def fits(method: Method, params: bytes | None) -> bool:
    """Are these params valid for the method?"""
    try:
        method.bind(params)
    except RpcError:
        return False
    return True


def misfit(method: Method, params: bytes | None) -> Codes:
    """The codes of a call that was not started although it might: its params must be invalid. Raises Violation."""
    must(not fits(method, params), "calls: a handler that may run was not started", method.name, params)
    return (INVALID_PARAMS,)
