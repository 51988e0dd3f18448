"""The keys of a source: read again when it is time, one read at a time, and the old ones count meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

import anyio
import pytest
from posthouse.adapters.authenticators.keys.key import Key, Unusable
from posthouse.adapters.authenticators.keys.source import Source
from posthouse.adapters.authenticators.keys.store import KeyStore

pytestmark = pytest.mark.anyio

OLD, NEW = (Key("old", "EdDSA", None),), (Key("new", "EdDSA", None),)


class Place:
    """A source that a test holds: each read waits until the test lets it go on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.reads = 0
        self.keys: tuple[Key, ...] | Exception = NEW
        self.go = Event()
        self.go.set()

    def read(self) -> tuple[Key, ...]:
        self.reads += 1
        self.go.wait(60)
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys

    def store(self, *keys: Key) -> KeyStore:
        return KeyStore(Source("here", keys, self.read), now=lambda: self.now)


async def asked(store: KeyStore, place: Place, now: float, *, known: bool) -> bool:
    """Must a token wait at this time? Waits for the read, if one has begun."""
    place.now = now
    waits = store.must_wait(known=known)
    await store.read_again()
    return waits


async def test_the_first_token_waits_for_the_first_read() -> None:
    place = Place()
    store = place.store()
    assert await asked(store, place, 0.0, known=False) is True
    assert (store.keys, place.reads) == (NEW, 1)


@pytest.mark.parametrize(("age", "reads"), [(599.9, 0), (600.0, 1)])
async def test_keys_are_used_for_ten_minutes_and_then_read_again_first(age: float, reads: int) -> None:
    place = Place()
    store = place.store(*OLD)
    assert await asked(store, place, age, known=True) is bool(reads)
    assert place.reads == reads
    assert store.keys == (NEW if reads else OLD)


async def test_keys_that_are_the_same_are_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    place = Place()
    store = place.store(*NEW)
    await asked(store, place, 600.0, known=True)
    assert (place.reads, caplog.records) == (1, [])


@pytest.mark.parametrize(("age", "reads"), [(59.9, 0), (60.0, 1)])
async def test_a_token_without_a_key_has_them_read_at_most_once_a_minute(age: float, reads: int) -> None:
    place = Place()
    store = place.store(*OLD)
    assert await asked(store, place, age, known=False) is bool(reads)
    assert place.reads == reads
    assert await asked(store, place, age + 59.0, known=False) is (not reads)


async def test_while_no_key_was_read_yet_they_are_read_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    place = Place()
    place.keys = Unusable("it is away")
    store = place.store()
    for now, waits in ((0.0, True), (9.9, False), (10.0, True), (19.9, False), (20.0, True)):
        assert await asked(store, place, now, known=False) is waits
    assert (store.keys, place.reads) == ((), 3)
    text = "cannot read the keys of here: it is away; those that were read before still count"
    assert [record.getMessage() for record in caplog.records] == [text] * 3


@pytest.mark.parametrize("error", [Unusable("it is away"), RuntimeError("it is broken")])
async def test_the_old_keys_count_while_a_read_fails_and_it_is_tried_again_after_a_minute(error: Exception) -> None:
    place = Place()
    place.keys = error
    store = place.store(*OLD)
    assert await asked(store, place, 600.0, known=True) is True
    assert (store.keys, place.reads) == (OLD, 1)
    place.keys = NEW
    assert await asked(store, place, 659.9, known=True) is False
    assert (store.keys, place.reads) == (OLD, 1)
    assert await asked(store, place, 660.0, known=True) is True
    assert (store.keys, place.reads) == (NEW, 2)
    assert await asked(store, place, 1259.9, known=True) is False
    assert place.reads == 2
    assert await asked(store, place, 1260.0, known=True) is True
    assert place.reads == 3


async def test_fresh_keys_count_while_a_read_takes_its_time_and_old_ones_wait_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    place = Place()
    place.go.clear()
    store = place.store(*OLD)
    place.now = 60.0
    assert store.must_wait(known=False) is True
    assert store.must_wait(known=True) is False
    place.now = 599.9
    assert store.must_wait(known=True) is False
    place.now = 600.0
    assert store.must_wait(known=True) is True
    assert store.keys == OLD
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(store.read_again)
        await anyio.wait_all_tasks_blocked()
        place.go.set()
    assert (store.keys, place.reads) == (NEW, 1)
    assert [record.getMessage() for record in caplog.records] == ["read 1 keys of here"]


async def test_one_that_waits_may_leave() -> None:
    place = Place()
    place.go.clear()
    store = place.store()
    assert store.must_wait(known=False) is True
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(store.read_again)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    place.go.set()
    await store.read_again()
    assert store.keys == NEW


def test_event_loops_that_have_ended_do_not_matter() -> None:
    place = Place()
    place.go.clear()
    store = place.store()

    def begin() -> None:
        async def leave() -> None:
            assert store.must_wait(known=False) is True
            with anyio.move_on_after(0):
                await store.read_again()
            async with anyio.create_task_group() as group:
                group.start_soon(store.read_again)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()

        anyio.run(leave)

    async def wait() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(store.read_again)
            await anyio.wait_all_tasks_blocked()
            place.go.set()

    runs: list[Callable[[], object]] = [begin, lambda: anyio.run(wait, backend="trio")]
    for run in runs:
        run()
    assert (store.keys, place.reads) == (NEW, 1)
