"""Requests, performed on the connections of one file: writes in groups, each of which is one transaction.

One commit, which waits for the disk, is shared by all writes that came while it was waited for. If the file cannot be
written, its writes fail, and the next ones try again on a new connection: it recovers as soon as the disk does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from posthouse.adapters.report import ERROR, INFO, report
from posthouse.core.operations.operations import Failed
from posthouse.core.store.outcomes import MaybeApplied, StoreOutcome

from .changes import Changes
from .look_ups import LookUps

Connect = Callable[[], sqlite3.Connection]

OF_THE_FILE: Final = (sqlite3.OperationalError, sqlite3.InternalError)
"""Errors of the file or the disk. SQLite calls a file that is damaged a DatabaseError, and nothing more special."""


class Connected:
    """A connection that is opened when it is needed, and anew after the file has failed."""

    def __init__(self, connect: Connect) -> None:
        self._connect: Final = connect
        self._db: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        """The connection. Raises sqlite3.Error if there can be none."""
        if self._db is None:
            self._db = self._connect()
        return self._db

    def close(self) -> None:
        """Close it: a transaction that is not committed is undone."""
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error:
                pass  # a file that fails cannot be tidied up: the next connection does it

    @staticmethod
    def at_fault(error: Exception) -> bool:
        """Has the file failed, and not the request?"""
        return isinstance(error, OF_THE_FILE) or type(error) is sqlite3.DatabaseError


class Writer:
    """Performs writes. It logs when the file begins to fail, and when it works again."""

    def __init__(self, connect: Connect) -> None:
        self._connected: Final = Connected(connect)
        self._changes: Changes | None = None
        self._failing = False

    def perform(self, requests: Sequence[Any]) -> list[StoreOutcome]:
        """The outcomes of these writes, in their order: all in one transaction."""
        outcomes = self._transact(requests)
        if outcomes is None and len(requests) > 1:
            return [outcome for request in requests for outcome in self.perform([request])]
        return outcomes or [Failed()]

    def _transact(self, requests: Sequence[Any]) -> list[StoreOutcome] | None:
        """None: one of the requests cannot be done, though the file could be written."""
        committing = False
        try:
            db = self._connected.open()
            if self._changes is None:
                self._changes = Changes(db)
            db.execute("BEGIN IMMEDIATE")
            outcomes: list[StoreOutcome] = [self._changes.perform(request) for request in requests]
            committing = True
            db.execute("COMMIT")
        except Exception as error:
            self.close()
            if not Connected.at_fault(error):
                if len(requests) == 1:
                    _report_failure(requests[0], error)
                return None
            self._note_failure(error)
            # The disk may have what it has not confirmed: it is not known then whether the file has it after a crash.
            return [MaybeApplied() if committing else Failed()] * len(requests)
        self._note_success()
        return outcomes

    def close(self) -> None:
        """Close the connection, and undo what was not committed."""
        self._changes = None
        self._connected.close()

    def _note_failure(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            text = "the store cannot be written: {reason}; writes fail until it can"
            report(ERROR, "store.unavailable", text, reason=str(error))

    def _note_success(self) -> None:
        if self._failing:
            self._failing = False
            report(INFO, "store.recovered", "the store can be written again")


class Reader:
    """Performs reads, each as the file is after the last commit before it."""

    def __init__(self, connect: Connect) -> None:
        self._connected: Final = Connected(connect)

    def perform(self, requests: Sequence[Any]) -> list[StoreOutcome]:
        """The outcomes of these reads, in their order."""
        return [self._read(request) for request in requests]

    def _read(self, request: Any) -> StoreOutcome:
        try:
            return LookUps(self._connected.open()).perform(request)
        except Exception as error:
            self.close()
            _report_failure(request, error)
            return Failed()

    def close(self) -> None:
        """Close the connection."""
        self._connected.close()


def _report_failure(request: Any, error: Exception) -> None:
    kind = type(request).__name__
    report(ERROR, "store.failed", "the store failed to perform {request}", request=kind, raised=error)
