"""The model and the gateway: they agree about every rule, and differ as soon as the gateway breaks one.

Each scenario tests one rule. The gateway passes all of them. Each planted bug breaks a rule of the gateway, and in its
scenario the model must report that rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from posthouse.adapters.invariants import Violation
from posthouse.adapters.model.checked import CheckedGateway
from posthouse.core import (
    ANONYMOUS,
    Answer,
    Cancel,
    Config,
    Disconnect,
    Drained,
    Gateway,
    Identity,
    Invoke,
    Meta,
    Multicast,
    Peer,
    Resolve,
    RpcError,
    Service,
    Transmit,
    UsageError,
)
from posthouse.core.calls import replies as replies_module
from posthouse.core.calls.calls import Call, Calls
from posthouse.core.calls.endings import Endings
from posthouse.core.calls.followers import Followers
from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.calls.outgoing import OutgoingRequests
from posthouse.core.calls.replies import Batch, Replies
from posthouse.core.closing.closing import Closing
from posthouse.core.closing.drain import Drain
from posthouse.core.connections.connections import Connection
from posthouse.core.connections.flow import Backlog, Flow
from posthouse.core.connections.openings import Openings
from posthouse.core.dispatch.dispatch import Dispatch
from posthouse.core.jsonrpc.messages import encode_result
from posthouse.core.values.close_reasons import CloseReason
from posthouse.core.values.effects import Emit, StopAccepting
from posthouse.core.values.errors import ErrorObject
from posthouse.core.values.lifecycle import AcceptingStopped, EventName
from posthouse.core.values.peers import Address, CallId, ConnectionId, Kind, OutgoingId, WireId

from tests.transports.board import calculator, call, counter

ADA = Identity("ada", ("broadcast", "reports"))
NARROW = Config(
    max_calls_per_connection=2,
    max_waiting_calls=2,
    max_waiting_bytes=40,
    max_calls=3,
    max_batch=3,
    call_timeout=8.0,
    heartbeat_interval=None,
    drain_notice=1.0,
    drain_spread=1.0,
)

SPOKEN = (Transmit, Answer)


class Desk:
    """A checked gateway; `now` is its clock. `effects` are those of the last input."""

    def __init__(
        self, config: Config = NARROW, service: Service | None = None, events: tuple[EventName, ...] = ()
    ) -> None:
        service = calculator() if service is None else service
        self.gateway = CheckedGateway(service, config, wall=0.0, entropy=counter(), events=events)
        self.model = self.gateway.model
        self.now = 0.0
        self.effects: list[Any] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Every input of the gateway, at the time `now`. Its effects are kept."""

        def input(*arguments: Any, **keywords: Any) -> Any:
            returned = getattr(self.gateway, name)(*arguments, self.now, **keywords)
            self.effects = list(self.gateway.outbox)
            self.gateway.outbox.clear()
            self.model.check(self.gateway, self.now)
            return returned

        return input

    def open(self, kind: Kind = "websocket", identity: Identity = ANONYMOUS, meta: Meta = Meta()) -> ConnectionId:
        """Connect a peer."""
        return ConnectionId(self.connect(Peer(kind, identity=identity, meta=meta)))

    def notify_after(self, to: ConnectionId, call: CallId) -> bool:
        """Send a notification behind the reply of a call."""
        sent = self.gateway.notify(to, "event", [], self.now, after=call)
        self.effects = list(self.gateway.outbox)
        self.gateway.outbox.clear()
        return sent

    def later(self, seconds: float) -> None:
        """Let time pass in one step."""
        self.now += seconds
        self.handle_timeout()

    def seen(self, kind: type) -> list[Any]:
        """The effects of this kind of the last input."""
        return [effect for effect in self.effects if type(effect) is kind]

    def invoked(self) -> list[int]:
        """The calls that the last input started."""
        return [effect.call for effect in self.seen(Invoke)]

    def codes(self) -> list[int | None]:
        """The replies of the last input: error codes, and None for results."""
        texts = [msgspec.json.decode(effect.data) for effect in self.effects if type(effect) in SPOKEN and effect.data]
        entries = [entry for text in texts for entry in (text if isinstance(text, list) else [text])]
        return [entry.get("error", {}).get("code") for entry in entries if "method" not in entry]


def later(id: int, meta: str = "") -> bytes:
    """A request that is answered when its handler ends."""
    return b'{"jsonrpc":"2.0","method":"later","params":[%d],"id":%d%b}' % (id, id, meta.encode())


# Scenarios


