"""Hashes of passwords that the store keeps: every `HashPassword` and `ComparePassword` gets exactly one `conclude`.

They are made in the few threads that hash. A comparison with no hash takes as long as one with a hash.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec import Struct
from posthouse.adapters.authenticators.hashes import Parameters, hash_in_vain, hash_with, matches, parameters_of
from posthouse.adapters.handlers.firewall import InThread, alone
from posthouse.adapters.handlers.run import job
from posthouse.adapters.handlers.tasks import Tasks
from posthouse.adapters.handlers.workers import Job, Workers
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import ERROR, report
from posthouse.core.operations.operations import Busy, Failed, Hashed, Matched, Refused
from posthouse.core.service.method import Outcome, Returned
from posthouse.core.values.config import KIB
from posthouse.core.values.effects import ComparePassword, HashPassword, Withdraw
from posthouse.core.values.peers import OperationId


class Hashing(Struct, eq=False):
    """One hash that has not ended. `job` is in the queue of the threads, or runs."""

    operation: OperationId
    job: Job


class Hashes:
    """Performs `HashPassword`, `ComparePassword` and their `Withdraw` in these threads."""

    def __init__(self, runner: Runner, tasks: Tasks, threads: Workers) -> None:
        self._runner: Final = runner
        self._tasks: Final = tasks
        self._threads: Final = threads
        config = runner.board.config
        self._parameters: Final = Parameters.of(config)
        self._most_memory: Final = config.argon2_memory // KIB
        self._running: Final[dict[OperationId, Hashing]] = {}

    def hash(self, action: HashPassword) -> None:
        self._submit(action.operation, InThread(self._hash, (action.password, action.salt), {}))

    def compare(self, action: ComparePassword) -> None:
        self._submit(action.operation, InThread(self._compare, (action.password, action.hash), {}))

    def withdraw(self, action: Withdraw) -> None:
        """This operation is no longer needed. If it runs already, it goes on to its end."""
        run = self._running.get(action.operation)
        if run is not None and self._threads.withdraw(run.job):
            self._ended(action.operation, Returned(Refused()))

    def _submit(self, operation: OperationId, waits: InThread) -> None:
        work = job(self._runner.poller.call_soon, self._tasks.fresh(), waits, partial(self._ended, operation))
        self._running[operation] = Hashing(operation, work)
        if not self._threads.submit(work):
            self._ended(operation, Returned(Busy()))

    def _hash(self, password: str, salt: bytes) -> Hashed:
        return Hashed(hash_with(_bytes(password), salt, self._parameters))

    def _compare(self, password: str, text: str | None) -> Matched | Refused:
        if text is None:
            hash_in_vain(_bytes(password), self._parameters)
            return Refused()
        parameters = parameters_of(text)
        if parameters is None or parameters.memory > self._most_memory:
            raise ValueError("a hash in the store is not one of argon2id, or needs more than argon2_memory")
        return Matched() if matches(text, _bytes(password)) else Refused()

    def _ended(self, operation: OperationId, outcome: Outcome) -> None:
        if self._running.pop(operation, None) is None:
            return  # the server has ended
        conclusion: object = Failed()
        if isinstance(outcome, Returned):
            conclusion = outcome.value
        else:
            report(ERROR, "password.failed", "a password could not be hashed", raised=alone(outcome.error))
        self._runner.board.conclude(operation, conclusion, self._runner.now())

    def stop(self) -> None:
        """The server ends: nobody hears of the hashes that run."""
        self._running.clear()


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
