"""A place in a topic."""

from __future__ import annotations

import pytest
from msgspec import ValidationError, json
from posthouse.core.service.topics.position import Position


def test_a_position_is_an_epoch_and_an_offset() -> None:
    assert json.decode(b'{"epoch":"e","offset":0}', type=Position) == Position("e", 0)
    assert json.encode(Position("e", 7)) == b'{"epoch":"e","offset":7}'


@pytest.mark.parametrize(
    "text",
    [b'{"epoch":"e","offset":-1}', b'{"epoch":"e"}', b'{"epoch":1,"offset":1}', b'{"epoch":"e","offset":1,"x":1}'],
)
def test_other_values_are_no_positions(text: bytes) -> None:
    with pytest.raises(ValidationError):
        json.decode(text, type=Position)
