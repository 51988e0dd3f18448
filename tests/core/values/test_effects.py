"""Effects: a closed union of values that cannot change."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec import Struct
from posthouse.core.values import effects
from posthouse.core.values.close_reasons import IDLE_TIMEOUT
from posthouse.core.values.effects import Answer, ComparePassword, Disconnect, Effect, Transmit
from posthouse.core.values.peers import ConnectionId, OperationId

from tests.values import changeable

ONE = ConnectionId(1)


def test_every_effect_of_the_module_is_in_the_union() -> None:
    defined = {
        kind for kind in vars(effects).values() if isinstance(kind, type) and kind.__module__ == effects.__name__
    }
    assert defined == set(get_args(Effect))


@pytest.mark.parametrize("kind", get_args(Effect))
def test_an_effect_is_frozen_untracked_by_gc_and_documented(kind: type[Struct]) -> None:
    assert kind.__struct_config__.frozen
    assert not kind.__struct_config__.gc
    assert kind.__doc__


def test_effects_of_equal_content_are_equal() -> None:
    assert Transmit(ONE, b"x") == Transmit(ONE, b"x")
    assert Transmit(ONE, b"x") != Transmit(ONE, b"x", report=True)


def test_by_default_a_disconnect_flushes_and_an_answer_has_no_error() -> None:
    assert Disconnect(ONE, IDLE_TIMEOUT).flush
    assert Disconnect(ONE, IDLE_TIMEOUT).code == 1000
    answer = Answer(ONE, None)
    assert (answer.code, answer.retry_after) == (None, None)


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.values.effects") == []


def test_the_comparison_of_a_password_shows_neither_it_nor_its_hash() -> None:
    shown = repr(ComparePassword(OperationId(7), "canary", "$argon2id$canary"))
    assert shown == "ComparePassword(7, password=<hidden>, hash=<hidden>)"
