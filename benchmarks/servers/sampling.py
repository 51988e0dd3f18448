"""The folders in which a server spends its CPU time, by samples.

A timer of CPU time interrupts the process: on Linux as often as its clock ticks, 100 to 1,000 times a second. The file
of the innermost frame of Python counts; time in C code counts for the Python code that called it. So a call does not
become slower, as it does under a profiler.
"""

from __future__ import annotations

import signal
import sysconfig
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath
from types import FrameType
from typing import Final

EVERY: Final = 0.001
"""Seconds of CPU time between two samples."""

LIBRARIES: Final = sysconfig.get_path("purelib")
RINGS: Final = ("core", "transports", "adapters")


class Samples:
    """Samples of this process. Its main thread must be the one that serves."""

    def __init__(self) -> None:
        self._files: Final[Counter[str]] = Counter()

    def start(self) -> None:
        """Take samples from now on."""
        signal.signal(signal.SIGPROF, self._take)
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)

    def _take(self, _: int, frame: FrameType | None) -> None:
        if frame is not None:
            self._files[frame.f_code.co_filename] += 1

    def by_folder(self) -> Mapping[str, int]:
        """Return the samples by folder of this project, by package of another, or `the standard library`; and start
        again."""
        folders: Counter[str] = Counter()
        for file, samples in list(self._files.items()):
            folders[folder(file)] += samples
        self._files.clear()
        return folders


def folder(file: str) -> str:
    """Return the name under which a file's samples are counted.

    >>> folder("x/core/posthouse/core/calls/calls.py")
    'core/calls'
    >>> folder("x/core/posthouse/core/gateway.py")
    'core'
    """
    parts = PurePath(file).parts
    for ring in RINGS:
        if parts[:-1].count(ring) and "posthouse" in parts:
            inside = parts[parts.index("posthouse") + 1 : -1]
            return "/".join(inside[:2])
    if file.startswith(LIBRARIES):
        return PurePath(file).relative_to(LIBRARIES).parts[0].removesuffix(".py")
    return "benchmark" if "benchmarks" in parts else "the standard library"
