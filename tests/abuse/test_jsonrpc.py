"""Texts that are no JSON-RPC, batches that are too much, callers that claim to be somebody: answered, not believed."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import decode, encode
from posthouse.core import Config, Context, Identity, Service

from tests.transports.board import Board, Browser, call, post

from .attacker import Attacker, Held, close_codes, content, frame, peak, status

NOT_JSON = {
    "nothing": b"",
    "white space": b" ",
    "words": b"hello",
    "half": b'{"jsonrpc":"2.0","method":"add","id":1',
    "trailing comma": b'{"jsonrpc":"2.0","method":"add","id":1,}',
    "single quotes": b"{'jsonrpc':'2.0'}",
    "NaN": b'{"jsonrpc":"2.0","method":"add","params":[NaN],"id":1}',
    "Infinity": b'{"jsonrpc":"2.0","method":"add","params":[-Infinity],"id":1}',
    "hexadecimal": b'{"jsonrpc":"2.0","method":"add","params":[0x1],"id":1}',
    "leading zero": b'{"jsonrpc":"2.0","method":"add","params":[01],"id":1}',
    "comment": b'{"jsonrpc":"2.0","method":"add",/**/"id":1}',
    "lone surrogate": b'{"jsonrpc":"2.0","method":"add","params":["\\ud800"],"id":1}',
    "lone surrogate in a method": b'{"jsonrpc":"2.0","method":"\\udc00","id":1}',
    "BOM": b'\xef\xbb\xbf{"jsonrpc":"2.0","method":"add","id":1}',
    "UTF-16": call("add").decode().encode("utf-16-le"),
    "trailing garbage": call("add") + b"x",
    "two texts": call("add") + call("add"),
    "a control byte in a string": b'{"jsonrpc":"2.0","method":"a\x01","id":1}',
    "too deep": b'{"jsonrpc":"2.0","method":"add","params":' + b"[" * 64 + b"]" * 64 + b',"id":1}',
    "far too deep": b"[" * 100_000,
    "far too deep and closed": b"[" * 50_000 + b"]" * 50_000,
}

NOT_A_REQUEST = {
    "a number": b"1",
    "a string": b'"add"',
    "null": b"null",
    "an empty object": b"{}",
    "no version": b'{"method":"add"}',
    "another version": b'{"jsonrpc":"1.0","method":"add"}',
    "a version that is a number": b'{"jsonrpc":2.0,"method":"add"}',
    "a method that is a number": b'{"jsonrpc":"2.0","method":1}',
    "an id that is an object": b'{"jsonrpc":"2.0","method":"add","id":{}}',
    "an id that is true": b'{"jsonrpc":"2.0","method":"add","id":true}',
    "an id that is huge": b'{"jsonrpc":"2.0","method":"add","id":%b}' % (b"9" * 129),
    "an id that is long": b'{"jsonrpc":"2.0","method":"add","id":"%b"}' % (b"x" * 127),
}

BAD = {name: (text, -32700) for name, text in NOT_JSON.items()} | {
    name: (text, -32600) for name, text in NOT_A_REQUEST.items()
}


@pytest.mark.parametrize("name", BAD)
def test_row_18_what_is_no_request_is_answered_with_a_null_id_and_the_connection_stays(name: str) -> None:
    text, code = BAD[name]
    attacker = Attacker(Board())
    attacker.tell(text)
    (answer,) = attacker.messages()
    assert (answer["error"]["code"], answer["id"]) == (code, None)
    assert attacker.say(call("add", b"[1,2]"))
    if text:
        refused = attacker.board.feed(attacker.board.open(), post(text))
        assert status(refused) == 400
        assert (content(refused)["error"]["code"], content(refused)["id"]) == (code, None)


def test_row_18_a_text_of_the_greatest_depth_and_the_longest_id_is_understood() -> None:
    browser = Browser(Board())
    id = b'"' + b"x" * 126 + b'"'
    (answer,) = browser.send(call("nowhere", b"[" * 62 + b"]" * 62, id))
    assert decode(answer)["error"]["code"] == -32601
    assert answer.endswith(b'"id":' + id + b"}")


@pytest.mark.parametrize(("number", "expected"), [(b"9" * 5_000, None), (b"1e400", None), (b"9" * 20, 10**20)])
def test_row_18_a_huge_number_in_params_is_exact_or_the_params_fault(number: bytes, expected: int | None) -> None:
    browser = Browser(Board())
    (answer,) = browser.send(call("add", b"[1,%b]" % number))
    if expected is None:
        assert decode(answer)["error"]["code"] == -32602
    else:
        assert b'"result":%d,' % expected in answer


def test_row_18_ten_bad_texts_a_minute_are_borne_and_one_more_ends_with_4400() -> None:
    board = Board(Config(heartbeat_interval=None))
    attacker = Attacker(board)
    for _ in range(3):
        for _ in range(10):
            assert close_codes(attacker.say(b"bad")) == []
        board.pass_time(60.0)
    for _ in range(10):
        attacker.tell(b"[1]")
        board.pass_time(5.999)
    assert close_codes(attacker.say(b"bad")) == [4400]
    assert board.board.stats()["limit.max_bad_messages"] == 1


def test_row_18_bad_texts_are_only_counted_where_the_limit_is_observed() -> None:
    attacker = Attacker(Board(Config(observe=("max_bad_messages",))))
    for _ in range(30):
        assert close_codes(attacker.say(b"bad")) == []
    assert attacker.board.board.stats()["limit.max_bad_messages.would_refuse"] == 20


# Batches


def batch(*entries: bytes) -> bytes:
    return b"[" + b",".join(entries) + b"]"


def test_row_19_a_batch_that_is_too_large_is_refused_once_and_nothing_of_it_is_run() -> None:
    board = Held()
    attacker = Attacker(board)
    attacker.tell(batch(*(call("later", id=b"%d" % number) for number in range(101))))
    (answer,) = attacker.messages()
    assert (answer["error"]["code"], answer["id"]) == (-32010, None)
    assert board.waiting == []
    attacker.tell(batch(*(call("later", id=b"%d" % number) for number in range(100))))
    assert len(board.waiting) == 64
    refused = board.feed(board.open(), post(batch(*[b"1"] * 101)))
    assert status(refused) == 413


def test_row_19_a_batch_of_everything_but_requests_is_answered_as_the_specification_says() -> None:
    attacker = Attacker(Board())
    for text, expected in (
        (b"[]", -32600),
        (b"[1]", [-32600]),
        (b"[[]]", [-32600]),
        (batch(batch(call("add", b"[1,2]"))), [-32600]),
        (b"[1,1,1]", [-32600] * 3),
    ):
        attacker.tell(text)
        (answer,) = attacker.messages()
        found = [one["error"]["code"] for one in answer] if isinstance(answer, list) else answer["error"]["code"]
        assert found == expected
    assert attacker.say(batch(*[call("add", b"[1,2]", None)] * 100)) == []


def test_row_19_a_batch_of_a_million_ones_costs_no_more_than_its_text() -> None:
    text = b"[" + b"1," * 500_000 + b"1]"
    attacker = Attacker(Board())
    data = frame(text)

    def send() -> None:
        for at in range(0, len(data), 64 * 1024):
            attacker.board.board.received(attacker.socket, data[at : at + 64 * 1024], 0.0)

    assert peak(send) <= 2 * 1024 * 1024
    attacker.board.run()
    (answer,) = attacker.messages()
    assert answer["error"]["code"] == -32010


def test_row_19_a_batch_at_its_limits_costs_at_most_twice_its_bytes() -> None:
    entry = b'{"jsonrpc":"2.0","method":"nowhere","params":["%b"],"id":1}' % (b"x" * 10_000)
    data = frame(batch(*[entry] * 100))
    attacker = Attacker(Board())

    def send() -> None:
        for at in range(0, len(data), 64 * 1024):
            attacker.board.board.received(attacker.socket, data[at : at + 64 * 1024], 0.0)

    assert peak(send) <= 2 * 1024 * 1024 + 64 * 1024


def test_row_19_the_reply_to_a_batch_is_within_its_limit() -> None:
    config = Config(max_batch_reply_bytes=10_000)
    browser = Browser(Board(config))
    entries = [call("blob", b"[3000]", b"%d" % number) for number in range(10)]
    (reply,) = browser.send(batch(*entries))
    assert len(reply) <= 10_000
    codes = [one.get("error", {}).get("code") for one in decode(reply)]
    assert codes == [None] * 2 + [-32011] * 8  # a third would leave no room to refuse the other seven


# Ids


def test_row_20_an_id_that_is_in_flight_is_refused_and_the_first_call_is_unaffected() -> None:
    board = Held()
    attacker = Attacker(board)
    attacker.tell(call("later", id=b'"x"'))
    attacker.tell(call("later", id=b'"x"'))
    (refused,) = attacker.messages()
    assert (refused["error"]["code"], refused["id"]) == (-32013, "x")
    attacker.tell(batch(call("later", id=b"7"), call("later", id=b"7")))
    first, second = board.waiting
    for invoke in (first, second):
        assert board.board.complete(invoke.call, "answered", 0.0)
    board.run()
    answer, reply = attacker.messages()
    assert answer == {"jsonrpc": "2.0", "result": "answered", "id": "x"}
    assert [one.get("error", {}).get("code") for one in reply] == [None, -32013]
    attacker.tell(call("add", b"[1,2]", b'"x"'))
    assert len(board.waiting) == 3


def test_row_20_the_same_id_from_another_connection_is_another_id() -> None:
    board = Held()
    first, second = Attacker(board), Attacker(board)
    first.tell(call("later"))
    second.tell(call("later"))
    assert len(board.waiting) == 2
    second.tell(call("$/cancelRequest", b'{"id":1}', None))
    assert board.cancelled() == [board.waiting[1].call]


# Who one claims to be


def asking() -> Service:
    service = Service("asking", public=True)

    @service.method
    def whoami(context: Context) -> None: ...

    @service.method
    def anything(**claims: Any) -> None: ...

    return service


@pytest.mark.parametrize("name", ["identity", "roles", "scopes", "user", "context", "self", "__class__"])
def test_row_37_who_one_claims_to_be_in_parameters_is_refused(name: str) -> None:
    board = Held(service=asking())
    attacker = Attacker(board)
    params = encode({name: "admin"})
    attacker.tell(call("whoami", params))
    (answer,) = attacker.messages()
    assert answer["error"]["code"] == -32602
    attacker.tell(call("connection.info", params))
    (answer,) = attacker.messages()
    assert answer["error"]["code"] == -32602
    assert board.waiting == []


def test_row_37_where_a_method_takes_any_name_a_claim_is_an_argument_and_identity_is_the_connections() -> None:
    board = Held(service=asking(), identity=Identity("eve", ("reading",)))
    attacker = Attacker(board)
    attacker.tell(call("anything", b'{"user":"admin","scopes":["*"],"identity":{"user":"admin"}}'))
    (invoke,) = board.waiting
    assert invoke.kwargs == {"user": "admin", "scopes": ["*"], "identity": {"user": "admin"}}
    assert invoke.caller.identity == Identity("eve", ("reading",))


def test_row_37_members_that_a_request_should_not_have_change_nothing() -> None:
    board = Held(service=asking())
    attacker = Attacker(board)
    attacker.tell(b'{"jsonrpc":"2.0","method":"whoami","id":1,"identity":{"user":"admin"},"scopes":["*"]}')
    assert board.waiting[0].caller.identity == Identity()


@pytest.mark.parametrize("method", ["message.broadcast", "message.send", "connection.stats"])
def test_row_36_who_is_nobody_broadcasts_sends_and_counts_nothing(method: str) -> None:
    board = Board()
    attacker, target = Attacker(board), Browser(board)
    attacker.tell(call(method, b'{"data":"spam","to":{"user":"x"}}' if method == "message.send" else b"[1]"))
    (answer,) = attacker.messages()
    assert answer["error"]["code"] == -32020
    assert target.texts() == []
    refused = board.feed(board.open(), post(call(method)))
    assert status(refused) == 401
    assert b"WWW-Authenticate: Bearer\r\n" in refused


def test_row_36_who_is_somebody_without_the_scope_does_not_broadcast_either() -> None:
    board = Board(identity=Identity("eve"))
    attacker, target = Attacker(board), Browser(board)
    attacker.tell(call("message.broadcast", b'{"data":"spam"}'))
    (answer,) = attacker.messages()
    assert (answer["error"]["code"], answer["error"]["data"]) == (-32021, {"scopes": ["broadcast"]})
    assert target.texts() == []
    assert status(board.feed(board.open(), post(call("message.broadcast", b'{"data":1}')))) == 403
