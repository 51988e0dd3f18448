"""Calls that this process makes itself: through the gateway like any other, and without a socket."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.adapters.invariants import check, check_at_rest
from posthouse.core import (
    CallCancelled,
    Config,
    ConnectionClosed,
    ConnectionId,
    ConnectionOpened,
    ErrorObject,
    Identity,
    RpcError,
    UsageError,
)
from posthouse.core.values.errors import refusal
from posthouse.transports import Policy, Reply

from tests.transports.board import PIPE, Board

ADA = Identity("ada", ("reports",))


def ask(board: Board, method: str, params: object = None, **options: Any) -> ConnectionId:
    connection = board.board.call(method, params, board.now, **options)
    board.run()
    check(board.board)
    return connection


def replies(board: Board) -> list[Reply]:
    found = [action for action in board.actions if isinstance(action, Reply)]
    board.actions = [action for action in board.actions if not isinstance(action, Reply)]
    return found


def test_a_call_gets_its_result_on_a_connection_of_its_own_that_then_ends() -> None:
    board = Board()
    first = ask(board, "add", [1, 2])
    second = ask(board, "add", {"a": 3, "b": 4})
    assert replies(board) == [Reply(first, b"3"), Reply(second, b"7")]
    events = board.events()
    opened = [event for event in events if isinstance(event, ConnectionOpened)]
    closed = [event for event in events if isinstance(event, ConnectionClosed)]
    assert [(event.connection, event.kind, event.user) for event in opened] == [
        (first, "local", None),
        (second, "local", None),
    ]
    assert [(event.connection, event.code, event.calls) for event in closed] == [(first, None, 1), (second, None, 1)]
    check_at_rest(board.board)
    assert board.written == {}


def test_a_call_may_wait_and_its_caller_is_the_identity() -> None:
    board = Board()
    connection = ask(board, "later", [[1]], identity=ADA)
    assert replies(board) == []
    (invoke,) = board.waiting
    assert (invoke.caller.connection, invoke.caller.kind, invoke.caller.identity) == (connection, "local", ADA)
    board.board.complete(invoke.call, {"id": 1}, 1.0)
    board.run()
    assert replies(board) == [Reply(connection, b'{"id":1}')]


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("missing", None, ErrorObject(-32601, "Method not found")),
        (
            "secret",
            None,
            ErrorObject(-32020, "Unauthenticated", {"requires": "authentication", "scopes": ["reports"]}),
        ),
        ("add", [1], None),
    ],
)
def test_an_error_is_that_which_a_client_gets(method: str, params: object, error: ErrorObject | None) -> None:
    board = Board()
    ask(board, method, params)
    ((outcome,),) = [(reply.outcome,) for reply in replies(board)]
    assert isinstance(outcome, ErrorObject)
    assert outcome == error if error is not None else outcome.code == -32602


def test_a_built_in_method_is_answered_at_once_and_the_identity_of_the_policy_is_the_default() -> None:
    board = Board(policy=Policy(identity=ADA))
    connection = ask(board, "connection.info")
    (reply,) = replies(board)
    assert reply.connection == connection
    assert isinstance(reply.outcome, bytes)
    assert b'"kind":"local","user":"ada"' in reply.outcome
    ask(board, "secret")
    assert [reply.outcome for reply in replies(board)] == [b'"secret"']


def test_a_call_ends_at_its_timeout_which_can_only_shorten_its_deadline() -> None:
    board = Board(Config(call_timeout=2.0))
    short, long = ask(board, "later", timeout=0.5), ask(board, "later", timeout=60.0)
    board.pass_time(0.4)
    assert replies(board) == []
    board.pass_time(0.2)
    assert replies(board) == [Reply(short, refusal(-32030))]
    board.pass_time(2.0)
    assert replies(board) == [Reply(long, refusal(-32030))]
    for invoke in board.waiting:
        board.board.fail(invoke.call, RpcError(-32800), board.now)
    board.run()
    check_at_rest(board.board)


def test_a_call_that_is_hung_up_is_cancelled_and_has_no_reply() -> None:
    board = Board()
    connection, other = ask(board, "later"), ask(board, "finish")
    for each in (connection, other, connection):
        board.board.hang_up(each, 0.0)
        board.run()
        check(board.board)
    (first, second) = board.waiting
    assert board.cancelled() == [first.call]
    cancelled = [event.call for event in board.events() if isinstance(event, CallCancelled)]
    assert cancelled == [first.call]
    for invoke in (first, second):
        board.board.complete(invoke.call, None, 0.0)
    board.run()
    assert replies(board) == []
    check_at_rest(board.board)


def test_a_connection_that_a_limit_refuses_gets_the_error_of_the_limit() -> None:
    board = Board(Config(max_connections=1))
    first, second = ask(board, "later"), ask(board, "add", [1, 2])
    text = "the server has too many connections"
    assert replies(board) == [Reply(second, ErrorObject(-32009, "Server busy", {"retryable": True, "reason": text}))]
    assert len(board.waiting) == 1
    board.board.complete(board.waiting[0].call, 1, 0.0)
    board.run()
    assert replies(board) == [Reply(first, b"1")]
    check_at_rest(board.board)


def test_a_shut_down_refuses_new_calls_waits_for_those_that_run_and_ends_them_with_the_grace() -> None:
    board = Board(Config(drain_grace=1.0, drain_timeout=5.0))
    first = ask(board, "later")
    board.board.shut_down(0.0)
    board.run()
    second = ask(board, "add", [1, 2])
    assert replies(board) == [Reply(second, refusal(-32050))]
    board.pass_time(1.0)
    assert replies(board) == [Reply(first, refusal(-32050))]
    assert board.cancelled() == [board.waiting[0].call]
    board.board.complete(board.waiting.pop().call, None, board.now)
    board.run()
    check_at_rest(board.board)


def test_a_call_that_holds_up_a_shut_down_is_closed_when_its_time_is_over() -> None:
    board = Board(Config(drain_grace=9.0, drain_timeout=2.0))
    connection = ask(board, "later")
    board.board.shut_down(0.0)
    board.run()
    board.pass_time(2.0)
    (reply,) = replies(board)
    assert reply == Reply(connection, refusal(-32050, reason="the shut-down is out of time"))


def test_a_call_has_one_reply_when_the_grace_and_the_time_of_a_shut_down_end_together() -> None:
    board = Board(Config(drain_grace=2.0, drain_timeout=2.0))
    connection = ask(board, "later")
    board.board.shut_down(0.0)
    board.run()
    board.pass_time(2.0)
    assert replies(board) == [Reply(connection, refusal(-32050))]
    board.board.complete(board.waiting.pop().call, None, board.now)
    board.run()
    check_at_rest(board.board)


@pytest.mark.parametrize(
    ("method", "params", "options", "mistake"),
    [
        ("", None, {}, "a method's name must not be empty"),
        ("add", 1, {}, "must be an array or an object"),
        ("add", [object()], {}, "cannot be encoded as JSON"),
        ("add", None, {"timeout": 0}, "timeout is 0: it must be a finite number of seconds above 0"),
        ("add", None, {"timeout": float("inf")}, "timeout is inf: it must be a finite number"),
        ("add", None, {"timeout": 1e306}, "timeout is 1e[+]306: it must be a finite number"),
        ("add", None, {"timeout": float("nan")}, "timeout is nan: it must be a finite number"),
        ("add", None, {"identity": "ada"}, r"identity is 'ada': give an Identity, such as Identity\('ada'\)"),
    ],
)
def test_misuse_changes_nothing(method: str, params: object, options: dict[str, Any], mistake: str) -> None:
    board = Board()
    with pytest.raises(UsageError, match=mistake):
        board.board.call(method, params, 0.0, **options)
    assert board.board.outbox == []
    check_at_rest(board.board)


def test_what_never_was_a_local_call_cannot_be_hung_up() -> None:
    board = Board()
    board.open(PIPE)
    for connection in (0, 1, 7):
        with pytest.raises(UsageError, match=f"there never was a local call on connection {connection}"):
            board.board.hang_up(ConnectionId(connection), 0.0)


def test_a_local_call_cannot_be_pushed_to() -> None:
    board = Board()
    connection = ask(board, "later")
    assert not board.board.notify(connection, "news", None, 0.0)
    assert board.board.broadcast("news", None, 0.0, kinds=["local"]) == 0
