"""Journals of bugs that storms found in the product: they must not fail again."""

from __future__ import annotations

from pathlib import Path

import pytest
from posthouse.adapters.journal import read, replay
from posthouse.adapters.simulation import CheckedGateway
from posthouse.adapters.simulation.storms.service import service

FINDINGS = sorted((Path(__file__).parent / "findings").glob("*.journal"))


@pytest.mark.parametrize("journal", FINDINGS, ids=[path.stem for path in FINDINGS])
def test_every_finding_stays_fixed(journal: Path) -> None:
    done = replay(read(journal), service, check=True, gateway=CheckedGateway)
    assert done.failure is None
    assert done.given == len(read(journal).entries)


def test_there_are_findings() -> None:
    assert FINDINGS
