"""Signals of a simulated machine, and its end."""

from __future__ import annotations

import signal

import pytest
from posthouse.adapters.simulation.machine.signals import Exited, SimulatedSignals


def test_a_signal_is_handled_by_the_last_handler() -> None:
    signals, seen = SimulatedSignals(), []
    assert signals.available()
    assert signals.handle(signal.SIGTERM, lambda number, frame: seen.append(number)) is signal.SIG_DFL
    signals.send(signal.SIGTERM)
    assert callable(signals.handle(signal.SIGTERM, signal.SIG_IGN))
    signals.send(signal.SIGTERM)
    assert seen == [signal.SIGTERM]


def test_a_signal_without_a_handler_ends_the_process() -> None:
    with pytest.raises(Exited) as raised:
        SimulatedSignals().send(signal.SIGINT)
    assert raised.value.code == 130


def test_a_process_that_exits_stops_where_it_is() -> None:
    signals = SimulatedSignals()
    signals.sleep(0.2)
    assert signals.slept == 0.2
    with pytest.raises(Exited) as raised:
        signals.exit(3)
    assert raised.value.code == 3
