"""The process that atheris runs in: it imports what is fuzzed with its instruments, and never returns.

`python -m tests.fuzz.child TARGET [options and folders of libFuzzer]`. It is started by `python -m tests.fuzz`.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import atheris

INSTRUMENTED: Final = ["posthouse.core", "posthouse.transports", "h11", "wsproto"]

ROUND: Final = 20_000
"""After so many inputs it is looked at what they left behind."""

MOST_GROWTH: Final = 16 * 1024
"""Pages that the process may grow by in a round, after the first one: 64 MiB."""

MOST_LEFT: Final = 5_000
"""Objects that a round may leave behind for good, after the first one: caches have their size by then."""


class Leftovers:
    """Runs a target, and looks now and then whether what it runs leaves more and more behind."""

    def __init__(self, run: Callable[[bytes], None]) -> None:
        self._run = run
        self._runs = 0
        self._objects = 0
        self._pages = 0

    def __call__(self, data: bytes) -> None:
        try:
            self._run(data)
            self._runs += 1
            if self._runs % ROUND == 0:
                self._count()
        except BaseException:
            # Python's end takes libFuzzer's alarm from its handler: it could kill the process before the input is kept.
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise

    def _count(self) -> None:
        gc.collect()
        objects, pages = len(gc.get_objects()), int(Path("/proc/self/statm").read_text().split()[1])
        if self._runs > ROUND:
            assert objects - self._objects < MOST_LEFT, f"{objects - self._objects} objects are left of {ROUND} inputs"
            assert pages - self._pages < MOST_GROWTH, f"{pages - self._pages} pages are left of {ROUND} inputs"
        self._objects, self._pages = objects, pages


def main() -> None:
    """Fuzz the one target until libFuzzer ends the process."""
    _, name, *options = sys.argv
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.mutating import mutate
        from tests.fuzz.registry import TARGETS
    target = TARGETS[name]

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        """Half of the inputs are changed by us, half by libFuzzer."""
        if seed % 2:
            return bytes(atheris.Mutate(data, most))
        return mutate(target, data, Random(seed))[:most]

    # libFuzzer starts itself anew, through a shell, when it merges.
    atheris.Setup(
        [f"{sys.executable} -m tests.fuzz.child {name}", *options],
        Leftovers(target.run),
        custom_mutator=mutated,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
