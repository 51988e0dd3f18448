"""The lines on which entries stand, whatever their layout."""

from __future__ import annotations

import pytest
from posthouse.adapters.authenticators.entries import line_of_key, line_of_table


@pytest.mark.parametrize(
    ("text", "number", "line"),
    [
        ("[[token]]\n[[token]]", 0, 1),
        ("[[token]]\n\n  [[ token ]]", 1, 3),
        ("[[token]]\n# [[token]]\n[[tokens]]\n[[token]]", 1, 4),
        ("token = [{}, {}]", 0, None),
        ("[[token]]", 1, None),
    ],
)
def test_the_line_of_a_table_is_that_of_its_brackets(text: str, number: int, line: int | None) -> None:
    assert line_of_table(text, "token", number) == line


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("ada = 1", "ada", 1),
        ('x = 1\n"ada" = 1', "ada", 2),
        ("x = 1\n\n 'a.b' = 1", "a.b", 3),
        ("[x]\n[ada]\nhash = 1", "ada", 2),
        ("# ada = 1\nadam = 1", "ada", None),
        ("ada.hash = 1", "ada", None),
    ],
)
def test_the_line_of_a_key_is_that_of_its_value_or_its_table(text: str, key: str, line: int | None) -> None:
    assert line_of_key(text, key) == line
