"""The keys of a source, as they were last read, and when they are read again: in a thread, one read at a time.

A token waits for a read if there is no key that it could have been signed with, or if the keys were last read ten
minutes ago: nobody knows whether the issuer has withdrawn them since. Keys that were read before still count if the
read fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread
from typing import Final

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token
from posthouse.adapters.report import INFO, WARNING, report

from .key import Key, Unusable
from .source import Source

EVERY: Final = 600.0
"""Seconds after which keys are read again before they are used."""

UNKNOWN: Final = 60.0
"""Seconds between two reads for tokens with an unknown `kid`, and after a read that has failed."""

RETRY: Final = 10.0
"""Seconds between two reads while no key was read yet."""


class KeyStore:
    """The keys of one source. Every method may be called in any event loop, and in several."""

    def __init__(self, source: Source, *, now: Callable[[], float] = time.monotonic) -> None:
        self._source: Final = source
        self._now: Final = now
        self._lock: Final = Lock()
        self._reading = False
        self._waiting: list[tuple[EventLoopToken, anyio.Event]] = []
        self._begun: float | None = now() if source.keys else None
        self._read_at = self._begun  # the beginning of the last read that did not fail
        self._failed = False
        self.keys: tuple[Key, ...] = source.keys

    def must_wait(self, *, known: bool) -> bool:
        """Must a token wait for a read? `known`: there is a key that may have signed it, so that it need not while that
        is fresh. Begins a read if one is due."""
        with self._lock:
            now = self._now()
            every = RETRY if not self.keys else EVERY if known and not self._failed else UNKNOWN
            due = self._begun is None or now - self._begun >= every
            if due and not self._reading:
                self._begun = now
                Thread(target=self._read, name="posthouse-keys", daemon=True).start()
                self._reading = True
            fresh = self._read_at is not None and now - self._read_at < EVERY
            return self._reading and not (known and fresh)

    async def read_again(self) -> None:
        """Wait until the read that runs has ended. Returns at once if none runs."""
        ended = anyio.Event()
        with self._lock:
            if not self._reading:
                return
            self._waiting.append((current_token(), ended))
        await ended.wait()

    def _read(self) -> None:
        failed = False
        try:
            keys = self._source.read()
        except Exception as error:
            failed = True
            reason = error if isinstance(error, Unusable) else f"{type(error).__name__}: {error}"
            text = "cannot read the keys of {source}: {reason}; those that were read before still count"
            report(WARNING, "keys.unreadable", text, source=self._source.name, reason=reason)
        else:
            if [key.kid for key in keys] != [key.kid for key in self.keys]:
                report(INFO, "keys.read", "read {count} keys of {source}", count=len(keys), source=self._source.name)
            self.keys = keys
        with self._lock:
            if not failed:
                self._read_at = self._begun
            self._reading, self._failed = False, failed
            waiting, self._waiting = self._waiting, []
        for token, ended in waiting:
            with suppress(Exception):  # its event loop has ended
                from_thread.run_sync(ended.set, token=token)
