"""Rounds: a process writes, is killed at a moment that is drawn, and what is left is compared with what it has told."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final

import anyio
from msgspec import Struct, field
from posthouse.adapters.store import Done, FindSession, FindUser, ResumeSession, SqliteStore

from tests.adapters.loopback import ENVIRONMENT, ROOT
from tests.crash.victim import FOREVER, digest

MOST_LINES: Final = 600
"""A process is killed after as many lines at most."""


class Session(Struct):
    """What was told of a session: its count, its secret, and one that it may have got without being told."""

    count: int
    secret: str
    fresh: str | None = None
    ends: bool = False
    ended: bool = False


class Told(Struct):
    """What a process has told."""

    sessions: dict[str, Session] = field(default_factory=dict)
    passwords: dict[str, int] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        """One line."""
        match line.split():
            case ["session", id, count, secret]:
                self.sessions[id] = Session(int(count), secret)
            case ["resumes", id, fresh]:
                self.sessions[id].fresh = fresh
            case ["ends", id]:
                self.sessions[id].ends = True
            case ["ended", id]:
                self.sessions[id].ended = True
            case ["user", name, password]:
                self.passwords[name] = int(password)


def kill_one(path: Path, round: int, random: Random) -> Told:
    """Let a process write, and kill it."""
    told = Told()
    command = [sys.executable, "-m", "tests.crash.victim", str(path), str(round)]
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True, cwd=ROOT) as victim:
        assert victim.stdout is not None
        lines = iter(victim.stdout)
        assert next(lines) == "open\n"
        for _ in range(random.randrange(MOST_LINES)):
            told.hear(next(lines))
        victim.send_signal(signal.SIGKILL)
        for line in lines:  # what it has told before it died
            if line.endswith("\n"):
                told.hear(line)
    return told


async def check(path: Path, told: Told) -> None:
    """Everything that was acknowledged is there: data, secrets, passwords, and the ends of sessions."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store = SqliteStore(path)
    await store.open()
    try:
        for id, session in told.sessions.items():
            found = await store.perform(FindSession(id, 0.0, FOREVER))
            assert isinstance(found, Done)
            row = found.value
            if row is None:
                assert session.ends, f"session {id} was acknowledged, and is lost"
                continue
            assert not session.ended, f"the end of session {id} was acknowledged, and is lost"
            count = int(row.data.partition(b":")[2].rstrip(b"}") or 0)
            assert count in (session.count, session.count + 1), f"{id} has {count}: {session} was acknowledged"
            secret = session.secret if row.current == digest(session.secret) else session.fresh
            assert secret is not None, f"session {id} has another secret than was acknowledged"
            resumed = await store.perform(ResumeSession("w", id, digest(secret), digest("next"), 0.0, FOREVER))
            assert isinstance(resumed, Done), f"session {id} cannot be resumed: {resumed}"
        for name, password in told.passwords.items():
            found = await store.perform(FindUser(name))
            assert isinstance(found, Done)
            assert found.value is not None, f"user {name} was acknowledged, and is lost"
            assert int(found.value.password) in (password, password + 1), f"the password of {name} is an old one"
    finally:
        await store.close()


def rounds(path: Path, count: int, seed: int) -> int:
    """Kill so many processes. Returns how many facts they had acknowledged."""
    random, facts = Random(seed), 0
    for round in range(count):
        told = kill_one(path, round, random)
        anyio.run(check, path, told)
        facts += len(told.sessions) + len(told.passwords)
    return facts
