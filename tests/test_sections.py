"""The parts of documents that commands write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import sections

WHOLE = "before\n<!-- a:begin -->\n\nold\n\n<!-- a:end -->\nafter\n"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return tmp_path / "document.md"


def test_a_section_is_replaced_and_what_is_around_it_stays(document: Path) -> None:
    document.write_text(WHOLE)
    assert sections.read(document, "a") == "old"
    sections.write(document, "a", "new\nlines")
    assert document.read_text() == WHOLE.replace("old", "new\nlines")
    sections.write(document, "a", "old")
    assert document.read_text() == WHOLE


@pytest.mark.parametrize("text", ["", WHOLE * 2, WHOLE.replace("end", "End"), "<!-- a:end --><!-- a:begin -->"])
def test_a_document_without_both_marks_in_their_order_is_left_alone(document: Path, text: str) -> None:
    document.write_text(text)
    with pytest.raises(ValueError, match="must have the marks"):
        sections.write(document, "a", "new")
    assert document.read_text() == text
