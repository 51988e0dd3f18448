"""A simulated store keeps what it has synced, and nothing else, when its server crashes."""

from __future__ import annotations

import anyio
import pytest
from posthouse.adapters.simulation.storms.scenes.stored.disk import Disk, SimulatedStore
from posthouse.adapters.store import AddUser, Done, Failed, Fault, FindUser, UserRow

pytestmark = pytest.mark.anyio


def add(name: str) -> AddUser:
    return AddUser("w", UserRow(user=name, created_at=0.0), 9)


async def test_what_was_acknowledged_is_synced_and_survives_a_crash() -> None:
    disk = Disk()
    assert await SimulatedStore(disk).perform(add("ada")) == Done()
    assert disk.perform(add("bob")) == Done()
    assert list(disk.rows.users) == ["ada", "bob"]
    disk.crash()
    assert list(disk.rows.users) == ["ada"]
    assert await SimulatedStore(disk).perform(FindUser("bob")) == Done(None)


async def test_a_store_fails_without_doing_or_does_without_saying() -> None:
    disk = Disk()
    assert await SimulatedStore(disk, lambda _: Fault(applied=False)).perform(add("ada")) == Failed()
    assert dict(disk.rows.users) == {}
    with anyio.move_on_after(0.0) as scope:
        await SimulatedStore(disk, lambda _: Fault(told=False)).perform(add("ada"))
    assert scope.cancelled_caught
    assert list(disk.rows.users) == ["ada"]
