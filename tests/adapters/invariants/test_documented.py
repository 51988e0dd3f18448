"""The documented tables: they are those of the documents, and a constant that differs is a violation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from posthouse.adapters.invariants import Violation, documented
from posthouse.core.values.close_reasons import CLOSE_REASONS
from posthouse.core.values.errors import ERRORS
from posthouse.core.values.peers import PUSHABLE

DOCS = Path(__file__).parents[3] / "docs"


def test_the_server_is_as_documented() -> None:
    documented.documented()


def test_every_error_and_close_code_is_in_the_documents() -> None:
    text = (DOCS / "protocol.md").read_text() + (DOCS / "limits.md").read_text()
    assert [row[0] for row in documented.ERROR_ROWS if str(row[0]) not in text] == []
    assert [row[1] for row in documented.CLOSES if str(row[1]) not in text] == []


@pytest.mark.parametrize(
    ("table", "key", "value", "sentence"),
    [
        (ERRORS, -32700, ERRORS[-32600], "an error has another code, message or status"),
        (CLOSE_REASONS, "draining", CLOSE_REASONS["idle_timeout"], "a reason to close has another code"),
        (PUSHABLE, "http", True, "a kind of connections has other properties"),
        (documented.DEFAULTS, "max_batch", 7, "a limit has another default"),
        (documented.BUILT_IN, "rpc.cancel", (False, ()), "a built-in method has other rights"),
    ],
)
def test_another_value_is_a_violation(
    table: dict[Any, Any], key: Any, value: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(table, key, value)
    with pytest.raises(Violation, match=f"documented: {sentence}"):
        documented.documented()
