"""A run is a function of its inputs: recorded once, it is the same in every process, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from posthouse.adapters.journal import replay, shown

from tests.adapters.eventful import eventful
from tests.transports.board import calculator

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_recorded_run_is_the_same_when_its_inputs_are_given_again(seed: int) -> None:
    board = eventful(seed, 120)
    followed: list[str] = []
    replayed = replay(
        board.journal(), calculator(), check=True, effects=lambda _, action: followed.append(shown(action))
    )
    assert replayed.failure is None
    assert (replayed.given, replayed.skipped, replayed.diverged_at) == (len(board.journal().entries), 0, None)
    assert followed == board.followed
    assert replayed.machine.stats() == board.board.stats()


def test_a_recorded_run_is_the_same_byte_for_byte_whatever_the_seed_of_hashing(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_bytes(b"".join(eventful(4, 250).lines))
    command = [sys.executable, str(ROOT / "tests" / "purity" / "replay.py"), str(ROOT), str(journal)]
    outputs = []
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        outputs.append(done.stdout)
    assert outputs[0].count(b"\n") > 500
    assert outputs[0] == outputs[1] == outputs[2]
