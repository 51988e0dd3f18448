"""The outermost ring: event loops, sockets, pipes, threads and clocks, and `serve`, the entry point of a server.

Adapters only read, write, start tasks and threads, and sleep. Everything that they decide, a test without I/O can see.

The public names are imported on first use: `posthouse --help` must not wait for the import of the server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .embedded import running
    from .handlers.lifespans import LifespanError
    from .server.arguments import Options
    from .server.entrances.listeners import Bound
    from .server.serve import serve
    from .server.server import Server
    from .system.clock import Clock
    from .workers.program import run
else:
    MODULES = {
        "Bound": ".server.entrances.listeners",
        "Clock": ".system.clock",
        "LifespanError": ".handlers.lifespans",
        "Options": ".server.arguments",
        "Server": ".server.server",
        "run": ".workers.program",
        "running": ".embedded",
    }

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(MODULES.get(name, ".server.serve"), __name__), name)


__all__ = ["Bound", "Clock", "LifespanError", "Options", "Server", "run", "running", "serve"]
