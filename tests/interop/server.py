"""One gateway for two kinds of clients: whoever comes to its port, and the process at the other end of its pipes."""

from __future__ import annotations

import sys
from pathlib import Path

from posthouse.adapters import Server, run
from posthouse.adapters.command.loading import load_service
from posthouse.adapters.server.entrances.stdio import take_pipes

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def started(server: Server) -> None:
    """Say where it listens."""
    sys.stderr.write(f"listening on {server.bound[0].url}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    pipes = take_pipes()
    sys.path.insert(0, str(EXAMPLES))
    run(load_service("calculator:service"), host="127.0.0.1", port=0, pipes=[pipes], dev=True, started=started)
