"""The order in which an input is worked off: effects, outputs of codecs, answers that have gone, pipes that have ended.

Each test runs both ways: messages are handed on directly, and through the output of their codec.
"""

from __future__ import annotations

from posthouse.core import Config, ConnectionClosed
from posthouse.transports.codec import Ended, Send
from posthouse.transports.switchboard.actions import Write

from tests.transports.board import PIPE, Board, Browser, body, call, post, result


def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    board = Board()
    socket = board.open()
    assert board.feed(socket, post(call("later")) + post(call("add", b"[1,2]")) + post(call("later", b"[2]"))) == b""
    assert len(board.waiting) == 1
    board.board.complete(board.waiting.pop().call, "first", 0.0)
    board.run()
    answers = board.take(socket)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert answers.index(b'"first"') < answers.index(b'"result":3')
    assert len(board.waiting) == 1


def test_an_answer_that_the_socket_does_not_take_holds_up_the_next_request() -> None:
    board = Board()
    socket = board.open()
    board.stuck[socket] = 0
    board.feed(socket, post(call("blob", b"[200000]")) + post(call("add", b"[1,2]")))
    assert board.board.health(0.0).connections == 1
    assert board.stuck[socket] > 0
    while board.stuck.get(socket):
        board.release(socket, min(50_000, board.stuck[socket]))
    board.release(socket)
    answers = board.take(socket)
    assert answers.endswith(result(3))
    assert board.board.health(0.0).connections == 0


def test_questions_that_arrived_before_the_answers_stuck_wait_with_them() -> None:
    board = Board(Config(write_ahead=100))
    browser = Browser(board)
    board.stuck[browser.socket] = 0
    for text in (call("rpc.discover"), call("later", b"[1]", b"2")):
        browser.client.send(text)
    frames = b"".join(output.data for output in browser.client.output if isinstance(output, Send))
    browser.client.output.clear()
    board.board.received(browser.socket, frames, 0.0)
    board.run()
    assert board.waiting == []
    while board.stuck[browser.socket]:
        board.release(browser.socket, board.stuck[browser.socket])
    assert len(board.waiting) == 1


def test_a_body_for_which_there_is_no_memory_goes_before_any_connection_does() -> None:
    board = Board(Config(memory_budget=100_000, read_bytes=1000))
    browser, first, second = Browser(board), board.open(), board.open()
    request = post(b"x" * 80_000)
    assert board.feed(first, request[:70_000]) == b""
    assert board.feed(second, request[:70_000]).startswith(b"HTTP/1.1 503 ")
    assert board.half_closed == [second]
    assert browser.send(call("add", b"[1,2]")) == [result(3)]
    assert board.feed(first, request[70_000:]).startswith(b"HTTP/1.1 400 ")
    assert board.board.stats()["http.refused.503"] == 1


def test_a_pipe_whose_input_has_ended_waits_for_its_calls_and_then_closes() -> None:
    board = Board()
    pipe = board.open(PIPE)
    board.feed(pipe, call("later", b"[1]") + b"\n")
    board.board.received_eof(pipe, 0.0)
    board.run()
    assert board.closed == {}
    board.board.complete(board.waiting.pop().call, 1, 0.0)
    board.run()
    assert board.take(pipe) == result(1) + b"\n"
    assert board.closed == {pipe: True}


def test_an_empty_pipe_is_closed_at_its_end() -> None:
    board = Board()
    pipe = board.open(PIPE)
    board.board.received_eof(pipe, 0.0)
    board.run()
    assert board.closed == {pipe: True}


def test_a_pipe_whose_input_has_ended_closes_as_normal_while_another_waits_for_its_call() -> None:
    board = Board()
    busy, idle = board.open(PIPE), board.open(PIPE)
    board.feed(busy, call("later") + b"\n")
    board.feed(idle, call("add", b"[1,2]") + b"\n")
    for pipe in (busy, idle):
        board.board.received_eof(pipe, 0.0)
        board.run()
    assert board.closed == {idle: True}
    assert [event.code for event in board.events() if isinstance(event, ConnectionClosed)] == [1000]


def test_a_pipe_that_is_closing_holds_up_no_other_whose_input_has_ended() -> None:
    board = Board()
    pipes = [board.open(PIPE), board.open(PIPE)]
    for pipe in pipes:
        board.feed(pipe, call("add", b"[1,2]") + b"\n")
    for pipe in pipes:
        board.board.received_eof(pipe, 0.0)
        board.run()
        assert board.closed[pipe] is True


