"""Updates of sessions in an SQLite file: the store of Posthouse beside what is usually written.

100 tasks change a session each, again and again, and wait until the disk has each change (WAL, `synchronous=FULL`).
All contestants merge the same member into the same JSON, in a transaction of their own that reads the row first.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from threading import local
from time import perf_counter
from typing import Any, Final

import anyio
import msgspec
from posthouse.adapters.store import AddSession, Done, SessionRow, SqliteStore, UpdateSession
from posthouse.core import Identity

from benchmarks.figures import Question

TASKS: Final = 100
UPDATES: Final[dict[str, int]] = {"posthouse": 100, "threads": 5, "aiosqlite": 5}
"""How many updates each task makes in one round."""

FOR_EVER: Final = 1e12
SCHEMA: Final = "CREATE TABLE sessions (id TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT"
READ: Final = "SELECT data FROM sessions WHERE id = ?"
WRITE: Final = "UPDATE sessions SET data = ? WHERE id = ?"

Update = Callable[[int, int], Awaitable[object]]
"""Sets the count of one session."""


def session_updates(runs: int) -> dict[str, Question]:
    """Updates a second, and the time that 99 of 100 take at most."""
    question: Question = {name: {"rate": [], "p99": []} for name in CONTESTANTS}
    for _ in range(runs):
        for name, contestant in CONTESTANTS.items():
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                rate, slowest = anyio.run(contestant, str(Path(folder) / "store.db"), UPDATES[name])
            question[name]["rate"].append(rate)
            question[name]["p99"].append(slowest)
    return {"stores": question}


async def timed(update: Update, each: int) -> tuple[float, float]:
    """The updates a second of all tasks, and the time that 99 of 100 take at most."""
    took: list[float] = []

    async def change(task: int) -> None:
        for count in range(each):
            began = perf_counter()
            await update(task, count)
            took.append(perf_counter() - began)

    began = perf_counter()
    async with anyio.create_task_group() as group:
        for task in range(TASKS):
            group.start_soon(change, task)
    seconds = perf_counter() - began
    return len(took) / seconds, sorted(took)[int(len(took) * 0.99)]


async def posthouse(path: str, each: int) -> tuple[float, float]:
    """The store of Posthouse: with its rules, expiry and versions."""
    store = SqliteStore(path)
    await store.open()
    for task in range(TASKS):
        row = SessionRow(
            id=str(task), identity=Identity("ada"), current=b"", created_at=0.0, used_at=0.0, ends_at=FOR_EVER
        )
        await store.perform(AddSession("", row, TASKS, TASKS, 0.0, FOR_EVER))

    async def update(task: int, count: int) -> None:
        set = b'{"count":%d}' % count
        outcome = await store.perform(UpdateSession("", str(task), set, (), None, 65_536, 0.0, FOR_EVER))
        assert isinstance(outcome, Done)

    try:
        return await timed(update, each)
    finally:
        await store.close()


def merged(data: str, count: int) -> str:
    """The data of a session with another count."""
    return msgspec.json.encode({**msgspec.json.decode(data), "count": count}).decode()


def prepare(path: str) -> None:
    """The table of those that are usually written."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(SCHEMA)
        db.executemany("INSERT INTO sessions VALUES (?, '{}')", [(str(task),) for task in range(TASKS)])
        db.commit()


def connected(path: str) -> sqlite3.Connection:
    """A connection that waits for the disk."""
    db = sqlite3.connect(path, timeout=60.0, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    return db


async def threads(path: str, each: int) -> tuple[float, float]:
    """`sqlite3` in worker threads: a connection for each thread, a transaction for each update."""
    prepare(path)
    own, opened = local(), list[sqlite3.Connection]()

    def change(task: int, count: int) -> None:
        if not hasattr(own, "db"):
            own.db = connected(path)
            opened.append(own.db)
        db: Any = own.db
        db.execute("BEGIN IMMEDIATE")
        (data,) = db.execute(READ, (str(task),)).fetchone()
        db.execute(WRITE, (merged(data, count), str(task)))
        db.execute("COMMIT")

    try:
        return await timed(lambda task, count: anyio.to_thread.run_sync(change, task, count), each)
    finally:
        for db in opened:
            db.close()


async def with_aiosqlite(path: str, each: int) -> tuple[float, float]:
    """aiosqlite: one connection, whose transactions wait for each other."""
    import aiosqlite

    prepare(path)
    lock = anyio.Lock()
    async with aiosqlite.connect(path, isolation_level=None) as db:
        await db.execute("PRAGMA synchronous = FULL")

        async def update(task: int, count: int) -> None:
            async with lock:
                await db.execute("BEGIN IMMEDIATE")
                async with db.execute(READ, (str(task),)) as cursor:
                    row: Any = await cursor.fetchone()
                await db.execute(WRITE, (merged(row[0], count), str(task)))
                await db.execute("COMMIT")

        return await timed(update, each)


CONTESTANTS: Final[dict[str, Callable[[str, int], Awaitable[tuple[float, float]]]]] = {
    "posthouse": posthouse,
    "threads": threads,
    "aiosqlite": with_aiosqlite,
}