def refusals(desk: Desk) -> None:
    """Every reason for which a request is refused at once, each with its code."""
    one, ada, somebody = ANONYMOUS, ADA, Identity("bob")
    for identity, text, code in (
        (one, b"{", -32700),
        (one, b"\xff", -32700),
        (one, b"[" * 70 + b"]" * 70, -32700),
        (one, b'{"jsonrpc":"2.0","method":"add","params":' + b"[" * 70 + b"]" * 70 + b',"id":1}', -32700),
        (one, b"[]", -32600),
        (one, b"1", -32600),
        (one, b'"\\ud800"', -32700),
        (one, b"[1,1,1,1]", -32010),
        (one, b'{"jsonrpc":"1.0","method":"add","id":1}', -32600),
        (one, b'{"method":"add","id":1}', -32600),
        (one, b'{"jsonrpc":"2.0","id":1}', -32600),
        (one, b'{"jsonrpc":"2.0","method":1,"id":1}', -32600),
        (one, call("", b"[]"), -32600),
        (one, call("add", b"1"), -32600),
        (one, call("add", b"[]", b"[1]"), -32600),
        (one, b'{"jsonrpc":"2.0","method":"add","id":1,"meta":1}', -32600),
        (one, b'{"jsonrpc":"2.0","method":"add","id":1,"meta":{"timeout_ms":0}}', -32600),
        (one, b'{"jsonrpc":"2.0","method":"add","id":1,"meta":{"traceparent":"%b"}}' % (b"x" * 200), -32600),
        (ada, call("nothing"), -32601),
        (ada, call("add", b'["x"]'), -32602),
        (ada, call("rpc.cancel", b'{"no":1}'), -32602),
        (ada, call("rpc.cancel"), -32602),
        (ada, b'{"jsonrpc":"2.0","method":"rpc.cancel","id":1}', -32602),
        (one, call("secret"), -32020),
        (one, call("message.send"), -32020),
        (somebody, call("secret"), -32021),
        (somebody, call("connection.stats"), -32021),
        (ada, call("connection.info"), None),
        (ada, call("message.broadcast", b'{"data":1}'), None),
    ):
        desk.receive(desk.open(identity=identity), text)
        assert desk.codes() == [code], text
    desk.receive(desk.open(identity=Identity(None, ("reports",))), call("secret"))
    assert desk.invoked() == [1]
    connection = desk.open(identity=ADA)
    for response in (b'"result":1', b'"error":1', b'"result":1,"error":1', b'"result":1,"id":7', b'"result":1,"id":[]'):
        desk.receive(connection, b'{"jsonrpc":"2.0",%b}' % response)
        assert desk.codes() == []
    for notification in (call("nothing", id=None), call("add", b'["x"]', None), call("connection.ping", id=None)):
        desk.receive(connection, notification)
        assert desk.codes() == []


def slots(desk: Desk) -> None:
    """Calls run up to the limit, then wait in order, then are refused. A waiting call starts when a handler ends."""
    one, two = desk.open(), desk.open()
    for id in (1, 2, 3, 4):
        desk.receive(one, later(id))
    assert desk.invoked() == []
    desk.receive(one, later(5))
    assert desk.codes() == [-32009]  # max_waiting_calls
    desk.receive(one, later(1))
    assert desk.codes() == [-32013]
    desk.complete(CallId(1), "x")
    assert desk.invoked() == [3]
    desk.receive(one, call("add", b'["no number",1]', b"6"))
    desk.receive(one, call("later", b"[%b]" % (b"1" * 40), b"7"))
    desk.receive(two, later(1))
    desk.receive(two, later(2))
    assert desk.codes() == [-32009]  # max_calls
    desk.fail(CallId(2), RpcError(1, "no"))
    assert desk.invoked() == [4]
    desk.complete(CallId(3), "x")
    assert desk.codes() == [None, -32602]
    assert not desk.complete(CallId(3), "again")
    desk.complete(CallId(4), object())
    assert desk.codes() == [-32603]
    desk.fail(CallId(6), RpcError(1, "no"))
    desk.model.check_at_rest()


def waiting_bytes(desk: Desk) -> None:
    """Waiting calls are also limited in bytes."""
    one = desk.open()
    for id in (1, 2, 3):
        desk.receive(one, later(id))
    desk.receive(one, call("later", b'["%b"]' % (b"x" * 34), b"4"))
    assert desk.codes() == [-32009]
    desk.receive(one, call("later", b'["%b"]' % (b"x" * 33), b"5"))
    assert desk.codes() == []


def cancellation(desk: Desk) -> None:
    """A running call is cancelled and keeps its slot; a waiting call never runs."""
    one = desk.open()
    for id in (1, 2, 3):
        desk.receive(one, later(id))
    desk.receive(one, call("$/cancelRequest", b'{"id":1}', None))
    assert (desk.codes(), len(desk.seen(Cancel)), desk.invoked()) == ([-32800], 1, [])
    desk.receive(one, call("rpc.cancel", b"[3]", b"9"))
    assert desk.codes() == [-32800, None]
    desk.receive(one, call("rpc.cancel", b"[3]", b"9"))
    assert desk.codes() == [None]
    desk.receive(one, later(1))
    desk.receive(one, later(2))
    assert desk.codes() == [-32013]
    assert not desk.fail(CallId(1), RpcError(-32800))
    assert desk.invoked() == [4]
    desk.receive(one, b'{"jsonrpc":"2.0","method":"later","id":null}')
    desk.receive(one, call("rpc.cancel", b"[null]", b"9"))
    assert desk.codes() == [None]


