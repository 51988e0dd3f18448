"""`python -m tests.restarts [RESTARTS] [KILLS]`, as `make restarts`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.restarts.rounds import rounds

given = [int(word) for word in sys.argv[1:]]
restarts, kills = [*given, *(20, 20)[len(given) :]]
with tempfile.TemporaryDirectory() as folder:
    found = rounds(Path(folder), restarts, kills)
sys.stdout.write(f"{found}\n")
