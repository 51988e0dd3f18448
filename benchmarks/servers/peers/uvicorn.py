"""uvicorn, under the servers that are ASGI applications."""

from __future__ import annotations

from typing import Any

import uvicorn

from benchmarks.servers.announcement import listening


def run(application: Any) -> None:
    """Serve on uvloop, with httptools, without an access log."""
    config = uvicorn.Config(
        application, http="httptools", ws="auto", loop="uvloop", log_level="error", access_log=False, lifespan="off"
    )
    uvicorn.Server(config).run(sockets=[listening()])
