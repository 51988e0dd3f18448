"""The garbage collector of a process that is a server: nothing that lives as long as the process is looked at again.

It does not know what a server holds. `docs/performance.md` has the figures.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

UNTOUCHED: Final = ((700, 10, 10), (2_000, 10, 10))
"""The thresholds with which Python starts. Others were chosen by the user, or mean something else: where the last one
is 0, the collector works in steps by itself."""

SERVING: Final = (5_000, 2, 100)
"""A young collection looks at 5,000 objects, a middle one at 15,000: both take less than 5 ms. The calls of plain
clients make no object that it looks at."""


@contextmanager
def tuned_collector() -> Iterator[None]:
    """While this is entered, leave out all objects that exist now, and use thresholds for a server."""
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    if thresholds in UNTOUCHED:
        gc.set_threshold(*SERVING)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not frozen:
            gc.unfreeze()
