"""The selector for machines without epoll, beside epoll."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest
from posthouse.adapters.system.selector import PortableSelector
from posthouse.adapters.system.system import READ, WRITE, Selector


@pytest.fixture(params=[PortableSelector, select.epoll])
def selector(request: pytest.FixtureRequest) -> Iterator[Selector]:
    made: Selector = request.param()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("watched", "readable", "writable", "found"),
    [
        (READ, False, True, []),
        (READ, True, True, [READ]),
        (WRITE, True, True, [WRITE]),
        (READ | WRITE, True, True, [READ | WRITE]),
        (READ | WRITE, False, True, [WRITE]),
        (READ | WRITE, True, False, [READ]),
        (WRITE, True, False, []),
    ],
)
@pytest.mark.parametrize("modified", [False, True])
def test_only_the_watched_events_of_a_socket_are_found(
    selector: Selector, watched: int, readable: bool, writable: bool, found: list[int], modified: bool
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        if readable:
            theirs.send(b"x")
        while not writable:
            try:
                ours.send(b"x" * 65536)
            except BlockingIOError:
                break
        if modified:
            selector.register(ours.fileno(), READ if watched == WRITE else WRITE)
            selector.modify(ours.fileno(), watched)
        else:
            selector.register(ours.fileno(), watched)
        assert selector.poll(0, 10) == [(ours.fileno(), events) for events in found]
        selector.unregister(ours.fileno())
        assert selector.poll(0, 10) == []


def test_it_waits_until_a_socket_is_ready_and_can_itself_be_waited_for(selector: Selector) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        selector.register(ours.fileno(), READ)
        assert select.select([selector.fileno()], [], [], 0)[0] == []
        theirs.send(b"x")
        assert select.select([selector.fileno()], [], [], 60)[0] == [selector.fileno()]
        assert selector.poll(60, 10) == [(ours.fileno(), READ)]
