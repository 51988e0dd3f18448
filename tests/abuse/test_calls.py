"""Calls that flood, never end, end twice or come to nothing: slots, deadlines, and exactly one outcome."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import decode
from posthouse.core import CallFailed, CallTimedOut, Config, Identity, RpcError, Service
from posthouse.core.values.errors import INTERNAL_ERROR

from tests.transports.board import Board, Browser, call, post

from .attacker import Attacker, Held, close_codes, content, peak, status

ALONE = Config(heartbeat_interval=None)


def code(answer: Any) -> int | None:
    """The error's code, None for a result."""
    found: int | None = answer.get("error", {}).get("code")
    return found


# Floods


def test_row_21_beyond_what_may_wait_calls_are_refused_and_all_others_complete_in_order() -> None:
    board = Held()
    attacker = Attacker(board)
    refused: list[Any] = []
    for number in range(330):
        found = attacker.say(call("later", b"[%d]" % number, b"%d" % number))
        refused += [decode(payload) for _, payload in found]
    assert [(answer["id"], code(answer)) for answer in refused] == [(number, -32009) for number in range(320, 330)]
    assert {answer["error"]["data"]["limit"] for answer in refused} == {"max_waiting_calls"}
    done = 0
    while board.waiting:
        assert board.board.health(0.0).calls == len(board.waiting) <= 64
        invoke = board.waiting.pop(0)
        assert invoke.args == (done,)
        board.board.complete(invoke.call, done, 0.0)
        board.run()
        done += 1
    assert [answer["result"] for answer in attacker.messages()] == list(range(320))
    assert board.board.health(0.0).waiting == 0


def test_row_21_what_waits_is_bounded_in_bytes_too() -> None:
    board = Held(Config(max_calls_per_connection=1, max_waiting_bytes=1_000))
    attacker = Attacker(board)
    attacker.tell(call("later"))
    attacker.tell(call("later", b'["%b"]' % (b"x" * 996), b"2"))
    attacker.tell(call("later", b"[]", b"3"))
    (answer,) = attacker.messages()
    assert (answer["id"], code(answer), answer["error"]["data"]["limit"]) == (3, -32009, "max_waiting_bytes")


def test_row_21_handlers_of_all_connections_together_are_bounded_and_http_says_503() -> None:
    board = Held(Config(max_calls=2))
    first, second = Attacker(board), Attacker(board)
    first.tell(call("later"))
    second.tell(call("later"))
    second.tell(call("later", id=b"2"))
    (answer,) = second.messages()
    assert (code(answer), answer["error"]["data"]["limit"]) == (-32009, "max_calls")
    busy = board.feed(board.open(), post(call("later")))
    assert status(busy) == 503
    assert b"Retry-After: 1\r\n" in busy


def test_row_21_64_handlers_that_each_await_an_answer_of_this_client_are_all_answered() -> None:
    board = Held()
    attacker = Attacker(board)
    for number in range(100):
        attacker.tell(call("later", id=b"%d" % number))
    asked = [
        board.board.request(invoke.caller.connection, "question", {}, 0.0, timeout=5.0) for invoke in board.waiting
    ]
    board.run()
    assert [question["id"] for question in attacker.messages()] == asked
    assert len(asked) == 64
    for request in asked:
        attacker.tell(b'{"jsonrpc":"2.0","result":42,"id":%d}' % request)
    assert [(resolve.request, resolve.outcome) for resolve in board.resolved()] == [(id, b"42") for id in asked]