def deadlines(desk: Desk) -> None:
    """A call ends at its deadline, whether it runs or waits; a result that comes later is dropped, or too late."""
    one = desk.open()
    for id in (1, 2, 3):
        desk.receive(one, later(id, ',"meta":{"timeout_ms":3000}' if id == 2 else ""))
    desk.later(2.9)
    assert desk.codes() == []
    desk.later(0.1)
    assert desk.codes() == [-32030]
    desk.now = 8.0
    desk.complete(CallId(1), 1)
    assert desk.codes() == [-32030]
    desk.later(0.0)
    assert desk.codes() == [-32030]
    assert not desk.complete(CallId(2), 1)
    assert not desk.complete(CallId(3), 1)
    desk.receive(one, later(4))
    desk.receive(one, later(5, ',"meta":{"timeout_ms":3000}'))
    desk.later(9.0)
    ids = [msgspec.json.decode(effect.data)["id"] for effect in desk.seen(Transmit)]
    assert ids == [5, 4], "in the order of their deadlines, though both were late"


def progress(desk: Desk) -> None:
    """Progress is sent while a call with a token runs, and never afterwards."""
    one, http = desk.open(), desk.open("http", meta=Meta(progress_token=1))
    desk.receive(one, later(1, ',"meta":{"progress_token":"t"}'))
    desk.receive(http, later(2))
    assert desk.progress(CallId(1), 0.5)
    assert not desk.progress(CallId(2), 0.5)
    desk.receive(one, call("rpc.cancel", b"[1]", b"9"))
    assert not desk.progress(CallId(1), 0.7)


def disconnects(desk: Desk) -> None:
    """A closed connection gets nothing: its calls stop or finish as declared, requests to it end."""
    one = desk.open()
    desk.receive(one, later(1))
    desk.receive(one, call("finish", id=b"2"))
    desk.receive(one, later(3))
    request = desk.request(one, "ask", None, timeout=5.0)
    desk.disconnected(one, None)
    assert [effect.call for effect in desk.seen(Cancel)] == [1]
    assert [effect.request for effect in desk.seen(Resolve)] == [request]
    assert desk.complete(CallId(2), None)
    assert not desk.complete(CallId(1), None)
    desk.receive(one, later(4))
    desk.report_held(one, 5)
    desk.abandon(request)
    assert not desk.notify(one, "news", None)
    desk.model.check_at_rest()


def batches(desk: Desk) -> None:
    """A batch gets one array of all its replies, when its last entry has ended."""
    one = desk.open()
    desk.receive(one, b"[" + b",".join((later(1), call("add", b'["x"]', b"2"), later(3))) + b"]")
    assert desk.codes() == []
    desk.complete(CallId(2), 1)
    desk.complete(CallId(1), 1)
    assert desk.codes() == [None, -32602, None]
    desk.receive(one, b"[" + b",".join((call("add", b"[1,2]", None), b'{"jsonrpc":"2.0","result":1,"id":5}')) + b"]")
    desk.receive(one, b"[1,[]]")
    assert desk.codes() == [-32600, -32600]
    desk.receive(one, b"[[[" + b"[" * 70 + b"]" * 70 + b"]]]")
    assert desk.codes() == [-32700]
    desk.receive(one, b"[1,1,1,{")
    assert desk.codes() == [-32010]
    desk.complete(CallId(3), 3)
    assert desk.codes() == []


def limits(desk: Desk) -> None:
    """Replies and arrays of replies are within their limits, or replaced by an error."""
    desk = Desk(Config(max_response_bytes=400, max_batch_reply_bytes=650))
    one = desk.open()
    for size, codes in ((300, [None]), (400, [-32008])):
        desk.receive(one, later(1))
        desk.complete(CallId(desk.gateway.stats()["calls.made"]), "x" * size)
        assert desk.codes() == codes
    desk.receive(one, b"[" + b",".join(map(later, (1, 2, 3))) + b"]")
    for number in desk.invoked():
        desk.complete(CallId(number), "x" * 300)
    assert desk.codes() == [None, -32011, -32011]


def exchanges(desk: Desk) -> None:
    """An HTTP exchange gets one answer: a reply, an array, or an empty answer."""
    for text, codes in (
        (later(1), [None]),
        (call("later", b"[1]", None), []),
        (b"[" + later(1) + b"]", [None]),
        (b"[" + call("later", b"[1]", None) + b"]", []),
    ):
        http = desk.open("http")
        desk.receive(http, text)
        assert desk.seen(Answer) == []
        desk.complete(desk.invoked()[0], 1)
        assert len(desk.seen(Answer)) == 1
        assert desk.codes() == codes
        desk.disconnected(http, None)
    keyed = desk.open("http", meta=Meta(idempotency_key="k"))
    desk.receive(keyed, b"[" + later(1) + b"]")
    assert desk.codes() == [-32600]
    slow = desk.open("http", meta=Meta(timeout_ms=1000))
    desk.receive(slow, later(1))
    with pytest.raises(UsageError):
        desk.receive(slow, later(2))
    desk.later(1.0)
    assert desk.codes() == [-32030]
    desk.receive(slow, later(3))


