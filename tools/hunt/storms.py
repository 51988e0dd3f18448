"""Storms for a mutant, each in a process that is forked for it and has not imported the product before.

The mutant is in its place before the first import, so that constants and declarations are mutated like everything else.
The process that forks has imported all libraries.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import process_time
from types import FrameType
from typing import Final, NoReturn

from msgspec import Struct
from msgspec.json import decode, encode

from tools.mutate.mutants import Mutant
from tools.mutate.planting import Planted

from .rings import Module

LENGTHS: Final = (5.0, 20.0, 5.0, 5.0)
"""The simulated lengths of the storms of a hunt, in turn. Short storms draw more scenarios."""

ENDLESS: Final = 30.0
"""A storm that takes more CPU seconds does not end. A usual one takes less than one."""

STANDSTILL: Final = 30.0
"""A storm that takes no CPU time for so many seconds stands still: it waits for something that never comes."""

PROGRESS: Final = 0.005
"""CPU seconds that a storm takes within `STANDSTILL`, however busy the machine is."""

MEMORY: Final = 2 << 30
"""The most bytes of data of a storm."""

STACK: Final = 512 << 10
"""The bytes of the stack of each thread of a storm. Storms have many threads, which count as data."""

LIBRARIES: Final = (
    *("anyio", "anyio._backends._asyncio", "anyio.from_thread", "asyncio", "h11", "wsproto", "msgspec.json"),
    *("logging.handlers", "ssl", "typing_extensions", "unittest.mock", "concurrent.futures.thread", "zlib"),
)
"""Imported before the first fork, so that no child does it again."""


class Subject(Struct, frozen=True, eq=False):
    """A copy of the product in `tree`, with a mutant in one of its modules, or without."""

    tree: Path
    module: Module | None = None
    mutant: Mutant | None = None


class Storms(Struct, frozen=True):
    """How far storms came: so many, in so many CPU seconds. `alarm` is what the last one said, None if it was calm;
    `seed` and `seconds` repeat it."""

    storms: int = 0
    took: float = 0.0
    seed: int = 0
    seconds: float = 0.0
    alarm: str | None = None


def prepare() -> None:
    """Import the libraries. Do it once, before the first fork."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            __import__(name)


def run(subject: Subject, first: int, budget: float) -> Storms:
    """Run storms from the seed `first` on, until one alarms or `budget` CPU seconds have passed."""
    return _forked(subject, lambda tell: _many(subject, first, budget, tell))


def repeat(subject: Subject, storms: Storms) -> Storms:
    """Run the last of these storms again, by itself."""
    return _forked(subject, lambda tell: _one(storms.seed, storms.seconds, 0, tell))


Tell = Callable[[Storms], None]


def _many(subject: Subject, first: int, budget: float, tell: Tell) -> None:
    for storms in count():
        seconds = LENGTHS[storms % len(LENGTHS)]
        if _one(first + storms, seconds, storms, tell) or process_time() > budget:
            return


def _one(seed: int, seconds: float, before: int, tell: Tell) -> bool:
    """Run one storm. Returns True if it alarms."""
    signal.setitimer(signal.ITIMER_PROF, ENDLESS)
    _watch_progress()
    tell(Storms(before, process_time(), seed, seconds, "the storm does not end"))  # if this is the last word
    alarm = None
    try:
        from posthouse.adapters.simulation import Failed, attempt

        outcome = attempt(seed, seconds)
        if isinstance(outcome, Failed):
            alarm = outcome.error.sentence if ": " in outcome.error.sentence else outcome.error.text
    except BaseException as error:  # the server or the world does not even start
        alarm = f"{type(error).__name__}: {error}"
    tell(Storms(before + 1, process_time(), seed, seconds, alarm and alarm.partition("\n")[0][:200]))
    return alarm is not None


def _watch_progress() -> None:
    """End this process when it stands still. `tell` has said so before."""
    used = process_time()

    def look(_number: int, _frame: FrameType | None) -> None:
        nonlocal used
        before, used = used, process_time()
        if used - before < PROGRESS:
            os._exit(0)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, STANDSTILL, STANDSTILL)


def _forked(subject: Subject, work: Callable[[Tell], object]) -> Storms:
    """Do this work in a child. Returns the last that it told."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        _child(subject, work, writing)
    os.close(writing)
    last = b""
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            last = line
    os.waitpid(pid, 0)
    return decode(last, type=Storms)


def _child(subject: Subject, work: Callable[[Tell], object], writing: int) -> NoReturn:
    def tell(storms: Storms) -> None:
        os.write(writing, encode(storms) + b"\n")

    try:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        threading.stack_size(STACK)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        sys.path[:0] = [str(subject.tree / ring) for ring in ("core", "transports", "adapters")]
        if subject.module is not None and subject.mutant is not None:
            file = subject.tree / subject.module.file
            sys.meta_path.insert(0, Planted(subject.module.imported, file, subject.mutant))
        work(tell)
        if found := strays(subject.tree):
            tell(Storms(alarm=f"these modules do not come from {subject.tree}: {', '.join(found)}"))
    finally:
        os._exit(0)


def strays(tree: Path) -> list[str]:
    """The modules of the product that were imported from elsewhere."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    ours = {name: file for name, file in files.items() if name.startswith("posthouse.") and file is not None}
    return sorted(name for name, file in ours.items() if not Path(file).is_relative_to(tree))
