"""One worker replaced and one killed under load. `make restarts` does both twenty times."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .rounds import rounds


@pytest.mark.skipif(sys.platform != "linux", reason="it reads the states of processes in /proc")
def test_no_accepted_call_is_without_an_outcome_but_those_of_the_worker_that_was_killed(tmp_path: Path) -> None:
    found = rounds(tmp_path, 1, 1)
    assert (found.lost, found.outcomes["refused"], found.zombies, found.left, found.status) == ([], 0, [], [], 0)
    assert found.accepted > 0
