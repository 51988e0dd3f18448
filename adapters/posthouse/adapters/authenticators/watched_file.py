"""A file of credentials that is read again when it has changed.

Whether it has changed is asked at most once a second, when its content is needed. A file that cannot be read, or whose
content is invalid, is an error at first. Later it is logged, and the content that was read before stays.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

from posthouse.adapters.report import ERROR, INFO, report
from posthouse.core.values.errors import UsageError

Content = TypeVar("Content")

EVERY: Final = 1.0
"""Seconds between two looks at the file."""

MAX_BYTES: Final = 16 * 1024 * 1024
"""The largest file that is read."""

Stamp = tuple[int, int, int, int] | None
"""Differs if the file differs: when it was written, its size, its number. None: it is not there."""


class WatchedFile(Generic[Content]):
    """The content of a file, parsed. `parse` gets the text, and raises UsageError with the line if it is invalid."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        parse: Callable[[str], Content],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path: Final = os.fspath(path)
        self._parse: Final = parse
        self._now: Final = now
        self._lock: Final = Lock()
        self._looked = now()
        self._stamp = self._look()
        self._content = self._read()

    @property
    def content(self) -> Content:
        """The content. Any thread may ask."""
        with self._lock:
            now = self._now()
            if now - self._looked >= EVERY:
                self._looked = now
                stamp = self._look()
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._read_again()
            return self._content

    def reload(self) -> None:
        """Parse it once more, because the rules have changed. Raises UsageError if the content breaks them."""
        with self._lock:
            self._stamp = self._look()
            self._content = self._read()

    def _read_again(self) -> None:
        try:
            self._content = self._read()
        except UsageError as error:
            text = "{reason}: the entries that were read before still count"
            report(ERROR, "credentials.unreadable", text, reason=error)
        else:
            report(INFO, "credentials.read", "read {file} again", file=self.path)

    def _look(self) -> Stamp:
        try:
            found = os.stat(self.path)
        except (OSError, ValueError):
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino  # a new mode changes the second

    def _read(self) -> Content:
        try:
            with open(self.path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read {self.path}: {getattr(error, 'strerror', None) or error}") from None
        if len(data) > MAX_BYTES:
            raise UsageError(f"{self.path} has more than {MAX_BYTES} bytes: it cannot be a file of credentials")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise UsageError(f"{self.path}, line {line}: it is not UTF-8") from None
        try:
            return self._parse(text)
        except UsageError as error:
            raise UsageError(f"{self.path}{error}") from None