def test_row_21_calls_that_are_cancelled_10_000_times_never_have_more_handlers_than_the_cap() -> None:
    board = Held(ALONE)
    attacker = Attacker(board)
    answered = 0

    def churn() -> None:
        nonlocal answered
        for number in range(10_000):
            attacker.tell(call("later", id=b"%d" % number))
            found = attacker.say(call("$/cancelRequest", b'{"id":%d}' % number, None))
            answered += sum(code(decode(payload)) == -32800 for _, payload in found)
            assert board.board.health(0.0).calls <= 64
            board.actions.clear()

    churn()
    assert len(board.waiting) == 64
    assert answered == 10_000
    assert board.board.health(0.0).waiting == 0
    for invoke in board.waiting:
        assert not board.board.complete(invoke.call, "too late", 0.0)
    assert board.board.health(0.0).calls == 0
    assert peak(lambda: attacker.say(call("later"))) < 64 * 1024


def test_row_21_a_cancellation_reaches_a_call_that_waits_behind_a_full_house() -> None:
    board = Held(Config(max_calls_per_connection=1))
    attacker = Attacker(board)
    for number in (1, 2, 3):
        attacker.tell(call("later", b"[%d]" % number, b"%d" % number))
    attacker.tell(call("rpc.cancel", b'{"id":2}', b"9"))
    cancelled, told = attacker.messages()
    assert (cancelled["id"], code(cancelled)) == (2, -32800)
    assert told["result"] == {"cancelled": True}
    assert board.cancelled() == []
    board.board.complete(board.waiting[0].call, 1, 0.0)
    board.run()
    assert board.waiting[1].args == (3,)


def test_row_22_who_calls_too_often_is_refused_then_closed_and_others_are_unaffected() -> None:
    board = Board(Config(call_rate=10.0, heartbeat_interval=None))
    flooding, calm = Attacker(board), Browser(board)
    closed: list[int] = []
    for tick in range(1_000):
        if tick % 10 == 0:
            assert calm.send(call("add", b"[1,2]")) == [b'{"jsonrpc":"2.0","result":3,"id":1}']
        for _ in range(2):
            found = flooding.say(call("add", b"[1,2]"))
            closed += close_codes(found)
            for answer in [decode(payload) for first, payload in found if first == 0x81]:
                if code(answer) is not None:
                    assert code(answer) == -32029
                    assert 0 < answer["error"]["data"]["retry_after_ms"] <= 101
        if closed:
            break
        board.pass_time(0.1)
    assert closed == [4429]
    assert board.now == pytest.approx(10.5, abs=1.0)
    assert calm.send(call("add", b"[1,2]")) != []


def test_row_22_a_user_has_one_rate_over_every_transport_and_another_user_another() -> None:
    board = Board(Config(call_rate=4.0), identity=Identity("eve"))
    attacker = Attacker(board)
    for _ in range(4):
        attacker.tell(call("add", b"[1,2]"))
    assert [code(answer) for answer in attacker.messages()] == [None] * 4
    refused = board.feed(board.open(), post(call("add", b"[1,2]")))
    assert status(refused) == 429
    assert b"Retry-After: 1\r\n" in refused
    assert content(refused)["error"]["code"] == -32029


def test_row_22_over_http_whoever_floods_is_answered_429_first_and_then_closed() -> None:
    board = Board(Config(call_rate=2.0, heartbeat_interval=None), identity=Identity("eve"))
    socket = board.open()
    while not board.closed:
        answer = board.feed(socket, post(call("add", b"[1,2]")))
        assert status(answer) in (200, 429)
        board.pass_time(0.1)
    assert status(answer) == 429
    assert board.now == pytest.approx(10.5, abs=0.5)
    assert board.closed == {socket: True}


def test_row_22_methods_that_there_are_not_are_charged_too() -> None:
    attacker = Attacker(Board(Config(call_rate=2.0)))
    for _ in range(4):
        attacker.tell(call("nowhere"))
    assert [code(answer) for answer in attacker.messages()] == [-32601, -32601, -32029, -32029]


def test_row_22_each_entry_of_a_batch_is_charged() -> None:
    attacker = Attacker(Board(Config(call_rate=3.0)))
    attacker.tell(b"[%b]" % b",".join(call("add", b"[1,2]", b"%d" % number) for number in range(5)))
    (reply,) = attacker.messages()
    assert [code(answer) for answer in reply] == [None, None, None, -32029, -32029]


