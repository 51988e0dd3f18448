"""The messages of one connection: which answers belong to which requests."""

from __future__ import annotations

import pytest
from posthouse.adapters.simulation.judges.conversation import Conversation
from posthouse.core import Config

CALL = b'{"jsonrpc":"2.0","method":"a","id":%b}'
RESULT = b'{"jsonrpc":"2.0","result":0,"id":%b}'
ERROR = b'{"jsonrpc":"2.0","error":{"code":%d,"message":"no"},"id":%b}'


def talk(*sent: bytes) -> Conversation:
    conversation = Conversation(Config())
    for end, text in enumerate(sent, 1):
        conversation.sent(text, end)
    return conversation


def test_each_request_is_answered_once_in_any_order() -> None:
    conversation = talk(CALL % b"1", CALL % b"2", CALL % b"1")
    for id in (b"2", b"1", b"1"):
        conversation.received(RESULT % id)
    assert conversation.unanswered(9) == []
    with pytest.raises(ValueError, match="an answer belongs to no request, or is its second one"):
        conversation.received(RESULT % b"1")


def test_a_batch_is_answered_by_one_array() -> None:
    first, second = b"[%b,%b]" % (CALL % b"1", CALL % b"2"), b"[%b,7]" % (CALL % b"3")
    conversation = talk(first, second, b'[{"jsonrpc":"2.0","method":"a"}]')
    conversation.received(b"[%b,%b]" % (RESULT % b"3", ERROR % (-32600, b"null")))
    conversation.received(b"[%b,%b]" % (RESULT % b"1", RESULT % b"2"))
    with pytest.raises(ValueError, match="an array of answers belongs to no batch, or has another order"):
        conversation.received(b"[%b,%b]" % (RESULT % b"1", RESULT % b"2"))


@pytest.mark.parametrize("ids", [(b"2", b"1"), (b"1",), (b"1", b"2", b"2"), (b"1", b"null")])
def test_an_array_in_another_order_is_refused(ids: tuple[bytes, ...]) -> None:
    conversation = talk(b"[%b,%b]" % (CALL % b"1", CALL % b"2"))
    with pytest.raises(ValueError, match="an array of answers belongs to no batch"):
        conversation.received(b"[%b]" % b",".join(RESULT % id for id in ids))


@pytest.mark.parametrize("text", [b"[]", b"[%b]" % (CALL % b"1")])
def test_an_array_has_answers_only(text: bytes) -> None:
    with pytest.raises(ValueError, match="an array is no array of answers"):
        talk(CALL % b"1").received(text)


def test_an_error_without_an_id_needs_a_message_that_may_cause_it() -> None:
    conversation = talk(b"{")
    assert conversation.received(ERROR % (-32700, b"null")) == -32700
    conversation.unreadable()
    assert conversation.received(ERROR % (-32007, b"null")) == -32007
    with pytest.raises(ValueError, match="more errors without an id than messages"):
        conversation.received(ERROR % (-32700, b"null"))


def test_requests_that_have_no_answer_are_known_by_their_place() -> None:
    conversation = talk(CALL % b"1", b"[%b]" % (CALL % b'"2"'), b'{"jsonrpc":"2.0","method":"a"}', CALL % b"3")
    assert conversation.unanswered(3) == ["#1", "$2"]
    assert conversation.unanswered(0) == []


def test_an_error_without_an_id_may_have_answered_a_request() -> None:
    conversation = talk(b'{"jsonrpc":"2.0","method":"a","id":1,"meta":7}', CALL % b"2")
    conversation.received(ERROR % (-32600, b"null"))
    assert conversation.unanswered(9) == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"{", "a text is not JSON"),
        (b"{}", "a message is not JSON-RPC: it is not an object"),
        (b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":9}}', "cancels a request that it has not made"),
        (b'{"jsonrpc":"2.0","method":"a","id":8}', "two requests of the server have the same id"),
    ],
)
def test_a_message_of_the_server_that_breaks_a_rule_is_refused(text: bytes, rule: str) -> None:
    conversation = talk()
    conversation.received(b'{"jsonrpc":"2.0","method":"a","id":8}')
    conversation.received(b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":8}}')
    with pytest.raises(ValueError, match=rule):
        conversation.received(text)
