"""Replay a journal of the tests' calculator and print every action that follows, one a line, and the counters.

Run by `test_replay.py` in processes of their own: the root of the project, then the journal.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    for ring in ("core", "transports", "adapters", "."):
        sys.path.insert(0, f"{sys.argv[1]}/{ring}")

from posthouse.adapters.journal import read, replay, shown

from tests.transports.board import calculator

if __name__ == "__main__":
    done = replay(read(sys.argv[2]), calculator(), effects=lambda _, action: sys.stdout.write(f"{shown(action)}\n"))
    sys.stdout.write(f"{done.machine.stats()}\n")
