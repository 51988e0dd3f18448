"""The file of a journal: bounded, readable by its owner only, and written by a thread.

A journal can be replayed only from its beginning. So it is not rotated: at its bound, recording ends with a last line
that says so. A new process begins a new file and keeps the previous one as `FILE.1`. The event loop hands lines to a
thread and never waits for the disk. An error of the disk ends the recording, not the service.
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

from .format import End, encode_line

DEFAULT_BYTES: Final = 64 * 1024 * 1024
"""The default bound of a journal, in bytes."""

MIN_BYTES: Final = 64 * 1024
"""The smallest bound that is accepted: it has room for a header and some entries."""

MAX_UNWRITTEN: Final = 8 * 1024 * 1024
"""The number of bytes that may wait for the disk. If more wait, recording ends."""

FULL: Final = "the size limit was reached: {left} bytes were left, and the next entry has {size}"
LAST: Final = encode_line(End(FULL.format(left=2**53, size=2**53)))
"""The longest last line. There is always room for it."""

CLOSED: Final = "the server stopped"
SLOW: Final = "the disk was too slow"


class JournalFile:
    """Takes the lines of one journal (`write`) until `close`. Raises OSError if the file cannot be created, UsageError
    if the path is not a regular file or the bound is too small.

    `sink` writes bytes to a descriptor and returns how many it wrote. A test passes its own.
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
        self._ended = False
        self._broken = False
        self._thread: Final = Thread(target=self._write_all, name="posthouse-journal", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> bool:
        """Take one line. False: recording has ended; the reason was logged once."""
        if self._ended or self._broken:
            return False
        if len(line) > self._left:
            return self._stop(FULL.format(left=self._left, size=len(line)), left=self._left, size=len(line))
        self._left -= len(line)
        with self._changed:
            slow = len(self._unwritten) > MAX_UNWRITTEN
            if not slow:
                self._unwritten += line
                self._changed.notify()
        return self._stop(SLOW) if slow else True

    def close(self) -> None:
        """Write the lines that wait, and the end. Waits for the disk."""
        if not self._ended:
            self._end(CLOSED)
        self._thread.join()

    def _stop(self, reason: str, **sizes: int) -> bool:
        self._report_end(reason, **sizes)
        self._end(reason)
        return False

    def _report_end(self, reason: str, left: int | None = None, size: int | None = None) -> None:
        text = "stopped recording the journal: {reason}; the server continues"
        report(WARNING, "journal.ended", text, path=self.path, reason=reason, left=left, size=size)

    def _end(self, reason: str) -> None:
        with self._changed:
            self._unwritten += encode_line(End(reason))
            self._ended = True
            self._changed.notify()

    def _write_all(self) -> None:
        ended = False
        while not ended:
            with self._changed:
                while not self._unwritten and not self._ended:
                    self._changed.wait()
                data, self._unwritten = bytes(self._unwritten), bytearray()
                ended = self._ended
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
            self._report_end(error.strerror or repr(error))


def _open(path: str) -> int:
    """Create a file that only its owner may read. An existing one is renamed to `FILE.1`."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise UsageError(f"{path} is not a file: a journal needs a file of its own")
        os.replace(path, f"{path}.1")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
