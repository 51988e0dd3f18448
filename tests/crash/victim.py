"""The process that is killed: it writes to a store from many tasks, and says on its output what was acknowledged.

`python -m tests.crash.victim PATH ROUND`. A line has a word, the id of a session or a name, and what it has now.
"""

from __future__ import annotations

import sys
from hashlib import sha256

import anyio
from posthouse.adapters.store import (
    AddSession,
    AddUser,
    ChangeUser,
    Done,
    EndSession,
    Request,
    ResumeSession,
    SessionRow,
    SqliteStore,
    UpdateSession,
    UserRow,
)
from posthouse.core.values.peers import Identity

TASKS = 8
FOREVER = 1e12


def digest(secret: str) -> bytes:
    """The digest of a secret."""
    return sha256(secret.encode()).digest()


def say(*words: object) -> None:
    """Tell the parent."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def sessions(store: SqliteStore, task: str) -> None:
    """Create sessions, update and resume them, and end some."""
    for number in range(1_000_000):
        id, secret = f"{task}-{number}", "0"
        row = SessionRow(
            id=id, identity=Identity(task), current=digest(secret), created_at=0.0, used_at=0.0, ends_at=FOREVER
        )
        await done(store, AddSession("w", row, 10**9, 10**9, 0.0, FOREVER))
        say("session", id, 0, secret)
        for count in range(1, 6):
            await done(store, UpdateSession("w", id, b'{"count":%d}' % count, (), None, 100, 0.0, FOREVER))
            say("session", id, count, secret)
            fresh = str(count)
            say("resumes", id, fresh)
            await done(store, ResumeSession("w", id, digest(secret), digest(fresh), 0.0, FOREVER))
            secret = fresh
            say("session", id, count, secret)
        if number % 2:
            say("ends", id)
            await done(store, EndSession("w", id))
            say("ended", id)


async def users(store: SqliteStore, task: str) -> None:
    """Register users, and change their passwords."""
    for number in range(1_000_000):
        name = f"{task}-{number}"
        await done(store, AddUser("w", UserRow(user=name, password="0", created_at=0.0), 10**9))
        say("user", name, 0)
        for password in range(1, 4):
            await done(store, ChangeUser("w", name, password=str(password)))
            say("user", name, password)


async def done(store: SqliteStore, request: Request) -> None:
    """Perform a request that nothing refuses."""
    outcome = await store.perform(request)
    assert isinstance(outcome, Done), outcome


async def main(*words: str) -> None:
    """Write until this process is killed."""
    path, round = words
    store = SqliteStore(path)
    await store.open()
    say("open")
    async with anyio.create_task_group() as group:
        for number in range(TASKS):
            group.start_soon(sessions, store, f"{round}-{number}")
            group.start_soon(users, store, f"{round}-{number}")


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
