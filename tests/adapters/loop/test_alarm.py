"""The only timer of a loop: it rings at the earliest deadline."""

from __future__ import annotations

import math
import time

import anyio
import pytest
from posthouse.adapters.loop.alarm import SPACING, Alarm

from tests.adapters.loopback import PATIENCE

pytestmark = pytest.mark.anyio


async def test_it_rings_at_the_earliest_deadline_also_while_it_sleeps_and_is_then_unset() -> None:
    alarm = Alarm(time.monotonic)
    rung, dues = anyio.Event(), [0.01]
    times: list[float] = []

    def ring() -> None:
        assert alarm.due == math.inf
        times.append(time.monotonic())
        if dues:
            alarm.advance(times[-1] + dues.pop())
        else:
            rung.set()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(alarm.run, ring)
            await anyio.lowlevel.checkpoint()
            far, near = time.monotonic() + 3600.0, time.monotonic() + 0.01
            alarm.advance(far)
            assert alarm.due == far
            alarm.advance(near)
            await rung.wait()
            group.cancel_scope.cancel()
    assert len(times) == 2
    # The two clocks are read one after the other, so it may ring some microseconds early: it is then set again.
    assert near - 0.001 <= times[0] <= times[1] - 0.009


async def test_deadlines_close_behind_each_other_share_one_ring() -> None:
    alarm = Alarm(time.monotonic)
    rung = anyio.Event()
    times: list[float] = []

    def ring() -> None:
        times.append(time.monotonic())
        if len(times) == 3:
            rung.set()
            return
        alarm.advance(times[-1] + 0.002)
        due = alarm.due
        alarm.advance(times[-1] + 0.001)
        assert alarm.due == due
        assert times[-1] + SPACING - 0.001 < due <= times[-1] + SPACING

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            alarm.advance(time.monotonic())
            group.start_soon(alarm.run, ring)
            await rung.wait()
            group.cancel_scope.cancel()
    assert times[2] - times[0] >= 2 * SPACING - 0.002
