"""The protocols of a machine: the names and the numbers are those of the standard library."""

from __future__ import annotations

import select

from posthouse.adapters.system.machine import Machine
from posthouse.adapters.system.system import READ, WRITE, System


def test_events_are_numbered_as_those_of_epoll() -> None:
    assert (READ, WRITE) == (1, 4) == (select.EPOLLIN, select.EPOLLOUT)


def test_the_real_machine_is_one() -> None:
    system: System = Machine()
    assert system.signals.available()
