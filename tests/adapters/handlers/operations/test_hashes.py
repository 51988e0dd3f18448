"""Hashes of passwords in the store: each is concluded once, in the threads that hash."""

from __future__ import annotations

import logging
import threading
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from posthouse.adapters.authenticators.hashes import Parameters, make_hash
from posthouse.adapters.handlers.operations.hashes import Hashes
from posthouse.adapters.handlers.workers import Workers
from posthouse.adapters.system.machine import Machine
from posthouse.core.operations.operations import Busy, Failed, Hashed, Matched, Refused
from posthouse.core.values.config import Config
from posthouse.core.values.effects import ComparePassword, HashPassword, Withdraw
from posthouse.core.values.peers import OperationId

pytestmark = pytest.mark.anyio

ONE, TWO = OperationId(1), OperationId(2)
CONFIG = Config(argon2_memory=8192, argon2_passes=1, argon2_lanes=1)
SALT = bytes(16)


class Hashing:
    """A server's threads, and the conclusions that its gateway gets."""

    def __init__(self, queue: int = 9) -> None:
        poller = SimpleNamespace(call_soon=self.call_soon)
        board = SimpleNamespace(config=CONFIG, conclude=self.conclude)
        runner: Any = SimpleNamespace(poller=poller, board=board, now=lambda: 0.0)
        tasks: Any = SimpleNamespace(fresh=copy_context)
        self.threads = Workers(Machine().threads, 1, queue)
        self.hashes = Hashes(runner, tasks, self.threads)
        self.concluded: list[tuple[OperationId, object]] = []
        self.ended = anyio.Event()
        self.loop = anyio.lowlevel.current_token()

    def call_soon(self, callback: Any) -> None:
        anyio.from_thread.run_sync(callback, token=self.loop)

    def conclude(self, operation: OperationId, outcome: object, now: float) -> None:
        self.concluded.append((operation, outcome))
        self.ended.set()

    async def outcome(self, action: HashPassword | ComparePassword) -> object:
        (self.hashes.hash if isinstance(action, HashPassword) else self.hashes.compare)(cast("Any", action))
        with anyio.fail_after(60):
            await self.ended.wait()
        self.threads.close()
        ((_, outcome),) = self.concluded
        return outcome


async def test_a_hash_is_that_of_the_password_with_this_salt() -> None:
    made = await Hashing().outcome(HashPassword(ONE, "pw", SALT))
    assert isinstance(made, Hashed)
    assert made.text.startswith("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$")
    assert await Hashing().outcome(ComparePassword(ONE, "pw", made.text)) == Matched()
    assert await Hashing().outcome(ComparePassword(ONE, "other", made.text)) == Refused()


async def test_a_password_without_a_hash_is_hashed_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Any] = []
    monkeypatch.setattr(
        "posthouse.adapters.handlers.operations.hashes.hash_in_vain", lambda *given: hashed.append(given)
    )
    assert await Hashing().outcome(ComparePassword(ONE, "pw \ud800", None)) == Refused()
    assert hashed == [(b"pw \xed\xa0\x80", Parameters.of(CONFIG))]


@pytest.mark.parametrize("text", ["no hash", make_hash(b"pw", Parameters(1, 16, 1))], ids=["no_hash", "a_hash"])
async def test_a_hash_that_cannot_be_compared_fails_and_is_logged(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "posthouse"):
        assert await Hashing().outcome(ComparePassword(ONE, "pw", text)) == Failed()
    (record,) = caplog.records
    assert "a password could not be hashed" in record.getMessage()


async def test_a_queue_that_is_full_takes_no_further_hash_and_one_that_waits_can_be_withdrawn() -> None:
    hashing, goes_on, begun = Hashing(queue=1), threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        goes_on.wait(60)

    hashing.threads.submit(block)
    await anyio.to_thread.run_sync(begun.wait)
    hashing.hashes.compare(ComparePassword(ONE, "pw", None))
    hashing.hashes.hash(HashPassword(TWO, "pw", SALT))
    assert hashing.concluded == [(TWO, Busy())]
    hashing.hashes.withdraw(Withdraw(ONE))
    hashing.hashes.withdraw(Withdraw(ONE))
    hashing.hashes.withdraw(Withdraw(TWO))
    assert hashing.concluded == [(TWO, Busy()), (ONE, Refused())]
    goes_on.set()
    hashing.threads.close()


async def test_nobody_hears_of_a_hash_that_ends_after_the_server() -> None:
    hashing, goes_on = Hashing(), threading.Event()
    hashing.threads.submit(lambda: cast("Any", goes_on.wait)(60))
    hashing.hashes.compare(ComparePassword(ONE, "pw", None))
    hashing.hashes.stop()
    heard = anyio.Event()
    hashing.threads.submit(lambda: hashing.call_soon(heard.set))
    goes_on.set()
    with anyio.fail_after(60):
        await heard.wait()
    assert hashing.concluded == []
    hashing.threads.close()
