"""Signals of a simulated machine, and its end."""

from __future__ import annotations

import signal

import pytest
from posthouse.adapters.simulation.machine.signals import SimulatedSignals
from posthouse.adapters.simulation.machine.threads import Exited

from tests.simulation.machine.systems import SimulatedBench


def signals_of(simulated: SimulatedBench) -> SimulatedSignals:
    return simulated.machine.signals


def test_a_signal_is_handled_by_the_last_handler(simulated: SimulatedBench) -> None:
    signals, seen = signals_of(simulated), list[int]()
    assert signals.available() and signals.untouched
    assert signals.handle(signal.SIGTERM, lambda number, frame: seen.append(number)) is signal.SIG_DFL
    assert not signals.untouched
    signals.send(signal.SIGTERM)
    signals.call_handlers()
    assert callable(signals.handle(signal.SIGTERM, signal.SIG_IGN))
    signals.send(signal.SIGTERM)
    signals.call_handlers()
    assert seen == [signal.SIGTERM]


def test_a_signal_does_not_end_the_sleep_of_the_loop(simulated: SimulatedBench) -> None:
    signals, loop, seen = signals_of(simulated), simulated.loop, list[int]()
    signals.handle(signal.SIGTERM, lambda number, frame: seen.append(number))
    signals.send(signal.SIGTERM)
    loop.turn()
    assert seen == []
    loop.call_soon(lambda: None)
    loop.turn()
    assert seen == [signal.SIGTERM]


def test_a_signal_writes_a_byte_to_the_descriptor_that_wakes_the_loop(simulated: SimulatedBench) -> None:
    signals, loop, seen = signals_of(simulated), simulated.loop, list[int]()
    signals.handle(signal.SIGTERM, lambda number, frame: seen.append(number))
    awake, waker = simulated.system.sockets.pair()
    loop.add_reader(awake.fileno(), lambda: seen.append(awake.recv(10)[0]))
    loop.turn()
    assert signals.wake_up(waker.fileno()) == -1
    assert not signals.untouched
    signals.send(signal.SIGTERM)
    loop.turn()
    assert seen == [signal.SIGTERM, 0]
    assert signals.wake_up(-1) == waker.fileno()


def test_a_full_descriptor_takes_no_more_bytes_and_the_signal_is_kept(simulated: SimulatedBench) -> None:
    signals, seen = signals_of(simulated), list[int]()
    signals.handle(signal.SIGTERM, lambda number, frame: seen.append(number))
    _, waker = simulated.system.sockets.pair()
    signals.wake_up(waker.fileno())
    with pytest.raises(BlockingIOError):
        while True:
            waker.send(bytes(4096))
    signals.send(signal.SIGTERM)
    signals.call_handlers()
    assert seen == [signal.SIGTERM]


def test_a_signal_without_a_handler_ends_the_process(simulated: SimulatedBench) -> None:
    with pytest.raises(Exited) as raised:
        signals_of(simulated).send(signal.SIGINT)
    assert raised.value.code == 130


def test_a_process_that_exits_stops_where_it_is(simulated: SimulatedBench) -> None:
    signals = signals_of(simulated)
    signals.sleep(0.2)
    signals.flush()
    assert signals.slept == 0.2
    with pytest.raises(Exited) as raised:
        signals.exit(3)
    assert raised.value.code == 3


def test_a_planned_signal_comes_during_a_call_of_the_kernel(simulated: SimulatedBench) -> None:
    server, _ = simulated.pair()
    signals, loop, seen = signals_of(simulated), simulated.loop, list[str]()
    signals.handle(signal.SIGTERM, lambda number, frame: seen.append("signal"))

    def send() -> None:
        for _ in range(4):
            server.send(b"x")
            seen.append("sent")

    signals.plan(signal.SIGTERM, 2)
    server.send(b"x")  # the event loop does not run
    loop.call_soon(send)
    loop.turn()
    assert seen == ["sent", "sent", "signal", "sent", "sent"]
    assert (signals.handled, signals.signalled) == ([signal.SIGTERM], True)
    signals.plan(signal.SIGTERM, 0)
    signals.forget()
    loop.call_soon(send)
    loop.turn()
    assert signals.handled == [signal.SIGTERM]


def test_a_process_that_has_exited_gets_no_signals(simulated: SimulatedBench) -> None:
    signals, exits = signals_of(simulated), list[int | None]()
    signals.on_exit = lambda: exits.append(signals.code)
    signals.handle(signal.SIGTERM, lambda number, frame: signals.exit(3))
    for _ in range(2):
        signals.send(signal.SIGTERM)
    with pytest.raises(Exited):
        signals.call_handlers()
    signals.call_handlers()
    with pytest.raises(Exited) as raised:
        signals.exit(4)
    assert (raised.value.code, exits, signals.handled) == (3, [3], [signal.SIGTERM])


def test_a_thread_ends_when_the_process_exits(simulated: SimulatedBench) -> None:
    def leave() -> None:
        signals_of(simulated).exit(1)

    simulated.system.threads.start(leave, "leaving")
    simulated.pass_time()
    assert (signals_of(simulated).code, simulated.machine.threads.alive) == (1, [])
