"""The requests are a closed union of values, of reads and writes."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec import Struct
from posthouse.core.store import requests
from posthouse.core.store.requests import Read, Request, SessionAdded, TokenRemoved, UserChanged, Write


def test_every_request_is_in_the_union() -> None:
    defined = {value for value in vars(requests).values() if isinstance(value, type) and issubclass(value, Struct)}
    rows = {value for value in defined if value.__name__.endswith("Row")}
    assert defined - rows - {Struct, UserChanged, SessionAdded, TokenRemoved} == set(get_args(Request))


@pytest.mark.parametrize("kind", get_args(Write))
def test_every_write_has_an_id(kind: type) -> None:
    assert kind.__annotations__["id"] == "str"


@pytest.mark.parametrize("kind", get_args(Read))
def test_no_read_has_an_id(kind: type) -> None:
    assert "id" not in kind.__annotations__


@pytest.mark.parametrize("kind", get_args(Request))
def test_every_request_says_what_its_outcome_is(kind: type) -> None:
    assert "Done(" in str(kind.__doc__)