def slow_peers(desk: Desk) -> None:
    """Messages in the queue of a slow peer are sent in order, all of them before it is read again."""
    one = desk.open()
    desk.receive(one, later(1, ',"meta":{"progress_token":1}'))
    desk.report_held(one, 10)
    desk.progress(CallId(1), 1)
    desk.receive(one, call("connection.ping", id=b"2"))
    desk.notify(one, "news", None)
    desk.complete(CallId(1), 1)
    desk.broadcast("more", None)
    assert not desk.seen(Multicast)
    desk.report_sent(one, 4)
    assert not desk.seen(Transmit)
    desk.report_sent(one, 6)
    texts = [msgspec.json.decode(effect.data) for effect in desk.seen(Transmit)]
    assert [text.get("method", text.get("id")) for text in texts] == ["$/progress", 2, "news", 1, "more"]
    desk.report_sent(one, sum(len(effect.data) for effect in desk.seen(Transmit)))


def closes(desk: Desk) -> None:
    """A close with `flush` first sends the queue; nothing is sent after it."""
    one = desk.open()
    desk.report_held(one, 10)
    for _ in range(desk.gateway.config.max_bad_messages or 0):
        desk.receive(one, b"{")
    desk.receive(one, later(1))
    desk.receive(one, b"{")
    assert [effect.code for effect in desk.seen(Disconnect)] == [4400]
    assert not desk.notify(one, "news", None)
    desk.disconnected(one, 4400)
    desk.fail(CallId(1), RpcError(-32800))
    desk.model.check_at_rest()


def requests_of_ours(desk: Desk) -> None:
    """A request has one outcome: an answer, its deadline, or a closed connection. An abandoned one has none."""
    one, http = desk.open(), desk.open("http")
    for answer in (b'"result":1,"id":1', b'"error":{"code":5,"message":"no"},"id":2', b'"result":1,"id":1'):
        desk.request(one, "ask", None, timeout=5.0)
        desk.receive(one, b'{"jsonrpc":"2.0",%b}' % answer)
    desk.later(5.0)
    assert [effect.request for effect in desk.seen(Resolve)] == [3]
    desk.abandon(OutgoingId(3))
    desk.request(http, "ask", None, timeout=5.0)
    for _ in range(5):
        desk.request(one, "ask", None, timeout=5.0)
    assert len(desk.seen(Resolve)) == 1
    desk.abandon(OutgoingId(6))
    desk.later(5.0)
    assert [effect.request for effect in desk.seen(Resolve)] == [5, 7, 8]


def rates(desk: Desk) -> None:
    """Calls above the rate of a user or a connection are refused."""
    desk = Desk(Config(call_rate=2.0))
    for connection, fresh in ((desk.open(), 2), (desk.open(identity=ADA), 2), (desk.open(identity=ADA), 0)):
        for place in range(3):
            desk.receive(connection, call("connection.ping"))
            assert desk.codes() == [None if place < fresh else -32029]
    desk.now = 0.5
    desk.receive(ConnectionId(1), call("rpc.cancel", b"[1]"))
    desk.receive(ConnectionId(1), call("connection.ping"))
    assert desk.codes() == [None]
    desk = Desk(Config(call_rate=1.0, max_connections=2))
    for user in ("ada", "bob", "cy", "ada"):
        connection = desk.open(identity=Identity(user))
        desk.receive(connection, call("connection.ping"))
        assert desk.codes() == [None], "of more users than connections the first is forgotten"
        desk.disconnected(connection, None)
    for last, code in ((1, None), (2, -32029), (1, -32029)):
        exchange = ConnectionId(desk.connect(Peer("http", Address(f"2001:db8::{last}"))))
        desk.receive(exchange, call("connection.ping"))
        assert desk.codes() == [code], "over HTTP the addresses of one subnet count as one"
        desk.disconnected(exchange, None)


def built_in_scopes(desk: Desk) -> None:
    """A service sets the scopes of built-in methods."""
    desk = Desk(service=Service("closed", builtin_scopes={"connection.ping": ["broadcast"]}))
    for identity, code in ((ANONYMOUS, -32020), (Identity("bob"), -32021), (ADA, None)):
        desk.receive(desk.open(identity=identity), call("connection.ping"))
        assert desk.codes() == [code]


def memory(desk: Desk) -> None:
    """A connection that is closed for memory ends like any other."""
    desk = Desk(Config(memory_budget=1000))
    one = desk.open()
    desk.receive(one, later(1))
    desk.report_held(one, 10)
    desk.notify(one, "news", None)
    desk.report_buffered(500)
    assert not desk.seen(Disconnect)
    desk.report_buffered(1000)
    assert len(desk.seen(Cancel)) == len(desk.seen(Disconnect)) == 1


