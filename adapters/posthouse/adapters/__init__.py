"""The outside: event loops, sockets, pipes, threads, clocks, and the front door.

Adapters only read, write, spawn and sleep. They decide nothing that a test without I/O could not see.
"""

from __future__ import annotations

from .loop.clock import Clock
from .server.listeners import Bound
from .server.serve import Options, Server, run, serve

__all__ = ["Bound", "Clock", "Options", "Server", "run", "serve"]
