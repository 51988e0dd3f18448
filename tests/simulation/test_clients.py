"""Simulated clients: their messages, the outcomes of their calls, and the replies that are violations."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation import Client, Conditions, LinkConditions, PendingCall, Storm, World
from posthouse.adapters.simulation.chance import Seeded, Stream
from posthouse.adapters.simulation.clients.protocols.http import HttpProtocol
from posthouse.adapters.simulation.clients.protocols.pages import Page, draw_page
from posthouse.adapters.simulation.clients.protocols.protocol import HttpReply, Message, Pong, Transport
from posthouse.adapters.simulation.clients.refusals import Refusals
from posthouse.core import Config, Context, Service, UsageError
from posthouse.core.values.errors import REQUEST_TOO_LARGE

from .shop import every_transport, pushable_transports

every_pipe = pytest.mark.parametrize("transport", ["lines", "headers"])


def desk() -> Service:
    """Methods of which each shows something that a call can say."""
    service = Service("desk", public=True)

    @service.method
    def size(text: str) -> int:
        return len(text)

    @service.method
    def add(a: int, b: int) -> int:
        return a + b

    @service.method
    def anything(value: Any) -> None:
        return None

    @service.method
    def limited(timeout_ms: int, params: str) -> str:
        return f"{params} within {timeout_ms}"

    @service.method
    def climb(context: Context, steps: int) -> list[bool]:
        return [context.progress(step / steps, f"step {step}") for step in range(steps)]

    @service.method
    def marks(context: Context, progress: bool = False) -> list[Any]:
        context.notify("$/progress", {"token": "of its own", "value": 1})
        return [context.meta.idempotency_key, context.meta.traceparent, context.meta.timeout_ms]

    return service


def code(call: Any) -> int | None:
    """That of the error with which this call has ended."""
    return None if call.error is None else call.error.code


# What is refused without an id


@every_pipe
def test_a_call_that_is_too_large_is_refused_and_its_neighbours_succeed(transport: Transport) -> None:
    world = World(service=desk(), config=Config(max_message_bytes=500))
    alice = world.client("alice", transport)
    alice.notify("size", "y" * 600)
    calls = [alice.call("size", "y" * size) for size in (10, 600, 20, 700)]
    world.run(1)
    assert [(call.status, code(call)) for call in calls] == [
        ("result", None),
        ("error", -32007),
        ("result", None),
        ("error", -32007),
    ]
    world.finish()


@pushable_transports
def test_a_batch_that_is_too_large_ends_all_of_its_calls(transport: Transport) -> None:
    world = World(service=desk(), config=Config(max_batch=3))
    alice = world.client("alice", transport)
    small = alice.batch([("add", [1, 2])] * 3)
    large = alice.batch([("add", [1, 2])] * 3, [("size", ["x"])])
    world.run(1)
    assert [call.result for call in small] == [3, 3, 3]
    assert [code(call) for call in large] == [-32010] * 3
    world.finish()


@pushable_transports
def test_a_call_that_is_nested_too_deep_is_refused(transport: Transport) -> None:
    world = World(service=desk(), config=Config(max_depth=4))
    alice = world.client("alice", transport)
    flat, deep = alice.call("anything", [1]), alice.call("anything", [[[1]]])
    world.run(1)
    assert (flat.status, code(deep)) == ("result", -32700)
    world.finish()


@pushable_transports
def test_calls_with_too_long_ids_are_refused_one_by_one(transport: Transport) -> None:
    world = World(service=desk(), config=Config(max_id_bytes=24))
    alice = world.client("alice of a very long name", transport)
    assert alice.batch([]) == []
    single, batch = alice.call("add", 1, 2), alice.batch([("add", [1, 2]), ("add", [3, 4])], [("add", [5, 6])])
    world.run(1)
    assert [code(call) for call in (single, *batch)] == [-32600] * 3
    assert alice._refusals._expected == []
    world.settle()


@pytest.mark.parametrize("seed", [9, 89, 156, 185])
def test_refusals_of_a_correct_server_fail_no_storm(seed: int) -> None:
    def workload(client: Client) -> None:
        client.call("size", "y" * client.stream.pick((10, 1000, 4000)))

    assert Storm(seed, service=desk(), workload=workload).run(8.0).steps > 0


def test_a_refusal_without_a_cause_is_a_violation() -> None:
    alice = World(service=desk()).client("alice")
    told = Message(b'{"jsonrpc":"2.0","error":{"code":-32007,"message":"Request too large"},"id":null}')
    with pytest.raises(Violation, match="a client got an error without an id that no message of its own caused"):
        alice._on_event(told)
    alice.broke_protocol = True
    alice._on_event(told)


@every_pipe
def test_texts_before_the_end_of_the_input_are_answered(transport: Transport) -> None:
    world = World(service=desk(), conditions=Conditions(links=LinkConditions(capacity=100)))
    alice = world.client("alice", transport)
    call = alice.call("size", "y" * 5000)
    alice.half_close()
    late = alice.call("size", "y")
    world.run(10)
    assert (call.result, late.status) == (5000, "lost")


def test_a_call_that_cannot_be_encoded_is_not_pending() -> None:
    world = World(service=desk())
    alice = world.client("alice")
    with pytest.raises(TypeError):
        alice.call("anything", object())
    assert alice.pending == []
    world.finish()


@every_transport
def test_some_entries_of_a_batch_may_be_refused(transport: Transport) -> None:
    world = World(service=desk(), config=Config(max_method_bytes=24))
    alice = world.client("alice", transport)
    alice.notify("")
    calls = alice.batch([("add", [1, 2]), ("m" * 30, []), ("add", [3, 4])], [("m" * 30, [])])
    world.run(1)
    assert [(call.status, code(call)) for call in calls] == [("result", None), ("error", -32600), ("result", None)]
    world.finish()


# Over HTTP


def test_over_http_a_refusal_ends_the_calls_of_its_request() -> None:
    world = World(service=desk(), config=Config(max_body_bytes=500, max_batch=2))
    alice = world.client("alice", "http")
    large = alice.call("size", "y" * 600)
    world.run(1)
    batch = alice.batch([("add", [1, 2])] * 3)
    world.run(1)
    assert [code(call) for call in (large, *batch)] == [-32007, -32010, -32010, -32010]
    world.finish()


def test_a_plain_text_refusal_must_have_a_matching_status() -> None:
    world = World(service=desk(), config=Config(max_target_bytes=3))
    alice = world.client("alice", "http")
    call = alice.call("add", 1, 2)
    world.run(1)
    assert call.error is not None
    assert call.error.data == {"status": 414}
    world.settle()


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (b'{"id":1,"method":"m"}', 503, b'{"id":"1","result":0}'),
        (b'{"id":1,"method":"m"}', 200, b'{"id":null,"error":{"code":-32700,"message":""}}'),
        (b'{"id":1,"method":"m"}', 400, b'{"id":"1","error":{"code":7,"message":""}}'),
        (b'[{"id":1,"method":"m"}]', 400, b"[]"),
        (b'[{"id":1,"method":"m"}]', 204, None),
        (b'{"id":1,"method":"m"}', 200, None),
        (b'{"id":1,"method":"m"}', 404, None),
        (b'{"method":"m"}', 200, b'{"id":null,"result":0}'),
    ],
)
def test_a_wrong_status_is_a_violation(said: bytes, status: int, body: bytes | None) -> None:
    alice = World(service=desk()).client("alice", "http")
    with pytest.raises(Violation, match="the HTTP status does not match the reply"):
        alice._on_event(HttpReply(said, status, body))
    alice.broke_protocol = True
    alice._on_event(HttpReply(said, status, body))


HOST = b"localhost"


@pytest.mark.parametrize(
    ("page", "status", "body"),
    [
        (Page(HOST, b"http://other.example", foreign=True), 200, b'{"id":"1","result":0}'),
        (Page(HOST, b"http://other.example", foreign=True), 204, None),
        (Page(HOST, b"http://other.example", foreign=True), 503, b'{"id":null,"error":{"code":-32009,"message":""}}'),
        (Page(HOST, chunk=20), 411, None),
        (Page(HOST, b"http://localhost"), 411, None),
    ],
)
def test_an_answer_that_this_page_may_not_get_is_a_violation(page: Page, status: int, body: bytes | None) -> None:
    alice = World(service=desk()).client("alice", "http")
    with pytest.raises(Violation, match="answering: "):
        alice._on_event(HttpReply(b'{"id":1,"method":"m"}', status, body, page))


def asks_as(page: Page, stream: Stream, now: float) -> HttpProtocol:
    return HttpProtocol(page)


def test_a_page_that_may_not_call_is_refused_and_one_whose_chunks_are_not_allowed() -> None:
    foreign = Page(HOST, b"http://other.example", foreign=True)
    for page, config in ((foreign, Config()), (Page(HOST, chunk=20), Config(allow_chunked=False))):
        world = World(service=desk(), config=config)
        alice = world.client("alice", "http")
        alice.new_protocol = partial(asks_as, page)
        call = alice.call("add", 1, 2)
        world.run(1.0)
        assert call.status == "error"
        world.finish()


def test_a_page_writes_a_body_in_chunks_without_its_length() -> None:
    request = b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
    chunked = b"POST /rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert Page(HOST).write(request) == request
    assert Page(HOST, chunk=3).write(request) == chunked


def test_pages_differ_and_some_may_not_call() -> None:
    stream = Seeded(1).stream("pages")
    pages = [draw_page(HOST, stream, 500) for _ in range(100)]
    assert {page.origin for page in pages if not page.foreign} == {None, b"http://localhost", b"https://localhost:443"}
    assert any(
        draw_page(HOST, stream, origins=(b"https://a.example",)).origin == b"https://a.example" for _ in range(50)
    )
    assert {page.host for page in pages if not page.foreign} == {b"localhost", b"LOCALHOST"}
    assert {page.media for page in pages if not page.foreign} == {
        b"application/json",
        b"application/json-rpc",
        b"Application/JSON; charset=UTF-8",
    }
    foreign = {(page.host, page.origin, page.media) for page in pages if page.foreign}
    assert foreign == {
        (HOST, b"http://other.example", b"application/json"),
        (HOST, b"http://localhost:8001", b"application/json"),
        (HOST, b"null", b"application/json"),
        (b"other.example", b"http://other.example", b"application/json"),
        (HOST, None, b"text/plain"),
    }
    assert not any(draw_page(HOST, stream).foreign for _ in range(100))


def test_a_reply_that_is_not_json_is_a_violation() -> None:
    alice = World(service=desk()).client("alice", "http")
    with pytest.raises(Violation, match="the server sent a text that is not JSON"):
        alice._on_event(HttpReply(b"{}", 200, b"{"))


# Pings


def test_pings_are_answered_in_order_and_those_above_the_burst_by_a_later_pong() -> None:
    world = World(service=desk(), config=Config(control_burst=2, control_rate=1.0))
    alice = world.client("alice")
    pings = [alice.ping() for _ in range(4)]
    world.run(0.5)
    assert [ping.status for ping in pings] == ["result", "result", "pending", "pending"]
    assert alice.pending == pings[2:]
    world.run(5)
    assert [ping.result for ping in pings] == [pings[0].id, pings[1].id, pings[3].id, pings[3].id]
    assert alice.connections == 1
    world.finish()


def test_a_ping_is_lost_with_its_connection() -> None:
    world = World(service=desk())
    alice = world.client("alice")
    ping = alice.ping()
    world.cut("alice")
    world.shut_down()
    world.run(60)
    nobody = alice.ping()
    assert (ping.status, nobody.status) == ("lost", "lost")


@pytest.mark.parametrize("transport", ["http", "lines", "headers"])
def test_only_a_websocket_has_pings(transport: Transport) -> None:
    alice = World(service=desk()).client("alice", transport)
    with pytest.raises(UsageError, match="alice cannot ping: only a WebSocket has pings"):
        alice.ping()


def test_an_unrequested_or_repeated_pong_is_a_violation() -> None:
    world = World(service=desk())
    alice = world.client("alice")
    ping = alice.ping()
    world.run(1)
    assert ping.status == "result"
    with pytest.raises(Violation, match="a client got a pong that matches no ping"):
        alice._on_event(Pong(ping.id.encode()))
    alice.broke_protocol = True
    alice._on_event(Pong(b""))


def test_a_missing_pong_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(service=desk())
    alice = world.client("alice")
    ping = alice.ping()
    monkeypatch.setattr(alice._pings, "answered", lambda payload, now: True)
    with pytest.raises(Violation, match="every call gets an outcome"):
        world.finish()
    assert ping.status == "pending"


# What accompanies a call


@pushable_transports
def test_a_call_with_a_token_gets_progress(transport: Transport) -> None:
    world = World(service=desk())
    alice = world.client("alice", transport)
    calls = [alice.call("climb", 2, progress_token=token) for token in ("7", 7, None)]
    world.run(1)
    assert [call.result for call in calls] == [[True, True], [True, True], [False, False]]
    told = [{"fraction": 0.0, "message": "step 0"}, {"fraction": 0.5, "message": "step 1"}]
    assert [call.progress for call in calls] == [told, told, []]
    assert not alice.notifications
    world.finish()


def test_over_http_no_call_gets_progress() -> None:
    world = World(service=desk())
    call = world.client("alice", "http").call("climb", 2, progress_token="7")
    world.run(1)
    assert (call.result, call.progress) == ([False, False], [])
    world.finish()


def test_progress_with_an_unknown_token_is_a_notification() -> None:
    world = World(service=desk())
    alice = world.client("alice")
    call = alice.call("marks")
    world.run(1)
    assert list(alice.notifications) == [("$/progress", {"token": "of its own", "value": 1})]
    assert call.progress == []


@every_transport
def test_a_handler_sees_the_metadata_of_its_call(transport: Transport) -> None:
    world = World(service=desk())
    alice = world.client("alice", transport)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    keyed = alice.call("marks", idempotency_key="once")
    marked = alice.call("marks", traceparent=trace, timeout_ms=500)
    plain = alice.call("marks")
    world.run(1)
    reason = "a caller without a user and without a session has no keys"  # it has arrived
    assert keyed.error is not None
    assert keyed.error.data == {"parameter": "meta.idempotency_key", "reason": reason}
    assert marked.result == [None, trace, 500]
    assert plain.result == [None, None, None]


def test_parameters_may_have_the_names_of_metadata() -> None:
    world = World(service=desk())
    alice = world.client("alice")
    call = alice.call("limited", params={"timeout_ms": 5, "params": "all"})
    world.run(1)
    assert call.result == "all within 5"
    with pytest.raises(TypeError):
        alice.call("limited", 5, params={"params": "all"})


def test_a_batch_takes_parameters_by_position_and_by_name() -> None:
    world = World(service=desk())
    calls = world.client("alice").batch([("add", [1, 2]), ("add", {"a": 3, "b": 4}), ("add", (5, 6))])
    world.run(1)
    assert [call.result for call in calls] == [3, 7, 11]


@pytest.mark.parametrize("wrong", ["add", ("add",), ("add", 1, 2), ("add", "12"), (7, []), {"add": [1, 2]}])
def test_a_batch_of_anything_but_pairs_is_refused(wrong: Any) -> None:
    alice = World(service=desk()).client("alice")
    with pytest.raises(UsageError, match="a batch takes pairs of a method and its parameters"):
        alice.batch([("add", [1, 2]), wrong])
    with pytest.raises(UsageError, match="a batch takes pairs"):
        alice.batch([("add", [1, 2])], [wrong])
    assert (alice.pending, alice.connections) == ([], 0)


def test_storms_send_pings_and_progress_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[PendingCall] = []
    ping, call = Client.ping, Client.call

    def counted_ping(self: Client) -> PendingCall:
        made.append(ping(self))
        return made[-1]

    def counted_call(self: Client, *args: Any, **kwargs: Any) -> PendingCall:
        made.append(call(self, *args, **kwargs))
        return made[-1]

    monkeypatch.setattr(Client, "ping", counted_ping)
    monkeypatch.setattr(Client, "call", counted_call)
    wanted = {
        "a ping with its pong": lambda each: each.method == "ping" and each.status == "result",
        "a call with its progress": lambda each: each.method == "tell" and len(each.progress) > 1,
    }
    for seed in range(16):
        Storm(seed).run(10.0)
        wanted = {name: seen for name, seen in wanted.items() if not any(map(seen, made))}
        if not wanted:
            return
    pytest.fail(f"in 16 storms there was no {' and no '.join(wanted)}")


def test_a_refusal_that_must_come_is_taken_before_one_that_may_come() -> None:
    config = Config(
        require_authentication=True, max_message_bytes=200, max_body_bytes=200, max_message_bytes_unauthenticated=100
    )
    refusals = Refusals(config)
    large, too_large = (PendingCall(name, "size", [], 0.0) for name in ("large", "too large"))
    for call, size in ((large, 150), (too_large, 300)):
        refusals.sent(b'{"jsonrpc":"2.0","method":"size","id":1}'.ljust(size), [call])
    assert refusals.take(REQUEST_TOO_LARGE) == [too_large]
    assert refusals.take(REQUEST_TOO_LARGE) == [large]
    assert refusals.take(REQUEST_TOO_LARGE) is None