def test_messages_behind_one_that_waits_wait_with_it() -> None:
    board = Board(Config(write_ahead=100))
    browser = Browser(board)
    board.stuck[browser.socket] = 0
    for text in (call("rpc.discover"), call("add", b"[1,2]", b"2")):
        browser.client.send(text)
    frames = b"".join(output.data for output in browser.client.output if isinstance(output, Send))
    browser.client.output.clear()
    ping = bytes((0x89, 0x80 | 2)) + bytes(4) + b"hi"
    board.board.received(browser.socket, frames + ping + ping, 0.0)
    board.run()
    while board.stuck[browser.socket]:
        board.release(browser.socket, board.stuck[browser.socket])
    board.release(browser.socket)
    assert browser.texts()[-1] == result(3, b"2")


def test_the_connection_of_an_exchange_ends_without_a_code() -> None:
    board = Board()
    board.feed(board.open(), post(call("add", b"[1,2]")))
    assert [event.code for event in board.events() if isinstance(event, ConnectionClosed)] == [None]


def test_the_last_answer_to_a_client_that_has_half_closed_closes_at_once() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("later", b"[7]")))
    board.board.received_eof(socket, 0.0)
    board.board.shut_down(0.0)
    board.board.complete(board.waiting.pop().call, 7, 0.0)
    board.run()
    assert body(board.take(socket)) == result(7)
    assert (board.half_closed, board.closed) == ([socket], {socket: True})


def together(browser: Browser, *texts: bytes) -> bytes:
    """The frames of these texts, as one read brings them."""
    for text in texts:
        browser.client.send(text)
    frames = b"".join(output.data for output in browser.client.output if isinstance(output, Send))
    browser.client.output.clear()
    return frames


def test_the_texts_of_one_read_are_handed_on_in_order() -> None:
    board = Board()
    browser = Browser(board)
    texts = [call("add", b"[1,%d]" % number, b"%d" % number) for number in range(8)]
    board.board.received(browser.socket, together(browser, *texts), 0.0)
    board.run()
    assert browser.texts() == [result(1 + number, b"%d" % number) for number in range(8)]


def test_a_text_that_ends_its_connection_comes_before_those_behind_it() -> None:
    board = Board(Config(max_bad_messages=1))
    browser = Browser(board)
    frames = together(browser, b"{", b"{", call("add", b"[1,2]"))
    board.board.received(browser.socket, frames, 0.0)
    board.run()
    assert not any(b'"result":3' in text for text in browser.texts())
    assert [output.code for output in browser.outputs if isinstance(output, Ended)] == [4400]


def test_a_text_behind_one_whose_answer_is_held_waits_with_the_frames_behind_it() -> None:
    board = Board(Config(write_ahead=100))
    browser = Browser(board)
    board.stuck[browser.socket] = 0
    texts = (call("rpc.discover"), call("later", b"[1]", b"2"), call("later", b"[2]", b"3"))
    board.board.received(browser.socket, together(browser, *texts), 0.0)
    board.run()
    assert board.waiting == []
    while board.stuck[browser.socket]:
        board.release(browser.socket, board.stuck[browser.socket])
    assert [invoke.args for invoke in board.waiting] == [(1,), (2,)]


def test_a_read_of_several_texts_closes_the_pipes_that_wait_for_nothing_else() -> None:
    board = Board()
    browser, pipe = Browser(board), board.open(PIPE)
    board.feed(pipe, call("later") + b"\n")
    board.board.received_eof(pipe, 0.0)
    board.board.received(browser.socket, together(browser, call("add", b"[1,2]"), call("add", b"[3,4]", b"2")), 0.0)
    board.run()
    assert browser.texts() == [result(3), result(7, b"2")]
    assert board.closed == {}


def test_each_answer_leaves_before_the_next_request_is_handed_on() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("add", b"[1,2]")))
    board.actions.clear()
    board.feed(socket, post(call("add", b"[1,2]")) + post(call("add", b"[3,4]")) + post(call("connection.ping")))
    kinds = [type(action).__name__ for action in board.actions if type(action).__name__ != "Emit"]
    assert kinds == ["Invoke", "Write", "Invoke", "Write", "Write"]


def test_an_answer_that_is_larger_than_may_be_ahead_leaves_in_slices_before_the_next_request() -> None:
    board = Board(Config(write_ahead=200))
    socket = board.open()
    answers = board.feed(socket, post(call("blob", b"[150]")) + post(call("add", b"[1,2]")))
    sizes = [len(action.data) for action in board.actions if isinstance(action, Write)]
    assert all(size <= 200 for size in sizes)
    assert answers.endswith(result(3))


def test_what_a_codec_takes_in_above_the_budget_closes_the_idlest_at_once() -> None:
    board = Board(Config(memory_budget=50_000, read_bytes=1000))
    idle = Browser(board)
    board.now = 1.0
    browser = Browser(board)
    frame = bytes((0x81, 0x80 | 127)) + (100_000).to_bytes(8, "big") + bytes(4)
    board.feed(browser.socket, frame + b"x" * 60_000)
    idle.exchange()
    assert Ended(1013) in idle.outputs