def shut_down(desk: Desk) -> None:
    """New calls are refused, old ones end with the grace, all connections are notified and closed, then Drained."""
    socket = desk.accepted(Address("a", 1))
    one, two = desk.open(), desk.open()
    desk.receive(one, later(1))
    desk.receive(one, later(2))
    desk.receive(one, later(3))
    desk.shut_down(grace=3.0)
    desk.shut_down()
    desk.receive(one, later(4))
    assert desk.codes() == [-32050]
    desk.receive(one, call("nothing"))
    assert desk.codes() == [-32050]
    desk.open()
    assert desk.seen(Disconnect)
    desk.disconnected(ConnectionId(3), None)
    desk.later(1.0)
    assert desk.accepted(Address("a", 2)) is None
    desk.later(1.0)
    assert [effect.connection for effect in desk.seen(Disconnect)] == [two]
    desk.later(2.0)
    assert desk.codes() == [-32050, -32050, -32050]
    desk.later(1.0)
    for call_id in (1, 2):
        desk.fail(CallId(call_id), RpcError(-32800))
    desk.disconnected(one, None)
    desk.disconnected(two, None)
    assert not desk.seen(Drained)
    desk.released(socket)
    assert desk.seen(Drained)


def shut_down_in_time(desk: Desk) -> None:
    """A shutdown ends in time, even with open connections."""
    one = desk.open()
    desk.receive(one, call("finish", id=b"1"))
    desk.shut_down(grace=100.0)
    desk.later(7.0)
    desk.later(23.0)
    assert desk.seen(Drained)
    assert [effect.connection for effect in desk.seen(Disconnect)] == [one]
    desk.later(200.0)


def followers(desk: Desk) -> None:
    """Notifications behind the reply of a call, or of its batch: sent with a result, and dropped with an error."""
    one, http = desk.open(), desk.open("http")
    desk.receive(http, later(9))
    assert not desk.gateway.notify(http, "event", [], desk.now, after=CallId(1))
    desk.complete(CallId(1), 1)
    desk.disconnected(http, None)
    desk.receive(one, later(1))
    desk.receive(one, later(2))
    desk.receive(one, later(3))
    for call_, taken in ((CallId(2), True), (CallId(3), True), (CallId(4), False)):
        assert desk.notify_after(one, call_) is taken
    desk.complete(CallId(2), 1)
    assert [len(desk.seen(Transmit)), desk.codes()] == [2, [None]]
    assert desk.notify_after(one, CallId(2))
    desk.receive(one, call("rpc.cancel", b"[2]", b"9"))
    assert sorted(desk.codes(), key=str) == [-32800, None]
    assert not desk.notify_after(one, CallId(3))
    desk.fail(CallId(3), RpcError(-32800))
    desk.complete(CallId(4), object())
    desk.receive(one, b"[" + later(5) + b"," + later(6) + b"]")
    assert desk.invoked() == [5, 6]
    assert [desk.notify_after(one, CallId(5)), desk.notify_after(one, CallId(6))] == [True, True]
    desk.complete(CallId(5), 1)
    assert desk.notify_after(one, CallId(5))
    assert desk.effects == []
    desk.fail(CallId(6), RpcError(7))
    assert [len(desk.seen(Transmit)), desk.codes()] == [3, [None, 7]]
    desk.receive(one, later(7))
    assert desk.notify_after(one, CallId(7))
    desk.disconnected(one, None)
    desk.complete(CallId(7), 1)


SCENARIOS = (
    followers,
    refusals,
    slots,
    waiting_bytes,
    cancellation,
    deadlines,
    progress,
    disconnects,
    batches,
    limits,
    exchanges,
    slow_peers,
    closes,
    requests_of_ours,
    rates,
    built_in_scopes,
    memory,
    shut_down,
    shut_down_in_time,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_model_agrees_with_the_gateway(scenario: Callable[[Desk], None]) -> None:
    scenario(Desk())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_model_agrees_about_the_end_of_each_call(scenario: Callable[[Desk], None]) -> None:
    scenario(Desk(events=("call.ended",)))


WORDS = [
    b" ",
    b'"\xff"',
    b"\xef\xbb\xbf",
    *rb"""
    {"jsonrpc":"2.0" "jsonrpc":"2.\u0030" "method":"later" "method":"add" "method":"rpc.cancel" "params":[1,2]
    "params":{"a":1,"b":2} "params":{"id":1} "id":1 "id":"x" "id":null "id":1.0 "meta":{"timeout_ms":5}
    "meta":{"timeout_ms":2.0} "meta":{"progress_token":1} "meta":null "result":1 "error":1
    "error":{"code":1,"message":"m"} [ ] { } , : 1 -1.5e3 "\ud800" NaN "
    {"jsonrpc":"2.0","method":"later","params":[1],"id":1} {"jsonrpc":"2.0","method":"add","params":["x",1],"id":2}
    {"jsonrpc":"2.0","method":"add","params":[2,1]} {"jsonrpc":"2.0","result":1,"id":1}
    """.split(),
]
"""What texts are made of here: what is right, and what is wrong nearly."""

TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=8).map(b",".join),
    st.lists(st.sampled_from(WORDS), max_size=6).map(lambda words: b",".join(words) + b"}"),
    st.lists(st.sampled_from(WORDS), max_size=4).map(lambda words: b"[" + b",".join(words) + b"]"),
    st.lists(st.sampled_from(WORDS), max_size=8).map(b"".join),
)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(TEXTS, max_size=6), kind=st.sampled_from(["websocket", "http"]))
def test_the_model_and_the_gateway_read_any_text_alike(texts: list[bytes], kind: Kind) -> None:
    desk = Desk()
    connection = desk.open(kind)
    desk.request(connection, "ask", None, timeout=5.0)
    for text in texts:
        desk.receive(connection if kind == "websocket" else desk.open(kind), text)


