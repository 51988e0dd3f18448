"""Selectors: level-triggered, and forgetful of what was closed. One test, on both machines."""

from __future__ import annotations

import socket

import pytest

from tests.simulation.machine.systems import READ, WRITE, Bench

ALL = 16


def test_what_is_ready_stays_so_until_it_was_read(bench: Bench) -> None:
    server, client = bench.pair()
    selector = bench.system.sockets.selector()
    selector.register(server.fileno(), READ)
    assert selector.poll(0.0, ALL) == []
    client.send(b"ab")
    bench.until(server, READ)
    for _ in range(2):
        assert selector.poll(0.0, ALL) == [(server.fileno(), READ)]
    assert server.recv(1) == b"a"
    assert len(selector.poll(0.0, ALL)) == 1
    assert server.recv(1) == b"b"
    assert selector.poll(0.0, ALL) == []
    selector.close()


def test_only_the_events_that_were_asked_for_are_told(bench: Bench) -> None:
    server, client = bench.pair()
    selector = bench.system.sockets.selector()
    selector.register(server.fileno(), READ | WRITE)
    assert selector.poll(0.0, ALL) == [(server.fileno(), WRITE)]
    selector.modify(server.fileno(), READ)
    assert selector.poll(0.0, ALL) == []
    client.send(b"x")
    bench.until(server, READ)
    selector.modify(server.fileno(), READ | WRITE)
    assert selector.poll(0.0, ALL) == [(server.fileno(), READ | WRITE)]
    selector.unregister(server.fileno())
    assert selector.poll(0.0, ALL) == []
    selector.close()


def test_a_connection_that_is_over_is_told_by_more_than_what_was_asked_for(bench: Bench) -> None:
    server, client = bench.pair()
    selector = bench.system.sockets.selector()
    selector.register(server.fileno(), READ)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    bench.until(server, READ)
    ((descriptor, events),) = selector.poll(0.0, ALL)
    assert (descriptor, events & READ) == (server.fileno(), READ)
    assert events > READ | WRITE
    selector.close()


def test_a_poll_tells_so_many_and_the_others_the_next_time(bench: Bench) -> None:
    selector = bench.system.sockets.selector()
    servers = [bench.pair()[0] for _ in range(4)]
    for server in servers:
        selector.register(server.fileno(), WRITE)
    first, second = selector.poll(0.0, 2), selector.poll(0.0, 2)
    assert sorted(first + second) == sorted((server.fileno(), WRITE) for server in servers)
    selector.close()


def test_a_selector_can_be_waited_for(bench: Bench) -> None:
    server, client = bench.pair()
    inner, outer = bench.system.sockets.selector(), bench.system.sockets.selector()
    inner.register(server.fileno(), READ)
    outer.register(inner.fileno(), READ)
    assert outer.poll(0.0, ALL) == []
    client.send(b"x")
    bench.until(server, READ)
    assert len(outer.poll(0.0, ALL)) == 1
    server.recv(1)
    assert outer.poll(0.0, ALL) == []
    outer.close()
    inner.close()


def test_a_socket_that_was_closed_is_forgotten(bench: Bench) -> None:
    server, client = bench.pair()
    selector = bench.system.sockets.selector()
    selector.register(server.fileno(), READ)
    client.send(b"x")
    bench.until(server, READ)
    server.close()
    assert selector.poll(0.0, ALL) == []
    again, other = bench.pair()
    selector.register(again.fileno(), READ)
    assert selector.poll(0.0, ALL) == []
    other.send(b"x")
    bench.until(again, READ)
    assert selector.poll(0.0, ALL) == [(again.fileno(), READ)]
    selector.close()


def test_a_socket_is_registered_once(bench: Bench) -> None:
    server, _ = bench.pair()
    selector = bench.system.sockets.selector()
    selector.register(server.fileno(), READ)
    with pytest.raises(FileExistsError):
        selector.register(server.fileno(), READ)
    selector.unregister(server.fileno())
    with pytest.raises(FileNotFoundError):
        selector.unregister(server.fileno())
    with pytest.raises(FileNotFoundError):
        selector.modify(server.fileno(), WRITE)
    selector.close()
