"""Lifecycle events: values, each with the name that hooks know it by."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec import Struct
from posthouse.core.values import lifecycle
from posthouse.core.values.lifecycle import (
    EVENTS,
    Event,
    EventName,
)

from tests.values import changeable


def test_every_event_of_the_module_is_in_the_union_and_has_one_name() -> None:
    defined = [
        kind for kind in vars(lifecycle).values() if isinstance(kind, type) and kind.__module__ == lifecycle.__name__
    ]
    assert defined == list(get_args(Event)) == list(EVENTS.values())


def test_the_literal_type_has_the_names_of_the_table() -> None:
    assert get_args(EventName) == tuple(EVENTS)


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_an_event_cannot_change_and_says_when_it_happened(kind: type[Struct]) -> None:
    assert kind.__struct_config__.frozen
    required = len(kind.__struct_fields__) - len(kind.__struct_defaults__)
    assert kind.__struct_fields__[required - 1] == "now"
    assert kind.__doc__


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.values.lifecycle") == []
