"""How arguments stand in a journal: each outcome of an operation is read as it was written."""

from __future__ import annotations

import pytest
from msgspec import json
from posthouse.adapters.journal.arguments import read_argument, write_argument
from posthouse.core.operations.operations import Busy, Failed, Refused
from posthouse.core.values.peers import Identity


@pytest.mark.parametrize(
    ("outcome", "written"),
    [
        (Refused("it has expired"), {"refused": {"why": "it has expired"}}),
        (Failed(), {"failed": {}}),
        (Busy(), {"busy": {}}),
        (
            Identity("ada", ("read",), 5.0, "idp", issued_at=1.0),
            {
                "identity": {
                    "user": "ada",
                    "scopes": ["read"],
                    "expires_at": 5.0,
                    "namespace": "idp",
                    "issued_at": 1.0,
                    "token": None,
                }
            },
        ),
    ],
)
def test_each_outcome_is_read_as_it_was_written(outcome: object, written: object) -> None:
    line = json.decode(json.encode(write_argument("outcome", outcome)))
    assert line == written
    assert read_argument("outcome", line) == outcome
