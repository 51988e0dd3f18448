"""A journal's file: bounded, private, and never in the way of who serves.

A journal can be replayed from its beginning only, so at its bound it ends, with a last line that says so, and what it
has is a whole beginning. A new process begins a new file, and the one before is kept beside it as `FILE.1`. Lines are
handed to a thread: the loop that serves waits for no disk. What goes wrong there ends the recording, not the service.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread
from typing import Final

from posthouse.adapters.report import WARNING, report
from posthouse.core.values.errors import UsageError

from .entries import End, encode_line

DEFAULT_BYTES: Final = 64 * 1024 * 1024
"""The bound of a journal, unless another is asked for."""

MIN_BYTES: Final = 64 * 1024
"""The least bound that makes sense: room for a header and what follows."""

MAX_UNWRITTEN: Final = 8 * 1024 * 1024
"""Bytes that may wait for the disk: when it does not keep up with them, recording ends."""

FULL: Final = "the size limit was reached"
LAST: Final = encode_line(End(FULL))

CLOSED: Final = "the server stopped"
SLOW: Final = "the disk was too slow"


class JournalFile:
    """Takes the lines of one journal (`write`) until `close`. Raises OSError for a file that cannot be had, UsageError
    for what is no file or no bound.

    `sink` writes bytes to a descriptor and says how many went: `os.write`, unless a test has its own.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_bytes: int = DEFAULT_BYTES,
        *,
        sink: Callable[[int, bytes], int] = os.write,
    ) -> None:
        if max_bytes < MIN_BYTES:
            raise UsageError(f"a journal of {max_bytes} bytes is too small: the minimum is {MIN_BYTES}")
        self.path: Final = os.fspath(path)
        self._left = max_bytes - len(LAST)
        self._sink: Final = sink
        self._file: Final = _open(self.path)
        self._changed: Final = Condition()
        self._unwritten = bytearray()
        self._over = False
        self._broken = False
        self._thread: Final = Thread(target=self._write_all, name="posthouse-journal", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> bool:
        """Take one line. False: recording has ended; why was logged, once."""
        if self._over or self._broken:
            return False
        if len(line) > self._left:
            return self._stop(FULL)
        self._left -= len(line)
        with self._changed:
            slow = len(self._unwritten) > MAX_UNWRITTEN
            if not slow:
                self._unwritten += line
                self._changed.notify()
        return self._stop(SLOW) if slow else True

    def close(self) -> None:
        """Write what is left, and the end. Waits for the disk."""
        if not self._over:
            self._end(CLOSED)
        self._thread.join()

    def _stop(self, reason: str) -> bool:
        self._tell(reason)
        self._end(reason)
        return False

    def _tell(self, reason: str) -> None:
        text = "stopped recording the journal: {reason}; the server continues"
        report(WARNING, "journal.ended", text, path=self.path, reason=reason)

    def _end(self, reason: str) -> None:
        with self._changed:
            self._unwritten += encode_line(End(reason))
            self._over = True
            self._changed.notify()

    def _write_all(self) -> None:
        over = False
        while not over:
            with self._changed:
                while not self._unwritten and not self._over:
                    self._changed.wait()
                data, self._unwritten = bytes(self._unwritten), bytearray()
                over = self._over
            if not self._broken:
                self._write_through(data)
        with suppress(OSError):
            os.close(self._file)

    def _write_through(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._sink(self._file, data) :]
        except OSError as error:
            self._broken = True
            self._tell(error.strerror or repr(error))


def _open(path: str) -> int:
    """A new file that only its owner may read; the one that was there is the older generation now."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise UsageError(f"{path} is not a file: a journal needs a file of its own")
        os.replace(path, f"{path}.1")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
