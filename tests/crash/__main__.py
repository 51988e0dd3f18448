"""`python -m tests.crash [ROUNDS] [SEED]`, as `make crash`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.crash.rounds import rounds

given = [int(word) for word in sys.argv[1:]]
count, seed = [*given, *(300, 1)[len(given) :]]
with tempfile.TemporaryDirectory() as folder:
    facts = rounds(Path(folder) / "store.db", count, seed)
told = f"all of {facts} sessions and users that they had acknowledged are there"
sys.stdout.write(f"{count} processes were killed: {told}\n")
