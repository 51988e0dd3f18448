"""One input of the model: what must follow from it, compared with what did.

The rules in `model.py` say what is owed; here the effects are held against it. What is owed to a connection whose
socket is full stays owed, and must come in the order of the inputs that caused it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Final

from msgspec import DecodeError
from posthouse.adapters.invariants import Violation, must
from posthouse.core.service.method import Method
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Answer, Cancel, Disconnect, Effect, Invoke, Multicast, Resolve, Transmit
from posthouse.core.values.errors import BATCH_REPLY_TOO_LARGE, RESPONSE_TOO_LARGE
from posthouse.core.values.peers import ConnectionId

from .records import Call, Connection, Owed
from .texts import Codes, Reply, read_replies, text_of

RECEIVED: Final = "message.received"
"""What callers of built-in methods send each other: only that its targets are open is looked at."""


class Turn:
    """What is expected of the input that runs. `connections` by number, while they are known."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.connections: dict[int, Connection] = {}
        self.number = 0
        self.now = 0.0
        self.effects: Sequence[Effect] = ()
        self._invokes: list[Invoke] = []
        self._cancels: dict[int, None] = {}
        self._resolves: dict[int, Codes] = {}
        self._touched: dict[int, Connection] = {}
        self._compare: Final[dict[type, Callable[[Any], None]]] = {
            Transmit: self._transmit,
            Multicast: self._multicast,
            Answer: self._answer,
            Cancel: self._cancel,
            Resolve: self._resolve,
            Disconnect: self._disconnect,
        }

    def begin(self, effects: Sequence[Effect], now: float) -> None:
        """The next input, and what followed from it."""
        self.number += 1
        self.now = now
        self.effects = effects
        self._invokes = [effect for effect in effects if type(effect) is Invoke]

    # What must follow

    def started(self, number: int, connection: Connection, method: Method) -> bool:
        """Was this call handed out next?"""
        invokes = self._invokes
        if not invokes or invokes[0].call != number:
            return False
        invoke = invokes.pop(0)
        as_asked = invoke.caller.connection == connection.number and invoke.method is method
        must(as_asked, "calls: a handler runs for another caller or method than asked", invoke)
        return True

    def owe(self, connection: Connection, owed: Owed) -> None:
        """This payload must reach this connection."""
        connection.owed.append(owed)
        self._touched[connection.number] = connection

    def push(self, connection: Connection, method: str) -> None:
        """A notification or a request must reach this connection, if it may be spoken to."""
        if connection.reachable and method != RECEIVED:
            self.owe(connection, Owed(self.number, [], method=method))

    def cancel(self, call: Call) -> None:
        """The handler of this call must be told to stop."""
        self._cancels[call.number] = None

    def resolve(self, request: int, codes: Codes) -> None:
        """This request of ours has its outcome, with one of these codes."""
        self._resolves[request] = codes

    # What did follow

    def compare(self) -> None:
        """Hold the effects against it. Raises Violation."""
        for effect in self.effects:
            compare = self._compare.get(type(effect))
            if compare is not None:
                compare(effect)
        if self._invokes or self._cancels or self._resolves:
            must(not self._invokes, "calls: a handler was started that was not to be", *self._invokes)
            must(not self._cancels, "calls: a handler was not told to stop", *self._cancels)
            must(not self._resolves, "answering: a request of ours got no outcome", *self._resolves)
        if self._touched:
            self._check_sent()

    def _check_sent(self) -> None:
        for connection in self._touched.values():
            if connection.owed and not connection.held and connection.open:
                owed = connection.owed[0]
                raise Violation("answering: what is owed was not sent", f"{owed} to {connection.number}")
        self._touched.clear()

    def freed(self, connection: Connection) -> None:
        """Its socket may take everything again: then nothing may be left for it."""
        self._touched[connection.number] = connection

    def _transmit(self, effect: Transmit) -> None:
        if effect.report:
            self._to(effect.connection).held += len(effect.data)
        self._said(self._to(effect.connection), self._read(effect.data))

    def _multicast(self, effect: Multicast) -> None:
        said = self._read(effect.data)
        for connection in effect.connections:
            self._said(self._to(connection), said)

    def _answer(self, effect: Answer) -> None:
        connection = self._to(effect.connection)
        must(not connection.pushable, "answering: an answer to who has no exchange", effect)
        if effect.data is not None:
            said = self._read(effect.data)
            code = said.code if isinstance(said, Reply) else None
            must(effect.code == code, "answering: the status of an answer is that of its error", effect)
            self._said(connection, said)
            return
        must(connection.owed, "answering: an exchange ends that is owed no answer", effect)
        owed = connection.owed.popleft()
        must(not owed.replies, "answering: an exchange ends without its replies", owed)

    def _to(self, number: ConnectionId) -> Connection:
        connection = self.connections.get(number)
        if connection is None or connection.silent:
            raise Violation("answering: something is sent to who is closed", number)
        return connection

    def _read(self, data: bytes) -> list[Reply] | Reply:
        try:
            said = read_replies(data)
        except DecodeError as error:
            raise Violation("answering: what is sent is no JSON-RPC", data) from error
        if isinstance(said, list):
            left_out = len(data) <= self._config.max_batch_reply_bytes or only(BATCH_REPLY_TOO_LARGE, said)
            must(left_out, "answering: the reply to a batch is above its limit", len(data))
        elif said.method is None and len(data) > self._config.max_response_bytes:
            must(only(RESPONSE_TOO_LARGE, [said]), "answering: a reply is above its limit", len(data))
        return said

    def _said(self, connection: Connection, said: list[Reply] | Reply) -> None:
        """Take from what is owed what was said: the first, or another of the same turn."""
        if isinstance(said, Reply) and said.method == RECEIVED:
            return
        owed = connection.owed
        if owed and fits(owed[0], said):
            owed.popleft()
            return
        for place, each in enumerate(owed):
            if each.turn == owed[0].turn and fits(each, said):
                del owed[place]
                return
        sentence = "answering: nothing of this kind is owed"
        if any(fits(each, said) for each in owed):
            sentence = "order: something is sent before what was owed earlier"
        what = [spoken(each) for each in said] if isinstance(said, list) else spoken(said)
        raise Violation(sentence, f"{what} to {connection.number}, who is owed {list(owed)[:3]}")

    def _cancel(self, effect: Cancel) -> None:
        must(effect.call in self._cancels, "calls: a handler is told to stop that is not to be", effect)
        del self._cancels[effect.call]

    def _resolve(self, effect: Resolve) -> None:
        codes = self._resolves.pop(effect.request, None)
        must(codes is not None, "answering: a request of ours gets an outcome that is not due", effect)
        code = None if isinstance(effect.outcome, bytes) else effect.outcome.code
        must(codes is not None and code in codes, "answering: a request of ours gets another outcome", effect, codes)

    def _disconnect(self, effect: Disconnect) -> None:
        connection = self._to(effect.connection)
        must(not (effect.flush and connection.owed), "answering: who is closed did not get what was queued", connection)
        connection.owed.clear()
        connection.silent = True


def fits(owed: Owed, said: list[Reply] | Reply) -> bool:
    """Is this what is owed?"""
    if isinstance(said, list):
        due = owed.replies
        return owed.array and len(said) == len(due) and all(map(answers, said, due, repeat(True)))
    if said.method is not None:
        return said.method == owed.method
    return not owed.array and len(owed.replies) == 1 and answers(said, owed.replies[0])


def spoken(said: Reply) -> str:
    """What was said, for a message."""
    return said.method or f"{said.code or 'a result'} to id {text_of((said.id,)).decode()}"


def only(code: int, replies: list[Reply]) -> bool:
    """Do all of them say this?"""
    return all(reply.code == code for reply in replies)


def answers(said: Reply, due: tuple[bytes, Codes], in_array: bool = False) -> bool:
    """Is it a reply to this id, with a result or one of these codes, and not both? What it was to say may have been
    too large."""
    id, codes = due
    if text_of((said.id,)) != id or not said.whole:
        return False
    code = said.code
    return code in codes or code == RESPONSE_TOO_LARGE or (in_array and code == BATCH_REPLY_TOO_LARGE)
