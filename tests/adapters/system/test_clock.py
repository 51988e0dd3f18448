"""The source of time and chance."""

from __future__ import annotations

import os
import time

import pytest
from posthouse.adapters.system.clock import Clock


def test_it_tells_the_time_of_this_machine_unless_told_otherwise() -> None:
    clock = Clock()
    assert (clock.now, clock.wall, clock.entropy) == (time.monotonic, time.time, os.urandom)
    assert Clock(now=lambda: 5.0).now() == 5.0
    with pytest.raises(AttributeError):
        clock.now = time.time  # type: ignore[misc]
