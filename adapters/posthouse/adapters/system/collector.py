"""The garbage collector of a server process: it never again visits the objects that exist at the start.

This module does not know the objects of a server. `docs/performance.md` has the figures.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

UNTOUCHED: Final = ((700, 10, 10), (2_000, 10, 10))
"""The default thresholds of Python. All others stay: either the user has chosen them, or they have another meaning
(if the last one is 0, the collector is incremental)."""

SERVING: Final = (5_000, 2, 100)
"""A young collection visits 5,000 objects, a middle one 15,000: both take less than 5 ms. A plain call creates no
object that the collector visits."""


@contextmanager
def tuned_collector() -> Iterator[None]:
    """Leave out all objects that exist now, and use thresholds for a server, until the context is left."""
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
