"""The conformance kit passes the stores that there are, and finds the faults of one that has some."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace
from posthouse.adapters.store.memory import FaultyStore
from posthouse.adapters.store.sqlite.store import SqliteStore
from posthouse.adapters.store.store import Store
from posthouse.adapters.store.testing import (
    CHECKS,
    Check,
    it_keeps_its_rows_when_it_is_closed,
    of_writes_at_the_same_time_one_wins,
)
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.outcomes import Done, StoreOutcome
from posthouse.core.store.requests import (
    AddSession,
    ChangeUser,
    EndSessions,
    FindToken,
    ListUsers,
    Request,
    ResumeSession,
    Touch,
    UpdateSession,
)

pytestmark = pytest.mark.anyio

every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


class Performing(FaultyStore):
    """A store that performs as a test says."""

    def __init__(self, perform: Callable[[Request], Awaitable[StoreOutcome]]) -> None:
        super().__init__()
        self._perform = perform

    async def perform(self, request: Request) -> StoreOutcome:
        return await self._perform(request)


class Places:
    """Stores in memory that have the same rows when they are made again."""

    def __init__(self, perform: Callable[[MemoryStore, Request], StoreOutcome] | None = None) -> None:
        self._rows: dict[str, MemoryStore] = {}
        self._perform = perform

    def make(self, place: str) -> Store:
        rows = self._rows.setdefault(place, MemoryStore())
        given = self._perform
        if given is None:
            return FaultyStore(rows=rows)

        async def perform(request: Request) -> StoreOutcome:
            await anyio.lowlevel.checkpoint()
            return given(rows, request)

        return Performing(perform)


@every_check
async def test_a_store_in_memory_passes(check: Check) -> None:
    await check(Places().make)


@every_check
async def test_a_store_in_a_file_passes(check: Check, tmp_path: Path) -> None:
    await check(lambda place: SqliteStore(tmp_path / f"{place}.db"))


async def test_a_store_that_forgets_fails() -> None:
    with pytest.raises(AssertionError, match=r"opened for the 2\. time"):
        await it_keeps_its_rows_when_it_is_closed(lambda _: FaultyStore())


def forgets_to_evict(rows: MemoryStore, request: Request) -> StoreOutcome:
    return rows.perform(replace(request, most_per_user=99) if isinstance(request, AddSession) else request)


def keeps_sessions_of_other_passwords(rows: MemoryStore, request: Request) -> StoreOutcome:
    if not isinstance(request, ChangeUser):
        return rows.perform(request)
    sessions, by_user = rows.sessions.copy(), {user: dict(own) for user, own in rows.by_user.items()}
    ends = rows._ends.copy()
    outcome = rows.perform(request)
    rows.sessions, rows.by_user, rows._ends = sessions, by_user, ends
    return outcome


def does_not_rotate(rows: MemoryStore, request: Request) -> StoreOutcome:
    return rows.perform(replace(request, fresh=request.digest) if isinstance(request, ResumeSession) else request)


def compares_no_version(rows: MemoryStore, request: Request) -> StoreOutcome:
    return rows.perform(replace(request, version=None) if isinstance(request, UpdateSession) else request)


def writes_refused_data(rows: MemoryStore, request: Request) -> StoreOutcome:
    outcome = rows.perform(request)
    if isinstance(request, UpdateSession) and not isinstance(outcome, Done):
        rows.perform(replace(request, most_bytes=10_000, version=None))
    return outcome


def lists_one_too_few(rows: MemoryStore, request: Request) -> StoreOutcome:
    return rows.perform(replace(request, limit=request.limit - 1) if isinstance(request, ListUsers) else request)


def ends_the_session_that_is_excepted(rows: MemoryStore, request: Request) -> StoreOutcome:
    return rows.perform(replace(request, but=None) if isinstance(request, EndSessions) else request)


def notes_no_use(rows: MemoryStore, request: Request) -> StoreOutcome:
    return Done() if isinstance(request, Touch) else rows.perform(request)


def truncates_digests(rows: MemoryStore, request: Request) -> StoreOutcome:
    return rows.perform(replace(request, digest=request.digest[:4]) if isinstance(request, FindToken) else request)


@pytest.mark.parametrize(
    "perform",
    [
        forgets_to_evict,
        keeps_sessions_of_other_passwords,
        does_not_rotate,
        compares_no_version,
        writes_refused_data,
        lists_one_too_few,
        ends_the_session_that_is_excepted,
        notes_no_use,
        truncates_digests,
    ],
)
async def test_a_store_with_a_fault_fails(perform: Callable[[MemoryStore, Request], StoreOutcome]) -> None:
    found = []
    for check in CHECKS:
        try:
            await check(Places(perform).make)
        except* AssertionError as errors:
            found += list(errors.exceptions)
    assert found


async def test_a_store_that_decides_before_it_waits_lets_two_win() -> None:
    """It answers from the rows as they were before it waited, and writes afterwards."""

    def make(place: str) -> Store:
        rows = MemoryStore()

        async def perform(request: Request) -> StoreOutcome:
            if not isinstance(request, UpdateSession):
                return rows.perform(request)
            was = rows.sessions.get(request.session)
            stale = was is not None and request.version in (None, was.version)
            await anyio.lowlevel.checkpoint()
            return rows.perform(replace(request, version=None) if stale else request)

        return Performing(perform)

    with pytest.raises(AssertionError, match="20 of 20 updates"):
        await of_writes_at_the_same_time_one_wins(make)
