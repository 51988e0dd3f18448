"""What a standard demands does not depend on the way that a message takes: every test runs both ways."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def both_ways(either_way: None) -> None:
    """Take either way."""