# Planted bugs


def answers_twice(plant: pytest.MonkeyPatch) -> None:
    send = Flow.send

    def twice(self: Flow, connection: ConnectionId, data: bytes) -> None:
        send(self, connection, data)
        send(self, connection, data)

    plant.setattr(Flow, "send", twice)


def answers_somebody_else(plant: pytest.MonkeyPatch) -> None:
    send = Flow.send
    plant.setattr(Flow, "send", lambda self, connection, data: send(self, ConnectionId(2), data))


def drops_the_outcome_of_a_cancelled_call(plant: pytest.MonkeyPatch) -> None:
    def settle(self: Outcomes, call: Call, connection: Connection | None, *outcome: object) -> None:
        self._calls.settle(call, connection, 0.0)

    plant.setattr(Outcomes, "_end_early", settle)


def keeps_the_slot(plant: pytest.MonkeyPatch) -> None:
    ended = Calls.handler_ended

    def handler_ended(self: Calls, call: Call, connection: Connection | None) -> bool:
        self.handlers += 1
        return ended(self, call, connection)

    plant.setattr(Calls, "handler_ended", handler_ended)


def keeps_the_connections_slot(plant: pytest.MonkeyPatch) -> None:
    ended = Calls.handler_ended

    def handler_ended(self: Calls, call: Call, connection: Connection | None) -> bool:
        if connection is not None:
            connection.running += 1
        return ended(self, call, connection)

    plant.setattr(Calls, "handler_ended", handler_ended)


