"""The source of time and chance. Only this module reads a clock.

All other code is given `now` and `entropy`. A test passes its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from msgspec import Struct


class Clock(Struct, frozen=True):
    """`now()` is monotonic seconds, `wall()` Unix seconds, `entropy(n)` n unpredictable bytes. Any thread may call
    them."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    entropy: Callable[[int], bytes] = os.urandom
