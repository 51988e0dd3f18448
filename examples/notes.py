"""Notes in a database: a service with a pool of connections, and a task that reminds clients of what is due.

    NOTES_DATABASE=notes.sqlite3 posthouse serve notes:service --dev

The lifespan opens the pool before the first client comes, and closes it after the last call. What it yields is
`context.state` of every handler. The pool runs SQLite in worker threads, because its calls block.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import anyio
import anyio.to_thread
from msgspec import Meta, Struct
from posthouse.adapters import Server
from posthouse.core import ConnectionOpened, Context, HookContext, RpcError, Service

service = Service("notes", public=True, version="1.0.0", description="Notes that remind of themselves.")

T = TypeVar("T")

NO_SUCH_NOTE = 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL, due REAL, reminded INTEGER DEFAULT 0)
"""

Query = Callable[[sqlite3.Connection], T]


class Note(Struct):
    """One note. `due` is Unix seconds, or None."""

    id: int
    text: str
    due: float | None = None


class Pool:
    """Connections to one SQLite file. At most `size` queries run at once, each in a worker thread."""

    def __init__(self, path: str, size: int) -> None:
        self._idle = [sqlite3.connect(path, check_same_thread=False) for _ in range(size)]
        self._slots = anyio.CapacityLimiter(size)

    async def run(self, query: Query[T]) -> T:
        """Run a query in a transaction."""
        async with self._slots:
            connection = self._idle.pop()
            try:
                with connection:
                    return await anyio.to_thread.run_sync(query, connection)
            finally:
                self._idle.append(connection)

    def close(self) -> None:
        """Close every connection. No query may run any more."""
        for connection in self._idle:
            connection.close()


@asynccontextmanager
async def open_pool(path: str, size: int = 4) -> AsyncIterator[Pool]:
    """A pool with the table of notes."""
    pool = Pool(path, size)
    try:
        await pool.run(lambda connection: connection.execute(SCHEMA))
        yield pool
    finally:
        pool.close()


@service.lifespan
async def lifespan(server: Server) -> AsyncIterator[Pool]:
    """Open the pool, and remind while the server runs."""
    async with open_pool(os.environ.get("NOTES_DATABASE", "notes.sqlite3")) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(remind, server, pool)
        yield pool
        tasks.cancel_scope.cancel()


async def remind(server: Server, pool: Pool) -> None:
    """Tell every client of each note that has become due, once."""
    while True:
        for note in await pool.run(due_now):
            server.broadcast("note.due", {"note": note})
        await anyio.sleep(0.25)


def due_now(connection: sqlite3.Connection) -> list[Note]:
    """The notes that have become due, marked as reminded."""
    update = "UPDATE note SET reminded = 1 WHERE due <= ? AND NOT reminded RETURNING id, text, due"
    return [Note(*row) for row in connection.execute(update, [time.time()]).fetchall()]


@service.method("note.add")
async def add(context: Context[Pool], text: Annotated[str, Meta(min_length=1)], due_in: float | None = None) -> Note:
    """Add a note, which is due in so many seconds."""
    due = None if due_in is None else time.time() + due_in

    def insert(connection: sqlite3.Connection) -> int:
        return connection.execute("INSERT INTO note (text, due) VALUES (?, ?)", [text, due]).lastrowid or 0

    return Note(await context.state.run(insert), text, due)


@service.method("note.list")
async def notes(context: Context[Pool]) -> list[Note]:
    """All notes, the oldest first."""
    rows = await context.state.run(lambda connection: connection.execute("SELECT id, text, due FROM note").fetchall())
    return [Note(*row) for row in rows]


@service.method("note.remove")
async def remove(context: Context[Pool], id: int) -> None:
    """Remove a note. Error 1: there is none with this id."""

    def delete(connection: sqlite3.Connection) -> int:
        return connection.execute("DELETE FROM note WHERE id = ?", [id]).rowcount

    if not await context.state.run(delete):
        raise RpcError(NO_SUCH_NOTE, "No such note", {"id": id})


@service.on("connection.opened")
async def greet(event: ConnectionOpened, context: HookContext[Pool]) -> None:
    """Tell a new client how many notes there are."""
    (count,) = await context.state.run(lambda connection: connection.execute("SELECT count(*) FROM note").fetchone())
    context.notify("note.count", {"count": count})
