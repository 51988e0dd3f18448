"""JSON-RPC texts, as a judge reads them."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.adapters.simulation.judges.texts import NOTHING, NULL, asked, fault_of, key_of, parse
from posthouse.core import Config

LIMITS = Config(max_method_bytes=8, max_id_bytes=8, max_depth=4, max_batch=3)

RATED = b'{"jsonrpc":"2.0","error":{"code":-32029,"message":"","data":{"limit":"call_rate"%b}},"id":1}'


@pytest.mark.parametrize(
    "text", [b"", b"{", b"NaN", b"[Infinity]", b'"\xff"', b"\xef\xbb\xbf{}", b"[" * 100_000, b"1 2"]
)
def test_a_text_that_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_ids_differ_if_they_are_written_differently() -> None:
    keys = [key_of(parse(text)) for text in (b"1", b"1.0", b"1e0", b'"1"', b"null")]
    assert keys == ["#1", "#1.0", "#1e0", "$1", NULL]
    assert [key_of(parse(text)) for text in (b"true", b"[1]", b"{}")] == [None, None, None]


@pytest.mark.parametrize(
    ("text", "entries", "doubtful"),
    [
        (b'{"jsonrpc":"2.0","method":"a","id":1}', [("#1",)], False),
        (b'{"jsonrpc":"2.0","method":"a"}', [], False),
        (b'{"jsonrpc":"2.0","method":"a","id":null}', [(NULL,)], True),
        (b'{"jsonrpc":"2.0","method":"a","id":1,"meta":{}}', [("#1", NULL)], True),
        (b'{"jsonrpc":"2.0","method":"a","meta":{}}', [(NULL, NOTHING)], True),
        (b'{"jsonrpc":"2.0","method":"a","params":7,"id":1}', [("#1", NULL)], True),
        (b'{"jsonrpc":"2.0","method":"123456789","id":1}', [("#1", NULL)], True),
        (b'{"jsonrpc":"2.0","method":"a","id":"123456789"}', [("$123456789", NULL)], True),
        (b'{"jsonrpc":"2.0","method":"a","id":"1234567"}', [("$1234567", NULL)], True),
        (b'{"jsonrpc":"2.0","method":"a","id":"123456"}', [("$123456",)], False),
        (b'{"jsonrpc":"2.0","method":"a","id":123456789}', [("#123456789", NULL)], True),
        (b'{"jsonrpc":"2.0","method":"a","id":12345678}', [("#12345678",)], False),
        (b'{"jsonrpc":"2.0","method":7}', [(NULL, NULL)], True),
        (b'{"jsonrpc":"1.0","method":"a","id":1}', [("#1", NULL)], True),
        (b'{"jsonrpc":"2.0","id":1,"result":0}', [], False),
        (b'{"id":1,"result":0}', [("#1", NULL, NOTHING)], True),
        (b'{"jsonrpc":"2.0","method":"a","params":[[[[]]]],"id":1}', [("#1",)], True),
        (b'{"jsonrpc":"2.0","method":"a","params":["\\ud800"],"id":1}', [("#1",)], True),
        (b"7", [(NULL,)], True),
        (b" ", [(NULL,)], True),
        (b"{", [(NULL,)], True),
    ],
)
def test_a_message_asks_for_an_answer(text: bytes, entries: list[tuple[str, ...]], doubtful: bool) -> None:
    made = asked(text, LIMITS)
    assert (made.entries, made.doubtful, made.batch) == (entries, doubtful, False)


@pytest.mark.parametrize("text", [b"[]", b"[1,1,1,1]"])
def test_a_batch_may_be_refused_as_a_whole(text: bytes) -> None:
    made = asked(text, LIMITS)
    assert made.batch and made.doubtful


def test_the_answers_to_a_batch_have_the_order_of_its_entries() -> None:
    one, two, note, bad, maybe = (
        b'{"jsonrpc":"2.0","method":"a","id":1}',
        b'{"jsonrpc":"2.0","method":"a","id":"2"}',
        b'{"jsonrpc":"2.0","method":"a"}',
        b"7",
        b'{"id":3,"result":0}',
    )
    made = asked(b"[" + b",".join([one, note, two, bad, maybe]) + b"]", Config())
    assert made.required == ["#1", "$2", NULL]
    right = [["#1", "$2", NULL], ["#1", "$2", NULL, "#3"], ["#1", "$2", NULL, NULL]]
    wrong = [
        [],
        ["#1", "$2"],
        ["$2", "#1", NULL],
        ["#1", "$2", "#3"],
        ["#1", "$2", NULL, "#3", "#3"],
        ["#1", NULL, NULL],
    ]
    assert [made.is_answered_by(keys) for keys in right] == [True] * 3
    assert [made.is_answered_by(keys) for keys in wrong] == [False] * 6


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'{"jsonrpc":"2.0","result":0,"id":1}', None),
        (b'{"jsonrpc":"2.0","error":{"code":-1,"message":"no","data":0},"id":null}', None),
        (b'{"jsonrpc":"2.0","method":"a","params":[]}', None),
        (b'{"jsonrpc":"2.0","method":"a","id":1}', None),
        (b"7", "it is not an object"),
        (b'{"jsonrpc":2.0,"result":0,"id":1}', "it is not an object with the version"),
        (b'{"jsonrpc":"2.0","method":7}', "it is not a request"),
        (b'{"jsonrpc":"2.0","method":"a","result":0}', "it is not a request"),
        (b'{"jsonrpc":"2.0","method":"a","params":7}', "its params are neither"),
        (b'{"jsonrpc":"2.0","method":"a","id":"1"}', "its id is not a number"),
        (b'{"jsonrpc":"2.0","result":0}', "it is neither a request nor a response"),
        (b'{"jsonrpc":"2.0","result":0,"id":true}', "it is neither a request nor a response"),
        (b'{"jsonrpc":"2.0","result":0,"id":1,"more":0}', "it is neither a request nor a response"),
        (b'{"jsonrpc":"2.0","id":1}', "it has both a result and an error, or neither"),
        (b'{"jsonrpc":"2.0","result":0,"error":{},"id":1}', "it has both a result and an error, or neither"),
        (b'{"jsonrpc":"2.0","error":7,"id":1}', "its error is not an error object"),
        (b'{"jsonrpc":"2.0","error":{"code":1,"message":"","more":0},"id":1}', "its error is not an error object"),
        (b'{"jsonrpc":"2.0","error":{"code":1.0,"message":""},"id":1}', "the code of its error is not an integer"),
        (b'{"jsonrpc":"2.0","error":{"code":1},"id":1}', "its error has no message"),
        (RATED % b"", "its error does not say when to try again"),
        (RATED % b',"retry_after_ms":"1"', "its error does not say when to try again"),
        (RATED % b',"retry_after_ms":250', None),
        (b'{"jsonrpc":"2.0","error":{"code":-32029,"message":"","data":{"limit":"max_users"}},"id":1}', None),
    ],
)
def test_a_message_of_the_server_has_a_fault_or_none(text: bytes, fault: str | None) -> None:
    message: Any = parse(text)
    found = fault_of(message)
    assert found is None if fault is None else found is not None and found.startswith(fault)
