"""The machine under the measurements: which core does what, how much a process has used, how many descriptors it has.

The server has a core of its own where there are two, and the load has the other. CPU time is the figure, not the time
of the wall: it is the sum of a process's threads, in nanoseconds from the scheduler where Linux tells it.
"""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final


def allowed_cores() -> list[int]:
    """Return the cores that this process may use. Empty: the system cannot pin."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


CORES: Final = allowed_cores()
PINNED: Final = len(CORES) >= 2


def pin_load() -> str:
    """Keep this process, the load, off the server's core. Returns how cores are shared, for the document."""
    if not CORES:
        return "this system cannot pin processes to cores"
    if not PINNED:
        return "only one core: server and load share it"
    os.sched_setaffinity(0, CORES[1:])
    return "the server on one core, the load on the others"


@contextmanager
def on_server_core() -> Iterator[None]:
    """Processes that are started in this context run on the server's core."""
    if not PINNED:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(process: int) -> float | None:
    """Return the CPU seconds that a process has used in all its threads. None: this system does not tell them."""
    tasks = Path(f"/proc/{process}/task")
    try:
        return sum(int((task / "schedstat").read_bytes().split()[0]) for task in tasks.iterdir()) / 1e9
    except OSError:
        return None


def resident_bytes(process: int) -> int | None:
    """Return the resident memory of a process. None: this system does not tell it."""
    try:
        return int(Path(f"/proc/{process}/statm").read_bytes().split()[1]) * resource.getpagesize()
    except OSError:
        return None


DESCRIPTORS: Final = 32_768
"""The descriptors that the largest measurement needs in one process."""


def allow_descriptors() -> int:
    """Raise this process's limit of descriptors, its children's too, as far as it may be raised, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(most, DESCRIPTORS), most):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        except (OSError, ValueError):
            continue
        return limit
    return most


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "an unnamed processor"
