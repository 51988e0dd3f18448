"""How HTTP on one socket pauses and ends, whatever it was asked."""

from __future__ import annotations

import pytest
from posthouse.core.values.config import Config
from posthouse.core.values.peers import NO_META
from posthouse.transports.codec import Finish, Pause, Resume, Shut
from posthouse.transports.http.ending import Ending
from posthouse.transports.http.known_heads import NO_HEADS
from posthouse.transports.http.requests import RequestReader
from posthouse.transports.http.routes import Call
from posthouse.transports.http.state import HttpState
from posthouse.transports.policy import Policy


class Socket(Ending):
    """The end of a socket, without requests."""

    def __init__(self, state: HttpState, config: Config = Config()) -> None:
        super().__init__(config, RequestReader(config, Policy(), NO_HEADS), 0.0)
        self._state = state

    def receive(self, size: int) -> None:
        self._reader.buffer += bytes(size)
        self._hold_back()

    def linger(self) -> None:
        self._linger()

    def discard(self, size: int) -> None:
        self._discard(size)

    def arrive(self, call: Call | None) -> None:
        self._arriving = call

    def leave(self) -> None:
        self._gone_at = 5.0

    buffered = 0

    def receive_data(self, data: bytes, now: float) -> None:
        raise NotImplementedError

    def receive_eof(self, now: float) -> None:
        raise NotImplementedError

    def next_timeout(self) -> float | None:
        raise NotImplementedError

    def handle_timeout(self, now: float) -> None:
        raise NotImplementedError

    @property
    def facts(self) -> tuple[HttpState, float | None, bool]:
        return self._state, self._deadline, self._draining


def test_a_new_socket_awaits_its_first_head() -> None:
    assert Socket(HttpState.HEAD, Config(head_timeout=3.0)).facts == (HttpState.HEAD, 3.0, False)


@pytest.mark.parametrize(
    ("state", "closes"),
    [
        (HttpState.IDLE, True),
        (HttpState.HEAD, True),
        (HttpState.YIELDED, True),
        (HttpState.BODY, False),
        (HttpState.ASKED, False),
        (HttpState.ANSWERING, False),
        (HttpState.LINGERING, False),
        (HttpState.CLOSED, False),
    ],
)
def test_a_socket_without_a_request_is_idle(state: HttpState, closes: bool) -> None:
    socket = Socket(state)
    socket.close_idle(0.0)
    assert socket.output == ([Shut()] if closes else [])


def test_a_socket_closes_once_and_has_no_deadline_then() -> None:
    socket = Socket(HttpState.IDLE)
    socket.close(1001, 0.0)
    socket.close(1001, 0.0)
    assert (socket.output, socket.facts) == ([Shut()], (HttpState.CLOSED, None, False))


def test_a_draining_server_is_remembered() -> None:
    socket = Socket(HttpState.IDLE)
    socket.drain()
    assert socket.facts[2]


def test_behind_the_last_answer_so_many_bytes_are_dropped_and_one_more_closes() -> None:
    socket = Socket(HttpState.ANSWERING)
    socket.receive(1_000)
    socket.linger()
    assert socket.output == [Finish()]
    socket.discard(64 * 1024 - 1_000)
    assert socket.output == [Finish()]
    socket.discard(1)
    assert socket.output == [Finish(), Shut()]


def test_a_client_that_has_left_is_not_waited_for_behind_the_last_answer() -> None:
    socket = Socket(HttpState.ANSWERING)
    socket.leave()
    socket.linger()
    assert socket.output == [Finish(), Shut()]


def test_reading_pauses_while_more_waits_than_the_largest_head_has() -> None:
    socket = Socket(HttpState.ANSWERING, Config(max_head_bytes=100))
    socket.receive(100)
    assert socket.output == []
    socket.receive(1)
    socket.receive(1)
    assert socket.output == [Pause()]
    socket.linger()
    assert socket.output == [Pause(), Finish(), Resume()]


def test_reading_goes_on_while_a_client_is_judged() -> None:
    socket = Socket(HttpState.ASKED, Config(max_head_bytes=100))
    socket.arrive(Call(NO_META, awaited=False))
    socket.receive(101)
    assert socket.output == []
    socket.arrive(None)
    socket.receive(0)
    assert socket.output == [Pause()]


def test_a_closed_socket_is_not_paused() -> None:
    socket = Socket(HttpState.CLOSED, Config(max_head_bytes=100))
    socket.receive(101)
    assert socket.output == []