# Handlers that do not behave


def test_row_42_a_handler_that_never_returns_is_answered_at_its_deadline_and_holds_its_slot_until_it_ends() -> None:
    board = Held(Config(heartbeat_interval=None, max_calls_per_connection=1))
    attacker = Attacker(board)
    attacker.tell(call("later"))
    board.pass_time(29.999)
    assert attacker.frames() == []
    board.pass_time(0.001)
    (answer,) = attacker.messages()
    assert code(answer) == -32030
    (invoke,) = board.waiting
    assert board.cancelled() == [invoke.call]
    assert [type(event) for event in board.events()][-1] is CallTimedOut
    attacker.tell(call("later"))
    assert board.waiting == [invoke]
    assert board.board.health(board.now).calls == 1
    assert not board.board.complete(invoke.call, "at last", board.now)
    board.run()
    assert len(board.waiting) == 2
    assert attacker.messages() == []


def test_row_42_a_call_that_waits_has_the_same_deadline_and_a_caller_can_only_shorten_it() -> None:
    board = Held(Config(heartbeat_interval=None, max_calls_per_connection=1))
    attacker = Attacker(board)
    attacker.tell(call("later"))
    attacker.tell(call("later", id=b"2"))
    attacker.tell(b'{"jsonrpc":"2.0","method":"later","id":3,"meta":{"timeout_ms":1500}}')
    attacker.tell(b'{"jsonrpc":"2.0","method":"later","id":4,"meta":{"timeout_ms":600000}}')
    board.pass_time(1.499)
    assert attacker.frames() == []
    board.pass_time(0.001)
    assert [(answer["id"], code(answer)) for answer in attacker.messages()] == [(3, -32030)]
    board.pass_time(28.5)
    assert [(answer["id"], code(answer)) for answer in attacker.messages()] == [(1, -32030), (2, -32030), (4, -32030)]


def test_row_43_an_inline_handler_that_blocks_beyond_its_deadline_is_answered_so_when_it_returns() -> None:
    service = Service("blocking", public=True)

    @service.method(timeout=2.0)
    def block() -> str:
        board.now += 3.0
        return "done"

    board = Board(ALONE, service=service)
    assert [code(decode(text)) for text in Browser(board).send(call("block"))] == [-32030]
    assert board.board.health(board.now).calls == 0


def test_row_43_a_worker_that_blocks_is_answered_on_time_and_holds_its_slot() -> None:
    service = Service("blocking", public=True)

    @service.method(timeout=2.0, blocking=True)
    def block() -> None: ...

    board = Held(ALONE, service=service)
    attacker = Attacker(board)
    attacker.tell(call("block"))
    board.pass_time(2.0)
    assert [code(answer) for answer in attacker.messages()] == [-32030]
    assert board.board.health(board.now).calls == 1
    assert not board.board.complete(board.waiting[0].call, None, board.now)
    assert board.board.health(board.now).calls == 0


def test_row_44_what_a_handler_raised_is_an_internal_error_with_an_incident_and_siblings_are_untouched() -> None:
    board = Held()
    attacker = Attacker(board)
    attacker.tell(call("later", id=b"1"))
    attacker.tell(call("later", id=b"2"))
    failing, sibling = board.waiting
    board.board.fail(failing.call, RpcError(INTERNAL_ERROR, data={"incident": "ab12"}), 0.0)
    board.board.complete(sibling.call, "untouched", 0.0)
    board.run()
    failed, answered = attacker.messages()
    assert failed["error"] == {"code": -32603, "message": "Internal error", "data": {"incident": "ab12"}}
    assert answered["result"] == "untouched"
    events = [event for event in board.events() if isinstance(event, CallFailed)]
    assert [event.incident for event in events] == ["ab12"]