def answers_a_batch_short(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(replies_module, "join_batch", lambda replies: b"[%b]" % b",".join(replies[:-1]))


def answers_a_batch_out_of_order(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(replies_module, "join_batch", lambda replies: b"[%b]" % b",".join(replies[::-1]))


def lets_who_waits_wait(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Outcomes, "run_waiting", lambda self, connection, now: None)


def starts_the_last_that_waits(plant: pytest.MonkeyPatch) -> None:
    def last(self: Calls, connection: Connection) -> Call | None:
        if not connection.waiting or connection.running >= self._config.max_calls_per_connection:
            return None
        return self.records[list(connection.waiting)[-1]]

    plant.setattr(Calls, "next_waiting", last)


def lets_one_more_wait(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Calls, "_check_room", lambda self, connection, size: None)


def ignores_deadlines(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Outcomes, "_expire", lambda self, key, now: None)


def forgets_to_arm(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Outcomes, "arm", lambda self: None)


def ends_at_once(plant: pytest.MonkeyPatch) -> None:
    begin = Drain.begin

    def drain(self: Drain, now: float, grace: float | None) -> None:
        begin(self, now, grace)
        self.finish()

    plant.setattr(Drain, "begin", drain)


def never_ends(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Drain, "finish", lambda self: None)


def has_no_end_to_its_grace(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Outcomes, "drain", lambda self, now: None)


def bids_nobody_farewell(plant: pytest.MonkeyPatch) -> None:
    def notice_over(self: Drain, key: int, now: float) -> None:
        self.accepting = False
        self._shared.outbox += (StopAccepting(), Emit(AcceptingStopped(now)))

    plant.setattr(Drain, "_notice_over", notice_over)


def lets_calls_in_as_it_leaves(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Dispatch, "draining", property(lambda self: False, lambda self, value: None), raising=False)


def forgets_to_stop_who_runs(plant: pytest.MonkeyPatch) -> None:
    settle = Calls.settle

    def silently(self: Calls, call: Call, connection: Connection | None, now: float) -> None:
        settle(self, call, connection, now)
        self._outbox[:] = [effect for effect in self._outbox if type(effect) is not Cancel]

    plant.setattr(Calls, "settle", silently)


def stops_who_is_to_finish(plant: pytest.MonkeyPatch) -> None:
    drop = Outcomes.drop

    def stop_all(self: Outcomes, connection: Connection, now: float) -> None:
        for number in connection.calls.values():
            self._shared.outbox.append(Cancel(number))
        drop(self, connection, now)

    plant.setattr(Outcomes, "drop", stop_all)


def turns_its_queue_over(plant: pytest.MonkeyPatch) -> None:
    hand_out = Flow._hand_out

    def reversed_(self: Flow, connection: ConnectionId, backlog: Backlog) -> None:
        backlog.queue.reverse()
        hand_out(self, connection, backlog)

    plant.setattr(Flow, "_hand_out", reversed_)


def forgets_its_queue(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Flow, "_hand_out", lambda self, connection, backlog: backlog.queue.clear())


def drops_what_is_to_be_flushed(plant: pytest.MonkeyPatch) -> None:
    drop = Flow.drop

    def forget(self: Flow, connection: Connection, now: float) -> None:
        connection.flush = False
        drop(self, connection, now)

    plant.setattr(Flow, "drop", forget)


def speaks_to_who_is_closed(plant: pytest.MonkeyPatch) -> None:
    close = Closing._close

    def speak(self: Closing, connection: Connection, reason: CloseReason, now: float) -> None:
        close(self, connection, reason, now)
        self._shared.outbox.append(Transmit(connection.id, call("news", id=None)))

    plant.setattr(Closing, "_close", speak)


def forgets_requests_with_their_peer(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(OutgoingRequests, "drop", lambda self, connection, now: None)


def resolves_what_was_abandoned(plant: pytest.MonkeyPatch) -> None:
    abandon = OutgoingRequests.abandon

    def resolve(self: OutgoingRequests, request: OutgoingId, now: float) -> None:
        abandon(self, request, now)
        self._outbox.append(Resolve(request, ErrorObject.of(-32800)))

    plant.setattr(OutgoingRequests, "abandon", resolve)


def never_ends_a_silent_exchange(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Replies, "no_reply", lambda self, connection, batch: None)


def tells_progress_after_the_outcome(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Gateway, "progress", lambda self, call, value, now: True)


def forgets_the_ids_in_flight(plant: pytest.MonkeyPatch) -> None:
    admit = Calls.admit

    def anew(self: Calls, connection: Connection, *arguments: Any) -> None:
        known, connection.calls = connection.calls, {}
        admit(self, connection, *arguments)
        connection.calls = {**known, **connection.calls}

    plant.setattr(Calls, "admit", anew)


def closes_twice(plant: pytest.MonkeyPatch) -> None:
    close = Closing._close

    def again(self: Closing, connection: Connection, reason: CloseReason, now: float) -> None:
        close(self, connection, reason, now)
        self._shared.outbox.append(Disconnect(connection.id, reason))

    plant.setattr(Closing, "_close", again)


def cuts_its_replies(plant: pytest.MonkeyPatch) -> None:
    send = Flow.send
    plant.setattr(Flow, "send", lambda self, connection, data: send(self, connection, data[:-1]))


def accepts_whoever_comes(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Drain, "accepting", property(lambda self: True, lambda self, value: None), raising=False)


def lets_in_who_would_stay(plant: pytest.MonkeyPatch) -> None:
    connect = Openings.connect
    plant.setattr(
        Openings, "connect", lambda self, peer, now, *, draining, ahead: connect(self, peer, now, draining=False)
    )


def takes_a_late_result(plant: pytest.MonkeyPatch) -> None:
    def unfit(self: Outcomes, call: Call, now: float) -> ErrorObject:
        return ErrorObject.of(-32000)

    plant.setattr(Outcomes, "_timed_out", unfit)


def has_no_limit_to_replies(plant: pytest.MonkeyPatch) -> None:
    def result(self: Replies, connection: Connection, batch: Any, entry: int, id: WireId, result: bytes) -> None:
        self._flow.send(connection.id, encode_result(id, result))

    plant.setattr(Replies, "result", result)


def has_no_limit_to_batches(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Batch, "size", property(lambda self: -1000, lambda self, value: None))


def sends_followers_at_once(plant: pytest.MonkeyPatch) -> None:
    def follow(self: Followers, connection: Connection, number: CallId, payload: bytes, now: float) -> bool:
        return self._delivery.push(connection, payload, now)

    plant.setattr(Followers, "follow", follow)


def sends_followers_of_failures(plant: pytest.MonkeyPatch) -> None:
    replied = Followers.replied

    def always(self: Followers, connection: Connection, call: Call, now: float, *, result: bool) -> None:
        replied(self, connection, call, now, result=True)

    plant.setattr(Followers, "replied", always)


def forgets_followers(plant: pytest.MonkeyPatch) -> None:
    def forget(self: Followers, connection: Connection, call: Call, now: float, *, result: bool) -> None:
        call.followers = None

    plant.setattr(Followers, "replied", forget)


def calls_a_failure_a_result(plant: pytest.MonkeyPatch) -> None:
    complete = Outcomes.complete

    def completed(self: Outcomes, call: Call, result: object, now: float) -> bool:
        complete(self, call, result, now)
        return True

    plant.setattr(Outcomes, "complete", completed)


BUGS: tuple[tuple[Callable[[pytest.MonkeyPatch], None], Callable[[Desk], None], str], ...] = (
    (sends_followers_at_once, followers, "answering: an unexpected message was sent"),
    (sends_followers_of_failures, followers, "answering: an unexpected message was sent"),
    (forgets_followers, followers, "answering: an expected message was not sent"),
    (calls_a_failure_a_result, deadlines, "calls: the end of a handler was accepted or ignored wrongly"),
    (answers_twice, refusals, "answering: an unexpected message was sent"),
    (answers_somebody_else, progress, "answering: an unexpected message was sent"),
    (drops_the_outcome_of_a_cancelled_call, cancellation, "answering: an expected message was not sent"),
    (keeps_the_slot, slots, "calls: health counts other handlers than run"),
    (keeps_the_connections_slot, slots, "calls: a handler that may run was not started"),
    (answers_a_batch_short, batches, "answering: an unexpected message was sent"),
    (answers_a_batch_out_of_order, batches, "answering: an unexpected message was sent"),
    (lets_who_waits_wait, slots, "calls: a handler that may run was not started"),
    (starts_the_last_that_waits, slots, "calls: a handler that may run was not started"),
    (lets_one_more_wait, slots, "answering: an expected message was not sent"),
    (lets_one_more_wait, waiting_bytes, "answering: an expected message was not sent"),
    (ignores_deadlines, deadlines, "calls: a handler was not cancelled"),
    (forgets_to_arm, deadlines, "time: next_timeout is later than a deadline"),
    (ends_at_once, shut_down, "shutdown: Drained came while something was left"),
    (never_ends, shut_down, "shutdown: Drained is missing"),
    (never_ends, shut_down_in_time, "shutdown: Drained is missing"),
    (has_no_end_to_its_grace, shut_down, "calls: a handler was not cancelled"),
    (bids_nobody_farewell, shut_down, "shutdown: an idle connection was not closed"),
    (lets_calls_in_as_it_leaves, shut_down, "answering: an expected message was not sent"),
    (forgets_to_stop_who_runs, cancellation, "calls: a handler was not cancelled"),
    (forgets_to_stop_who_runs, disconnects, "calls: a handler was not cancelled"),
    (stops_who_is_to_finish, disconnects, "calls: a handler was cancelled that should run"),
    (turns_its_queue_over, slow_peers, "order: a message was sent before an earlier one"),
    (forgets_its_queue, slow_peers, "answering: an expected message was not sent"),
    (drops_what_is_to_be_flushed, closes, "answering: queued messages were not sent before a flushing close"),
    (speaks_to_who_is_closed, closes, "answering: a message was sent to a closed connection"),
    (forgets_requests_with_their_peer, disconnects, "answering: a request of the server got no outcome"),
    (resolves_what_was_abandoned, requests_of_ours, "answering: a request of the server got an unexpected outcome"),
    (never_ends_a_silent_exchange, exchanges, "answering: an expected message was not sent"),
    (tells_progress_after_the_outcome, progress, "answering: an expected message was not sent"),
    (has_no_limit_to_replies, limits, "answering: a reply is above its limit"),
    (has_no_limit_to_batches, limits, "answering: a batch reply is above its limit"),
    (closes_twice, closes, "order: a connection was closed twice"),
    (cuts_its_replies, refusals, "answering: a message is not JSON-RPC"),
    (accepts_whoever_comes, shut_down, "shutdown: "),
    (lets_in_who_would_stay, shut_down, "shutdown: a lasting connection was accepted"),
    (takes_a_late_result, deadlines, "answering: an unexpected message was sent"),
    (forgets_the_ids_in_flight, cancellation, "answering: an expected message was not sent"),
)


@pytest.mark.parametrize(("bug", "scenario", "sentence"), BUGS, ids=lambda part: getattr(part, "__name__", ""))
def test_the_model_finds_a_gateway_that(
    bug: Callable[[pytest.MonkeyPatch], None],
    scenario: Callable[[Desk], None],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bug(monkeypatch)
    with pytest.raises(Violation, match=f"^{sentence}"):
        scenario(Desk())


def tells_no_refusals(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Endings, "request", lambda self, request, connection, code, now, *, refused: None)


def tells_ends_twice(plant: pytest.MonkeyPatch) -> None:
    tell: Any = Endings.call

    def twice(self: Endings, *arguments: Any) -> None:
        tell(self, *arguments)
        tell(self, *arguments)

    plant.setattr(Endings, "call", twice)


def tells_results_only(plant: pytest.MonkeyPatch) -> None:
    tell: Any = Endings.call

    def result(self: Endings, call: Call, connection: Connection | None, *outcome: Any) -> None:
        tell(self, call, connection, "result", None, now=outcome[-1])

    plant.setattr(Endings, "call", result)


def tells_another_time(plant: pytest.MonkeyPatch) -> None:
    tell: Any = Endings._tell

    def earlier(self: Endings, *arguments: Any) -> None:
        tell(self, *arguments[:-1], arguments[-1] - 1.0)

    plant.setattr(Endings, "_tell", earlier)


ENDS: tuple[tuple[Callable[[pytest.MonkeyPatch], None], Callable[[Desk], None], str], ...] = (
    (tells_no_refusals, refusals, "calls: the end of a call was not told"),
    (tells_ends_twice, cancellation, "calls: an end was told that no call has"),
    (tells_ends_twice, disconnects, "calls: an end was told that no call has"),
    (tells_results_only, deadlines, "calls: the end of a call was not told"),
    (tells_results_only, shut_down, "calls: the end of a call was not told"),
    (tells_another_time, slots, "calls: the end of a call was not told"),
)


@pytest.mark.parametrize(("bug", "scenario", "sentence"), ENDS, ids=lambda part: getattr(part, "__name__", ""))
def test_the_model_finds_a_gateway_that_tells_ends_wrongly(
    bug: Callable[[pytest.MonkeyPatch], None],
    scenario: Callable[[Desk], None],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bug(monkeypatch)
    with pytest.raises(Violation, match=f"^{sentence}"):
        scenario(Desk(events=("call.ended",)))
