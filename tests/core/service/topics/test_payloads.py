"""The payload of a topic: what a peer may publish, and what the service may."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec import Raw, Struct
from posthouse.core.service.topics.payloads import Payload
from posthouse.core.values.errors import INVALID_PARAMS, RpcError, UsageError


class Article(Struct):
    title: str
    stars: int = 0


class Picky(Struct):
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("the text of the service")


def test_any_payload_is_kept_as_it_is_written_in_one_line() -> None:
    payload = Payload.of(Any, "topic 'a'")
    assert payload.check(Raw(b'{\n "a" : [1.50, "\\u00e9" , 1e400]}')) == b'{"a":[1.50,"\\u00e9",1e400]}'
    assert payload.encode({"b": (1, 2)}) == b'{"b":[1,2]}'
    assert payload.encode(Raw(b"[ 1 ]")) == b"[1]"


def test_a_payload_with_a_type_has_exactly_the_members_of_the_type() -> None:
    payload = Payload.of(Article, "topic 'a'")
    assert payload.check(Raw(b'{"title":"x","more":1}')) == b'{"title":"x","stars":0}'
    assert payload.encode(Article("y", 3)) == b'{"title":"y","stars":3}'
    assert payload.encode(Raw(b'{"title":"z"}')) == b'{"title":"z","stars":0}'


def test_a_payload_of_another_type_is_refused_with_its_faults() -> None:
    payload = Payload.of(Article, "topic 'a'")
    with pytest.raises(RpcError) as caught:
        payload.check(Raw(b'{"title":1,"stars":"x"}'))
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.data == {
        "parameter": "data",
        "reason": "expected str, got int",
        "path": ".title",
        "faults": [
            {"parameter": "data", "reason": "expected str, got int", "path": ".title"},
            {"parameter": "data", "reason": "expected int, got str", "path": ".stars"},
        ],
    }


def test_a_payload_that_its_type_refuses_is_refused_without_text_of_the_service() -> None:
    with pytest.raises(RpcError) as caught:
        Payload.of(Picky, "topic 'a'").check(Raw(b'{"size":-1}'))
    assert "the text of the service" not in str(caught.value)


def test_a_payload_that_can_be_read_and_not_be_sent_is_refused() -> None:
    payload = Payload.of(Fleeting, "topic 'a'")
    with pytest.raises(RpcError) as caught:
        payload.check(Raw(b'{"value":1}'))
    assert caught.value.data == {
        "parameter": "data",
        "reason": "the result is not as declared: expected int, got str at $.value",
    }


class Fleeting(Struct):
    value: int

    def __post_init__(self) -> None:
        self.value = cast("int", "text")


@pytest.mark.parametrize("value", [Article(cast("str", 1)), {"title": 1}, Raw(b'{"title":1}'), object()])
def test_the_service_cannot_publish_what_is_not_as_declared(value: object) -> None:
    with pytest.raises(UsageError, match="the data cannot be published: "):
        Payload.of(Article, "topic 'a'").encode(value)


def test_a_payload_that_json_cannot_carry_is_refused_at_declaration() -> None:
    with pytest.raises(UsageError, match="topic 'a': the payload"):
        Payload.of(Opaque, "topic 'a'")


class Opaque:
    pass


@pytest.mark.parametrize("text", [b'"\xff"', b"{bad", b""])
def test_text_of_the_service_that_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError, match="the data cannot be published"):
        Payload.of(Any, "topic 'a'").encode(Raw(text))
