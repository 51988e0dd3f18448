"""Calls that end in several ways at once, or in something that cannot be said: exactly one outcome."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import permutations
from typing import Any

import pytest
from msgspec.json import decode
from posthouse.core import Config, Invoke, UsageError
from posthouse.core.values.peers import SocketId

from tests.transports.board import Board, Browser, call, post

from .attacker import Attacker, Held, answers, status

ALONE = Config(heartbeat_interval=None)


def code(answer: Any) -> int | None:
    """The error's code, None for a result."""
    found: int | None = answer.get("error", {}).get("code")
    return found


def completes(board: Held, browser: Browser, invoke: Invoke) -> None:
    board.board.complete(invoke.call, "done", board.now)


def cancels(board: Held, browser: Browser, invoke: Invoke) -> None:
    if browser.socket in board.written:
        with suppress(UsageError):  # it was told to leave and sends nothing more
            browser.client.send(call("$/cancelRequest", b'{"id":1}', None))
        browser.exchange()


def expires(board: Held, browser: Browser, invoke: Invoke) -> None:
    board.pass_time(30.0)


def drains(board: Held, browser: Browser, invoke: Invoke) -> None:
    board.board.shut_down(board.now, grace=0.0)
    board.run()
    board.pass_time(0.0)


def disconnects(board: Held, browser: Browser, invoke: Invoke) -> None:
    board.drop(browser.socket)


STEPS: tuple[Callable[[Held, Browser, Invoke], None], ...] = (completes, cancels, expires, drains, disconnects)
FIRST: dict[Callable[[Held, Browser, Invoke], None], int | None]
FIRST = {completes: None, cancels: -32800, expires: -32030, drains: -32050}


@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("kind", ["call", "batch"])
def test_row_45_in_every_interleaving_a_call_has_exactly_one_outcome(
    first: Callable[[Held, Browser, Invoke], None], kind: str
) -> None:
    for order in permutations(STEPS):
        if order[0] is not first:
            continue
        board = Held(ALONE)
        browser = Browser(board)
        text = call("later")
        browser.send(text if kind == "call" else b"[%b]" % text)
        (invoke,) = board.waiting
        answers: list[Any] = []
        for step in order:
            step(board, browser, invoke)
            board.run()
            for heard in map(decode, browser.texts() if browser.socket in board.written else []):
                if "method" not in heard:
                    answers += heard if isinstance(heard, list) else [heard]
        assert len(answers) == (first is not disconnects), order
        if answers:
            assert code(answers[0]) == FIRST[first], order
        health = board.board.health(board.now)
        assert (health.connections, health.calls, health.waiting, health.memory) == (0, 0, 0, 0)
        assert not board.board.complete(invoke.call, "again", board.now)


def ends_input(board: Held, socket: SocketId) -> None:
    board.board.received_eof(socket, board.now)


def time_passes(board: Held, socket: SocketId) -> None:
    board.pass_time(30.0)


EXCHANGE: tuple[Callable[[Held, SocketId], object], ...] = (
    lambda board, socket: board.board.complete(board.waiting[0].call, "done", board.now),
    time_passes,
    lambda board, socket: board.board.shut_down(board.now, grace=0.0),
    lambda board, socket: board.pass_time(0.0),
    ends_input,
)


def test_row_45_in_every_interleaving_an_exchange_has_exactly_one_answer_unless_its_client_is_taken_for_gone() -> None:
    for order in permutations(EXCHANGE):
        board = Held(ALONE)
        socket = board.open()
        board.feed(socket, post(call("later")))
        for step in order:
            step(board, socket)
            board.run()
        answer = board.take(socket)
        gone = [step for step in order if step is not EXCHANGE[3]][:2] == [ends_input, time_passes]
        assert answers(answer) == (not gone)
        if not gone:
            assert status(answer) in (200, 503)
        board.drop(socket)
        health = board.board.health(board.now)
        assert (health.connections, health.sockets, health.calls, health.memory) == (0, 0, 0, 0)


# Results that come to nothing


@pytest.mark.parametrize("result", [object(), {1j}, float, "\ud800"])
def test_row_46_a_result_that_cannot_be_encoded_is_an_internal_error(result: Any) -> None:
    board = Held()
    attacker = Attacker(board)
    attacker.tell(call("later"))
    board.board.complete(board.waiting[0].call, result, 0.0)
    board.run()
    (answer,) = attacker.messages()
    assert code(answer) == -32603
    assert list(answer["error"]["data"]) == ["incident"]


def test_row_46_a_result_that_is_too_large_is_refused_with_the_same_id() -> None:
    config = Config(max_response_bytes=1_000)
    around = len(b'{"jsonrpc":"2.0","result":"","id":1}')
    browser = Browser(Board(config))
    for size, expected in ((999 - around, None), (1_000 - around, None), (1_001 - around, -32008)):
        (answer,) = browser.send(call("blob", b"[%d]" % size))
        assert (code(decode(answer)), decode(answer)["id"]) == (expected, 1)
        assert len(answer) <= 1_000
