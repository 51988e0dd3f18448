"""`python -m benchmarks.servers NAME [LOOP] [--sampled]`: run one server until its input ends."""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.machine import allow_descriptors


def main(name: str, *options: str) -> None:
    """Raise the limit of descriptors as far as it goes, and serve."""
    allow_descriptors()
    if name == "posthouse":
        from .posthouse import main as serve

        serve(options[0], "--sampled" in options)
    elif name == "hosted":
        from .hosted import main as serve_hosted

        serve_hosted(options[0])
    elif name == "floor":
        from .floor import main as serve_floor

        serve_floor()
    else:
        import_module(f"benchmarks.servers.peers.{name}").serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
