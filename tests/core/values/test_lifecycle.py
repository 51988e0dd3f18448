"""Lifecycle events: values, each with the name that hooks know it by."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from msgspec import Struct
from posthouse.core.values import lifecycle
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import (
    EVENTS,
    CallEnded,
    CallFailed,
    ConnectionOpened,
    Event,
    EventName,
    wanted_events,
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


def test_the_wanted_events_are_those_with_hooks_and_those_that_are_named() -> None:
    assert wanted_events({}, ()) == ()
    assert wanted_events({CallFailed: (print,), CallEnded: ()}, ()) == (CallFailed,)
    assert wanted_events({CallFailed: (print,)}, ["call.ended", "call.ended"]) == (CallEnded, CallFailed)
    assert wanted_events({ConnectionOpened: (print,)}, ("connection.opened",)) == (ConnectionOpened,)


@pytest.mark.parametrize("names", ["call.endet", ["call.endet"]])
def test_a_name_of_no_event_is_refused_with_the_nearest_one(names: Any) -> None:
    with pytest.raises(UsageError) as caught:
        wanted_events({}, names)
    assert str(caught.value) == "unknown event 'call.endet': did you mean 'call.ended'?"


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.values.lifecycle") == []
