"""Mutants before tests: each in a process forked for it, from one that has done already what all have in common.

There are two ways. The quick one: a process imports the module, lets pytest collect its tests, and forks; the child
gives the functions of the module the mutant's code and runs the tests. That shows nothing of a mutant outside of
functions, and not all of one in a function that was called by the imports already. These go the thorough way: the child
begins without anything of what is tested, and an import hook gives the module the mutant's code.

The one that forks has imported pytest, Hypothesis and every library, but nothing of what is tested.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time
from types import CodeType, FrameType, FunctionType
from typing import Final

import pytest
from hypothesis import Phase, settings

from .mutants import Mutant
from .planting import Planted

MEMORY: Final = 2 << 30
"""Bytes of addresses that one trial may have: a mutant that collects without end runs into it."""

PATIENCE: Final = 5.0
"""A mutant may take so many times the processor time that its tests take without one, and a second."""

UNFIT: Final = 255
"""The exit status of a trial that could not be had the quick way: the mutant's function closes over other names."""

MANY: Final = 254
"""So many tests and more a status cannot tell apart."""

OTHERS_SECONDS: Final = 200.0
"""Of processor time, for the tests beside a module's own."""

SLEEP: Final = 4.0
"""Seconds for which a trial may use no processor time: a mutant that never wakes its tests up is not noticed sooner."""

SAMPLE: Final = 0.5
"""Seconds between two looks at a trial."""

AWAKE: Final = 2
"""The clock ticks that a trial uses within `SLEEP` seconds if it does anything. A thread that looks now and then uses
fewer."""

LIBRARIES: Final = (
    *"_hypothesis_pytestplugin anyio anyio._backends._asyncio anyio._backends._trio asyncio coverage h11".split(),
    *"importlib.metadata logging.config msgspec trio trustme wsproto".split(),
)
"""Imported before the first fork, so that no child does it again."""

USELESS: Final = "cacheprovider debugging doctest faulthandler junitxml pastebin stepwise".split()
UNUSED: Final = (*USELESS, *"anyio logging threadexception unraisableexception".split())
"""Plugins of pytest that the tests of the server do not need, and those of core and transports. They cost a child more
than most mutants do."""


class Broken(Exception):
    """The tests fail while nothing is mutated. Says what pytest said."""


@dataclass(frozen=True)
class Subject:
    """The module to mutate, in the copy of the project at `root`, and the paths of its own tests and of others. With
    `loops`, the tests run event loops and read the log."""

    root: Path
    imported: str
    file: Path
    own: str
    others: tuple[str, ...]
    loops: bool = False


