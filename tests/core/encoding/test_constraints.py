"""Constraints of msgspec, annotated_types and pydantic: enforced with the same meaning, or refused."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Any, get_args

import annotated_types
import attrs
import msgspec
import pydantic
import pytest
import typing_extensions
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MaxLen, MinLen, MultipleOf, Predicate, Timezone
from msgspec import Meta
from posthouse.core.encoding.constraints import check_default, constraints
from posthouse.core.values.errors import UsageError


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Meta(ge=1), [Meta(ge=1)]),
        (Gt(1), [Meta(gt=1)]),
        (Ge(1), [Meta(ge=1)]),
        (Lt(1), [Meta(lt=1)]),
        (Le(1), [Meta(le=1)]),
        (Interval(ge=1, lt=9), [Meta(ge=1, lt=9)]),
        (MultipleOf(3), [Meta(multiple_of=3)]),
        (MinLen(2), [Meta(min_length=2)]),
        (MaxLen(2), [Meta(max_length=2)]),
        (Len(1, 2), [Meta(min_length=1, max_length=2)]),
        (Len(0), []),
        (Timezone(...), [Meta(tz=True)]),
        (Timezone(None), [Meta(tz=False)]),
        ("text for readers", []),
        (None, []),
        (typing_extensions.Doc("text"), []),
        (annotated_types.doc("text"), []),
        (pydantic.Strict(), []),
        (pydantic.Field(ge=1, lt=9), [Meta(ge=1), Meta(lt=9)]),
        (pydantic.Field(pattern="^a"), [Meta(pattern="^a")]),
        (pydantic.Field(pattern=re.compile("^a")), [Meta(pattern="^a")]),
        (pydantic.Field(strict=True, min_length=1), [Meta(min_length=1)]),
        (pydantic.Field(title="T", description="D"), [Meta(title="T", description="D")]),
        (pydantic.StringConstraints(min_length=2, pattern="a"), [Meta(min_length=2), Meta(pattern="a")]),
    ],
)
def test_a_constraint_becomes_msgspecs(item: Any, expected: list[Meta]) -> None:
    assert constraints((item,), "it") == expected


@pytest.mark.parametrize("annotated", [pydantic.conint(ge=1, multiple_of=2), pydantic.PositiveInt])
def test_types_of_pydantic_with_constraints_are_read(annotated: Any) -> None:
    found = constraints(get_args(annotated)[1:], "it")
    assert [meta for meta in found if meta.ge == 1 or meta.gt == 0]


@pytest.mark.parametrize(
    "item",
    [
        object(),
        Predicate(str.isascii),
        Timezone("Europe/Paris"),
        pydantic.Strict(False),
        pydantic.AfterValidator(abs),
        pydantic.BeforeValidator(abs),
        pydantic.Field(alias="x"),
        pydantic.Field(default=3),
        pydantic.Field(max_digits=3),
        pydantic.Field(pattern=re.compile("^a", re.IGNORECASE)),
        pydantic.StringConstraints(strip_whitespace=True),
    ],
)
def test_metadata_that_cannot_be_enforced_is_refused_with_the_remedy(item: Any) -> None:
    with pytest.raises(UsageError, match=r"parameter 'x' has .* cannot enforce: use msgspec.Meta, or check"):
        constraints((item,), "parameter 'x'")


def test_an_invalid_constraint_is_refused() -> None:
    with pytest.raises(UsageError, match=r"parameter 'x' has the constraint Ge.* which is invalid"):
        constraints((Ge("a"),), "parameter 'x'")
    assert get_args(Annotated[int, Ge(1)])[1] == Ge(1)


@pytest.mark.parametrize(
    ("default", "library"),
    [
        (pydantic.Field(gt=0), "pydantic"),
        (pydantic.PrivateAttr(1), "pydantic"),
        (msgspec.field(default=1), "msgspec"),
        (dataclasses.field(default=1), "dataclasses"),
        (attrs.field(default=1), "attr"),
        (type("Query", (type(pydantic.Field()),), {"__module__": "fastapi.params"})(), "pydantic"),
    ],
)
def test_a_declaration_in_place_of_a_default_is_refused_with_the_remedy(default: Any, library: str) -> None:
    with pytest.raises(UsageError, match=f"'x' has a field of {library} as its default, .* write constraints"):
        check_default(default, "parameter 'x'")


@pytest.mark.parametrize("default", [1, None, "Field", [], type("Field", (), {})()])
def test_any_other_default_is_taken(default: Any) -> None:
    check_default(default, "parameter 'x'")
