"""Selectors: level-triggered, and forgetful of what was closed. One test, on both machines."""

from __future__ import annotations

import pytest

from tests.simulation.machine.systems import READ, WRITE, Bench


def test_what_is_ready_stays_so_until_it_was_read(bench: Bench) -> None:
    server, client = bench.pair()
    selector = bench.system.sockets.selector()
    selector.register(server, READ, "server")
    assert selector.select(0.0) == []
    client.send(b"ab")
    bench.until(server, READ)
    for _ in range(2):
        assert [(key.data, events) for key, events in selector.select(0.0)] == [("server", READ)]
    assert server.recv(1) == b"a"
    assert len(selector.select(0.0)) == 1
    assert server.recv(1) == b"b"
    assert selector.select(0.0) == []
    selector.close()


def test_only_the_events_that_were_asked_for_are_told(bench: Bench) -> None:
    server, client = bench.pair()
    selector = bench.system.sockets.selector()
    selector.register(server, READ | WRITE, 1)
    assert [events for _, events in selector.select(0.0)] == [WRITE]
    selector.modify(server, READ, 2)
    assert selector.select(0.0) == []
    client.send(b"x")
    bench.until(server, READ)
    selector.modify(server, READ | WRITE, 3)
    assert [(key.data, events) for key, events in selector.select(0.0)] == [(3, READ | WRITE)]
    selector.unregister(server)
    assert selector.select(0.0) == []
    selector.close()


def test_a_selector_can_be_waited_for(bench: Bench) -> None:
    server, client = bench.pair()
    inner, outer = bench.system.sockets.selector(), bench.system.sockets.selector()
    inner.register(server, READ, None)
    outer.register(inner, READ, None)
    assert outer.select(0.0) == []
    client.send(b"x")
    bench.until(server, READ)
    assert len(outer.select(0.0)) == 1
    server.recv(1)
    assert outer.select(0.0) == []
    outer.close()
    inner.close()


def test_a_socket_that_was_closed_is_forgotten(bench: Bench) -> None:
    server, client = bench.pair()
    selector = bench.system.sockets.selector()
    selector.register(server, READ, "old")
    client.send(b"x")
    bench.until(server, READ)
    selector.unregister(server)
    server.close()
    again, other = bench.pair()
    selector.register(again, READ, "new")
    assert selector.select(0.0) == []
    other.send(b"x")
    bench.until(again, READ)
    assert [key.data for key, _ in selector.select(0.0)] == ["new"]
    selector.close()


def test_a_socket_is_registered_once(bench: Bench) -> None:
    server, _ = bench.pair()
    selector = bench.system.sockets.selector()
    selector.register(server, READ, None)
    with pytest.raises((FileExistsError, KeyError)):
        selector.register(server, READ, None)
    selector.unregister(server)
    with pytest.raises((FileNotFoundError, KeyError)):
        selector.unregister(server)
    with pytest.raises((FileNotFoundError, KeyError)):
        selector.modify(server, WRITE, None)
    selector.close()