class Quick:
    """A plugin of pytest that, when the tests are collected, forks for each mutant instead of running them. Writes a
    line for each trial: its wait status, and whether that is all that there is to know; for the first, of the module as
    it is, its seconds.

    The first trial also notes which functions each test calls. A mutant is tried with the tests that call its function.
    `notes`: the file for that.
    """

    def __init__(self, subject: Subject, mutants: Sequence[Mutant], results: int, notes: Path) -> None:
        self._file = str(subject.file)
        self._mutants = mutants
        self._results = results
        self._notes = notes
        self._called: set[int] = set()  # the first lines of functions; only asked whether a line is among them
        self._profile(self._notice)

    def _profile(self, notice: Callable[[FrameType, str, object], None] | None) -> None:
        threading.setprofile(notice)
        sys.setprofile(notice)

    def _notice(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename == self._file:
            self._called.add(frame.f_code.co_firstlineno)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of the loop over the tests."""
        self._profile(None)
        if session.testsfailed:
            return False  # and pytest says what could not be collected
        items = session.items
        status, seconds = _ended(_fork(partial(self._clean, items), None))
        os.write(self._results, f"{status} {seconds}\n".encode())
        calling: dict[pytest.Item, list[int]] = {}
        if status == 0:
            noted = json.loads(self._notes.read_text())
            calling = {item: lines for item, (_, lines) in zip(items, noted, strict=True)}
            items = [items[place] for place in sorted(range(len(items)), key=lambda place: noted[place][0])]
        functions = self._functions()
        for mutant in self._mutants:
            chosen = [item for item in items if mutant.functions[-1] in calling.get(item, ())]
            status, _ = _ended(_fork(partial(self._mutated, chosen, functions, mutant), allowed(seconds)))
            if unfit := os.waitstatus_to_exitcode(status) == UNFIT:
                status = 0
            known = status != 0 or (not unfit and self._called.isdisjoint(mutant.functions))
            os.write(self._results, f"{status} {known:d}\n".encode())
            if os.WIFEXITED(status) and 0 < os.WEXITSTATUS(status) < MANY:
                # Who notices one mutant is likely to notice the next, too.
                noticed = chosen[os.WEXITSTATUS(status) - 1]
                items.remove(noticed)
                items.insert(0, noticed)
        return True

    def _clean(self, items: Sequence[pytest.Item]) -> int:
        """Run the tests without a mutant. Note the seconds of each test, and the functions that it calls."""
        noted: list[tuple[float, list[int]]] = []

        def begin() -> None:
            self._called = set()
            self._profile(self._notice)

        def end(seconds: float) -> None:
            self._profile(None)
            noted.append((seconds, sorted(self._called)))

        status = _loop(items, begin, end)
        self._notes.write_text(json.dumps(noted))
        return status

    def _functions(self) -> list[FunctionType]:
        """Every function of the module, wherever it is by now."""
        objects = (thing for thing in gc.get_objects() if isinstance(thing, FunctionType))
        return [function for function in objects if function.__code__.co_filename == self._file]

    def _mutated(self, items: Sequence[pytest.Item], functions: list[FunctionType], mutant: Mutant) -> int:
        codes = dict(_codes(mutant.code(self._file)))
        for function in functions:
            code = codes.get(_name(function.__code__))
            if code is not None and code.co_freevars != function.__code__.co_freevars:
                return UNFIT
            if code is not None:
                function.__code__ = code
        return _loop(items)


def prepare() -> None:
    """What the first process does once, before it forks."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            __import__(name)
    # What conftest.py registers inherits from this: the same examples each time, and no search for the least of them.
    settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("mutation")
    gc.collect()
    gc.freeze()


def statuses(subject: Subject, mutants: Sequence[Mutant], log: Path, ready: Callable[[], None]) -> Iterator[int]:
    """The wait status of each mutant's trial before the module's own tests: 0 when all passed. `ready` is called
    before each of the thorough trials. Raises Broken."""
    reading, writing = os.pipe()
    within = [mutant for mutant in mutants if mutant.functions]
    quick = partial(Quick, subject, within, writing, log.with_suffix(".calls"))
    warm = _fork(lambda: _pytest(subject, [subject.own], log, [quick()]), None)
    os.close(writing)
    with os.fdopen(reading) as results:
        clean, _, seconds = (results.readline() or "1 0").partition(" ")
        for mutant in mutants if clean == "0" else ():
            status, known = map(int, results.readline().split()) if mutant.functions else (0, 0)
            if not known:
                ready()
                status = thorough(subject, mutant, [subject.own], allowed(float(seconds)), log)
            yield status
    _ended(warm)
    if clean != "0":
        raise Broken(log.read_text(errors="replace"))


def thorough(subject: Subject, mutant: Mutant, tests: Sequence[str], seconds: float, log: Path) -> int:
    """The wait status of a mutant's trial before these tests, from the first import on."""

    def run() -> int:
        sys.meta_path.insert(0, Planted(subject.imported, subject.file, mutant))
        return _pytest(subject, tests, log, [])

    return _ended(_fork(run, seconds))[0]


def allowed(clean: float) -> float:
    """Seconds of processor time that a mutant may have whose tests take `clean` without it."""
    return clean * PATIENCE + 1.0


def _fork(work: Callable[[], int], seconds: float | None) -> int:
    """A child that does this work and ends with its result; `seconds` of processor time end it sooner."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if seconds is not None:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            signal.setitimer(signal.ITIMER_PROF, seconds)
            # If a mutant makes a test wait, processor time does not pass.
            signal.setitimer(signal.ITIMER_REAL, 60 + 10 * seconds)
        status = work()
    finally:
        os._exit(status)


def _ended(pid: int) -> tuple[int, float]:
    """Wait for its end, or end it when it sleeps for too long: its wait status and its seconds of processor time."""
    ended = select.poll()
    process = os.pidfd_open(pid)
    ended.register(process, select.POLLIN)
    asleep, before = 0.0, 0
    while not ended.poll(SAMPLE * 1000):
        ticks = _ticks(pid)
        if ticks is None or ticks - before >= AWAKE:
            asleep, before = 0.0, ticks or 0
            continue
        asleep += SAMPLE
        if asleep >= SLEEP:
            os.kill(pid, signal.SIGKILL)
            break
    os.close(process)
    _pid, status, usage = os.wait4(pid, 0)
    return status, usage.ru_utime + usage.ru_stime


def _ticks(pid: int) -> int | None:
    """The processor time of a process until now, in clock ticks. None: it runs, or has children that may run."""
    ticks = 0
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            fields = (thread / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "S" or (thread / "children").read_text():
                return None
            ticks += int(fields[11]) + int(fields[12])
    except OSError:
        return None  # it ends
    return ticks


def _pytest(subject: Subject, tests: Sequence[str], log: Path, plugins: list[object]) -> int:
    os.chdir(subject.root)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, target)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    options = ["-x", "-q", "-s", "--tb=short", "--assert=plain", "-c", "pyproject.toml", "--rootdir=."]
    without = [word for name in (USELESS if subject.loops else UNUSED) for word in ("-p", f"no:{name}")]
    return int(pytest.main([*options, *without, *tests], plugins))


def _loop(
    items: Sequence[pytest.Item],
    begins: Callable[[], object] = lambda: None,
    ends: Callable[[float], object] = lambda seconds: None,
) -> int:
    """Run these tests up to the first that fails: its place, from 1, or 0 when none did. `begins` and `ends` are called
    around each test."""
    for place, (item, following) in enumerate(zip(items, [*items[1:], None] if items else [], strict=True), 1):
        began = process_time()
        begins()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        ends(process_time() - began)
        if item.session.testsfailed:
            return min(place, MANY)
    return 0


def _codes(code: CodeType) -> Iterator[tuple[tuple[str, int, int], CodeType]]:
    """The code of every function in this code, by its name and place."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield _name(inner), inner
            yield from _codes(inner)


def _name(code: CodeType) -> tuple[str, int, int]:
    return code.co_qualname, code.co_firstlineno, code.co_argcount
