"""A process that is killed at any moment has lost nothing that it had acknowledged (row 55)."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from posthouse.adapters.store.sqlite.file import prepare

from tests.crash.rounds import Session, Told, check, rounds


def test_row_55_everything_acknowledged_is_there_after_each_of_20_kills(tmp_path: Path) -> None:
    assert rounds(tmp_path / "store.db", 20, seed=2) > 100


def test_what_a_process_tells_is_understood() -> None:
    told = Told()
    for line in ("session a 0 0", "session a 1 0", "resumes a 1", "user ada 2", "session b 5 5", "ends b", "ended b"):
        told.hear(line)
    assert told.sessions == {"a": Session(1, "0", "1"), "b": Session(5, "5", ends=True, ended=True)}
    assert told.passwords == {"ada": 2}


def test_a_lost_session_is_found(tmp_path: Path) -> None:
    prepare(str(tmp_path / "store.db"))
    with pytest.raises(AssertionError, match="session a was acknowledged, and is lost"):
        anyio.run(check, tmp_path / "store.db", Told({"a": Session(1, "0")}))
    with pytest.raises(AssertionError, match="user ada was acknowledged, and is lost"):
        anyio.run(check, tmp_path / "store.db", Told({}, {"ada": 1}))
