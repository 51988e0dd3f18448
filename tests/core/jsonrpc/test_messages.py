"""JSON-RPC 2.0 as bytes: every example of section 7, what is refused and how, and what is written."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw, Struct, json
from posthouse.core.jsonrpc.messages import (
    Decoder,
    Invalid,
    Message,
    Request,
    Response,
    encode_error,
    encode_notification,
    encode_request,
    encode_result,
    is_encodable,
    join_batch,
    read_reply,
)
from posthouse.core.values.config import Config
from posthouse.core.values.errors import (
    BATCH_TOO_LARGE,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorObject,
    UsageError,
)
from posthouse.core.values.peers import Meta, WireId

from tests.values import changeable

DECODER = Decoder(Config())
ID = WireId(b"1")


def show(message: Message) -> tuple[Any, ...]:
    """A message as plain values: requests, responses and refusals alike."""
    if isinstance(message, Request):
        params = None if message.params is None else bytes(message.params)
        return ("request", message.method, params, message.id)
    if isinstance(message, Response):
        outcome = message.outcome
        return ("response", message.id, outcome if isinstance(outcome, bytes) else (outcome.code, outcome.message))
    return ("invalid", message.id, message.error.code)


def decode(data: bytes, **limits: Any) -> Any:
    """The decoded text in a readable form: a tuple, or a list of tuples for a batch."""
    message = (Decoder(Config(**limits)) if limits else DECODER).decode(data)
    return [show(entry) for entry in message] if isinstance(message, list) else show(message)


def refused(data: bytes, **limits: Any) -> Invalid:
    """The one refusal that a text decodes to."""
    message = Decoder(Config(**limits)).decode(data)
    assert isinstance(message, Invalid)
    return message


ONE = b'{"jsonrpc":"2.0","method":"a","id":1}'
MALFORMED = ("invalid", b"null", PARSE_ERROR)
NO_REQUEST = ("invalid", b"null", INVALID_REQUEST)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b'{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
            ("request", "subtract", b"[42, 23]", b"1"),
        ),
        (
            b'{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
            ("request", "subtract", b'{"subtrahend": 23, "minuend": 42}', b"3"),
        ),
        (
            b'{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}',
            ("request", "update", b"[1,2,3,4,5]", None),
        ),
        (b'{"jsonrpc": "2.0", "method": "foobar"}', ("request", "foobar", None, None)),
        (b'{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', ("request", "foobar", None, b'"1"')),
        (b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', MALFORMED),
        (b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}', NO_REQUEST),
        (
            b'[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},\n  {"jsonrpc": "2.0", "method"\n]',
            MALFORMED,
        ),
        (b"[]", NO_REQUEST),
        (b"[1]", [NO_REQUEST]),
        (b"[1,2,3]", [NO_REQUEST] * 3),
        (
            b"""[
                {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
                {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
                {"foo": "boo"},
                {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
            ]""",
            [
                ("request", "sum", b"[1,2,4]", b'"1"'),
                ("request", "notify_hello", b"[7]", None),
                NO_REQUEST,
                ("request", "get_data", None, b'"9"'),
            ],
        ),
        (b'{"jsonrpc": "2.0", "result": 19, "id": 1}', ("response", b"1", b"19")),
        (
            b'{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}',
            ("response", b'"1"', (-32601, "Method not found")),
        ),
    ],
)
def test_every_example_of_section_7_is_decoded_as_stated(data: bytes, expected: Any) -> None:
    assert decode(data) == expected


@pytest.mark.parametrize(
    ("code", "id", "text"),
    [
        (PARSE_ERROR, b"null", '{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'),
        (INVALID_REQUEST, b"null", '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}'),
        (-32601, b'"1"', '{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":"1"}'),
    ],
)
def test_every_error_of_section_7_is_encoded_as_in_the_examples(code: int, id: bytes, text: str) -> None:
    assert encode_error(WireId(id), ErrorObject.of(code)).decode() == text


def test_invalid_requests_of_section_7_are_refused_without_data() -> None:
    for data in (
        b"{",
        b"[]",
        b" [\n] ",
        b"1",
        b'"{"',
        b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
        b'{"foo": "boo"}',
    ):
        assert refused(data).error.data is None


@pytest.mark.parametrize(
    ("text", "id", "data"),
    [
        (b'{"method":"log","id":1}', b"1", {"member": "jsonrpc", "reason": "it is missing"}),
        (b'{"id":4,"jsonrpc":"2.0"}', b"4", {"member": "method", "reason": "it is missing"}),
        (b'{"jsonrpc":"2.0","method":5,"id":"x"}', b'"x"', {"member": "method", "reason": "it must be a string"}),
    ],
)
def test_an_invalid_request_with_an_id_gets_a_reason_alone_and_in_a_batch(text: bytes, id: bytes, data: object) -> None:
    entries = DECODER.decode(b"[" + text + b"," + ONE + b"]")
    assert isinstance(entries, list)
    for refusal in (refused(text), entries[0]):
        assert isinstance(refusal, Invalid)
        assert (refusal.id, refusal.error.code, refusal.answer) == (id, INVALID_REQUEST, True)
        assert refusal.error.data == data


# Invalid JSON


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"hello",
        b"{",
        b'{"jsonrpc":"2.0","method":"a","params":[NaN],"id":1}',
        b'{"jsonrpc":"2.0","method":"a","params":[-Infinity],"id":1}',
        b'{"jsonrpc":"2.0","method":"a","params":["\\ud800"],"id":1}',
        b'{"jsonrpc":"2.0","method":"a","params":["\\udc00\\ud800"],"id":1}',
        b'{"jsonrpc":"2.0","method":"\\ud800","id":1}',
        b'{"jsonrpc":"2.0","method":"a","id":"\\ud800"}',
        b'{"\\ud800":1,"jsonrpc":"2.0","method":"a"}',
        b'{"jsonrpc":"2.0","method":"a","params":["\xff"],"id":1}',
        b'{"jsonrpc":"2.0","method":"a","params":["\xed\xa0\x80"],"id":1}',
        b'["\xff"]',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","method":"a","id":1}',
        '{"jsonrpc":"2.0","method":"a","id":1}'.encode("utf-16"),
        '{"jsonrpc":"2.0","method":"a","id":1}'.encode("utf-16-le"),
        b'{"jsonrpc":"2.0","method":"a","id":1} x',
        b'{"jsonrpc":"2.0","method":"a","id":1}{}',
        b'{"jsonrpc":"1.0","method":"a","id":1,}',
        b'{"jsonrpc":"2.0","method":1,"id":01}',
        b"[1,2,",
        b"[1,]",
        b"[1] 2",
        b'"a" 2',
        b"1 2",
        b"\x0b[]",
        b'{"jsonrpc":"2.0","method":"a","params":["\n"],"id":1}',
    ],
)
def test_invalid_json_is_a_parse_error_with_id_null(data: bytes) -> None:
    assert decode(data) == MALFORMED
    assert refused(data).answer


@pytest.mark.parametrize("data", [b"1", b"null", b"true", b'"hello"', b" 1.5 ", b"9" * 5000, b"1e999", b"{}"])
def test_json_other_than_an_object_and_an_empty_object_are_invalid_requests(data: bytes) -> None:
    assert decode(data) == NO_REQUEST


def test_entries_that_are_arrays_are_invalid_requests() -> None:
    assert decode(b"[[],[1]]") == [NO_REQUEST] * 2


# Limits


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """A request that nests this deep in all."""
    inner = opening * (depth - 1) + closing * (depth - 1)
    return b'{"jsonrpc":"2.0","method":"a","params":' + inner + b',"id":1}'


@pytest.mark.parametrize("limit", [3, 20, 64, 100])
def test_a_request_may_nest_as_deep_as_the_limit_but_not_deeper(limit: int) -> None:
    for depth in (limit - 1, limit):
        assert decode(nested(depth), max_depth=limit)[:2] == ("request", "a")
    deeper = refused(nested(limit + 1), max_depth=limit)
    assert (deeper.id, deeper.error.code) == (b"null", PARSE_ERROR)
    assert deeper.error.data == {"limit": "max_depth", "allowed": limit}


def test_the_depth_of_a_batch_counts_its_own_array() -> None:
    assert decode(b"[" + nested(9) + b"]", max_depth=10) == [("request", "a", b"[" * 8 + b"]" * 8, b"1")]
    assert decode(b"[" + nested(10) + b"]", max_depth=10) == MALFORMED


def test_one_entry_that_is_too_deep_refuses_the_whole_batch() -> None:
    entries = [nested(9)] * 5
    assert len(decode(b"[" + b",".join(entries) + b"]", max_depth=10)) == 5
    entries[3] = b'{"more":' + b"[" * 9 + b"]" * 9 + b"}"
    assert decode(b"[" + b",".join(entries) + b"]", max_depth=10) == MALFORMED


def test_an_array_is_found_behind_any_white_space_of_json() -> None:
    assert decode(b" \t\r\n" * 1_000 + b"[1]") == [NO_REQUEST]
    assert decode(b"\x0b[1]") == MALFORMED


def test_the_depth_of_responses_and_of_invalid_messages_counts_too() -> None:
    deep = b"[" * 70 + b"]" * 70
    assert decode(b'{"jsonrpc":"2.0","result":' + deep + b',"id":1}') == MALFORMED
    assert decode(b'{"more":' + deep + b"}") == MALFORMED


@pytest.mark.parametrize("data", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, nested(50_000)])
def test_a_text_that_is_far_too_deep_is_a_parse_error_with_the_limit(data: bytes) -> None:
    refusal = refused(data)
    assert (refusal.id, refusal.error.code) == (b"null", PARSE_ERROR)
    assert refusal.error.data == {"limit": "max_depth", "allowed": 64}


def test_an_overflow_of_the_stack_is_a_refusal() -> None:
    def deeper() -> Message | list[Message]:
        try:
            return deeper()
        except RecursionError:
            return DECODER.decode(b"[[[[1]]]]")

    assert isinstance(deeper(), list | Invalid)


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_batch_may_be_as_large_as_the_limit_but_not_larger(limit: int) -> None:
    for size in range(1, limit + 1) if limit < 9 else (limit - 1, limit):
        batch = b"[" + b",".join([ONE] * size) + b"]"
        assert decode(batch, max_batch=limit) == [("request", "a", None, b"1")] * size
    larger = refused(b"[" + b",".join([ONE] * (limit + 1)) + b"]", max_batch=limit)
    assert (larger.id, larger.error.code, larger.answer) == (b"null", BATCH_TOO_LARGE, True)
    assert larger.error.data == {"limit": "max_batch", "allowed": limit}


def test_a_batch_that_is_too_large_is_refused_even_with_invalid_entries() -> None:
    assert decode(b"[" + b"1," * 100 + b"1]") == ("invalid", b"null", BATCH_TOO_LARGE)
    assert decode(b" [" + b"[]," * 100 + b"{}]") == ("invalid", b"null", BATCH_TOO_LARGE)


@pytest.mark.parametrize("data", [b"[" + b"1," * 500_000 + b"1]", b'{"a":[' + b"[]," * 300_000 + b"1]}"])
def test_refusing_a_text_takes_hardly_any_memory(data: bytes) -> None:
    DECODER.decode(data)
    tracemalloc.start()
    try:
        assert isinstance(DECODER.decode(data), Invalid)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


def test_a_methods_name_may_be_as_long_as_the_limit_in_bytes_but_not_longer() -> None:
    for method in ("m" * 7, "m" * 8, "é" * 4):
        text = b'{"jsonrpc":"2.0","method":"%b","id":1}' % method.encode()
        assert decode(text, max_method_bytes=8) == ("request", method, None, b"1")
    for method in ("m" * 9, "é" * 4 + "m"):
        text = b'{"jsonrpc":"2.0","method":"%b","id":1}' % method.encode()
        refusal = refused(text, max_method_bytes=8)
        assert (refusal.id, refusal.error.code) == (b"1", INVALID_REQUEST)
        assert refusal.error.data == {"member": "method", "limit": "max_method_bytes", "allowed": 8}


def test_an_id_may_be_as_long_as_the_limit_but_not_longer() -> None:
    for id in (b'"12345"', b'"123456"', b"12345678"):
        assert decode(b'{"jsonrpc":"2.0","method":"a","id":%b}' % id, max_id_bytes=8) == ("request", "a", None, id)
        assert decode(b'{"jsonrpc":"2.0","result":1,"id":%b}' % id, max_id_bytes=8) == ("response", id, b"1")
    for id in (b'"1234567"', b"123456789"):
        refusal = refused(b'{"jsonrpc":"2.0","method":"a","id":%b}' % id, max_id_bytes=8)
        assert (refusal.id, refusal.error.code) == (b"null", INVALID_REQUEST)
        assert refusal.error.data == {"member": "id", "limit": "max_id_bytes", "allowed": 8}


# Members


@pytest.mark.parametrize(
    "id", [b"0", b"-0", b"-7", b"1.50", b"1E+2", b"9" * 100, b'""', b'"a\\u00e9\\n"', '"é𝄞"'.encode(), b"null"]
)
def test_an_id_is_echoed_byte_for_byte(id: bytes) -> None:
    request = DECODER.decode(b'{"jsonrpc":"2.0","method":"a","id": %b }' % id)
    assert isinstance(request, Request)
    assert request.id == id
    assert encode_result(WireId(id), b"1").endswith(b'"id":%b}' % id)


@pytest.mark.parametrize(
    ("member", "data"),
    [
        (b'"jsonrpc":"1.0"', {"member": "jsonrpc", "reason": 'it must be exactly "2.0"'}),
        (b'"jsonrpc":2.0', {"member": "jsonrpc", "reason": 'it must be exactly "2.0"'}),
        (b'"method":""', {"member": "method", "reason": "it must not be empty"}),
        (b'"method":null', {"member": "method", "reason": "it must be a string"}),
        (b'"params":"x"', {"member": "params", "reason": "it must be an array or an object"}),
        (b'"params":1', {"member": "params", "reason": "it must be an array or an object"}),
        (b'"meta":[]', {"member": "meta", "reason": "it must be an object"}),
        (b'"meta":{"timeout_ms":0}', {"member": "meta.timeout_ms", "reason": "expected int >= 1"}),
    ],
)
def test_an_invalid_request_echoes_an_id_that_is_readable_and_valid(member: bytes, data: object) -> None:
    for id, echoed in ((b',"id":"x"', b'"x"'), (b"", b"null"), (b',"id":true', b"null")):
        text = b'{"jsonrpc":"2.0","method":"a",%b%b}' % (member, id)
        refusal = refused(text)
        assert (refusal.id, refusal.error.code, refusal.answer) == (echoed, INVALID_REQUEST, True)
        if echoed != b"null":
            assert refusal.error.data == data


def test_params_of_null_count_as_absent() -> None:
    request = DECODER.decode(b'{"jsonrpc":"2.0","method":"a","params": null ,"id":1}')
    assert isinstance(request, Request)
    assert request == Request("a", None, WireId(b"1"))
    for value in (b"nul", b"false"):
        assert isinstance(DECODER.decode(b'{"jsonrpc":"2.0","method":"a","params":%b,"id":1}' % value), Invalid)


@pytest.mark.parametrize("id", [b"true", b"[]", b'{"a":1}'])
def test_an_id_of_another_type_is_answered_with_null(id: bytes) -> None:
    refusal = refused(b'{"jsonrpc":"2.0","method":"a","id":%b}' % id)
    assert (refusal.id, refusal.error.code) == (b"null", INVALID_REQUEST)
    assert refusal.error.data == {"member": "id", "reason": "it must be a string, a number or null"}


@pytest.mark.parametrize(
    "text",
    [
        b'{"jsonrpc":"1.0","method":1,"params":2,"id":[],"jsonrpc":"2.0","method":"a","params":[],"id":1}',
        b'{"result":1,"error":2,"jsonrpc":"2.0","method":"a","params":[],"id":1}',
        b'{"jsonrpc":"2.0","\\u006dethod":"a","params":[],"id":1,"more":{"deep":[1]}}',
        b'\t\r\n {"jsonrpc":"2.0","method":"a","params":[],"id":1}\n',
    ],
)
def test_the_last_of_duplicates_wins_and_unknown_members_are_ignored(text: bytes) -> None:
    assert decode(text) == ("request", "a", b"[]", b"1")
    assert decode(b"[" + text + b"]") == [("request", "a", b"[]", b"1")]


def test_methods_that_begin_with_rpc_are_read_like_any_other() -> None:
    assert decode(b'{"jsonrpc":"2.0","method":"rpc.discover","id":1}') == ("request", "rpc.discover", None, b"1")


def test_a_request_carries_its_meta() -> None:
    request = DECODER.decode(b'{"jsonrpc":"2.0","method":"a","meta":{"timeout_ms":5,"progress_token":7}}')
    assert request == Request("a", meta=Meta(timeout_ms=5, progress_token=7))
    assert Request("a").meta is None


# Responses


@pytest.mark.parametrize("result", [b"null", b"false", b'{"a": [1]}'])
def test_a_result_stays_unchanged_json_text(result: bytes) -> None:
    assert decode(b'{"jsonrpc":"2.0","result": %b ,"id":"x"}' % result) == ("response", b'"x"', result)


def test_an_error_with_any_code_is_an_outcome() -> None:
    text = b'{"jsonrpc":"2.0","error":{"code":-32099,"message":"m","data":[1]},"id":null}'
    response = DECODER.decode(text)
    assert isinstance(response, Response)
    assert isinstance(response.outcome, ErrorObject)
    assert (response.outcome.code, response.outcome.message, response.outcome.data) == (-32099, "m", [1])


@pytest.mark.parametrize(
    "text",
    [
        b'{"result":1,"id":1}',
        b'{"jsonrpc":"1.0","result":1,"id":1}',
        b'{"jsonrpc":"2.0","result":1}',
        b'{"jsonrpc":"2.0","result":1,"id":[]}',
        b'{"jsonrpc":"2.0","result":1,"error":null,"id":1}',
        b'{"jsonrpc":"2.0","error":{"code":"1","message":"m"},"id":1}',
    ],
)
def test_a_malformed_response_is_never_answered(text: bytes) -> None:
    assert not refused(text).answer
    (entry,) = decode(b"[" + text + b"]")
    assert entry[::2] == ("invalid", INVALID_REQUEST)


# Nothing escapes


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "text",
    [
        b'{"jsonrpc":"2.0","error":3}',
        b'{"jsonrpc":"2.0","method":"a","meta":[]}',
        b'[{"jsonrpc":1,"method":"a","id":1}]',
    ],
)
def test_an_invalid_text_does_not_stay_in_memory(text: bytes) -> None:
    gc.collect()
    gc.disable()
    try:
        # Other threads of the test run may leave garbage, too. A cycle made by the decoder would be there each time.
        assert min(_collected_after(text) for _ in range(5)) == 0
    finally:
        gc.enable()


def _collected_after(text: bytes) -> int:
    DECODER.decode(text)
    return gc.collect()


@given(st.binary(max_size=200))
@example(b'{"jsonrpc":"2.0","method":"a","params":["\xed\xa0\x80"]}')
def test_no_bytes_raise(data: bytes) -> None:
    message = DECODER.decode(data)
    assert isinstance(message, list | Request | Response | Invalid)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "method": st.just("a") | JSON,
        "params": JSON,
        "id": JSON,
        "meta": st.dictionaries(st.sampled_from(["timeout_ms", "progress_token", "traceparent"]), JSON) | JSON,
        "result": JSON,
        "error": st.fixed_dictionaries({"code": JSON, "message": JSON}) | JSON,
    },
)


@given(st.lists(MEMBERS | JSON, max_size=4) | MEMBERS | JSON)
def test_no_json_raises_and_its_members_decide_the_kind_of_message(value: Any) -> None:
    decoder = Decoder(Config(max_depth=5, max_batch=3))
    message = decoder.decode(json.encode(value))
    if not isinstance(message, list):
        messages, values = [message], [value]
    else:
        messages, values = message, value
    assert len(messages) == len(values)
    for entry, given_value in zip(messages, values, strict=True):
        if isinstance(entry, Request):
            assert given_value["jsonrpc"] == "2.0"
            assert given_value["method"] == entry.method
            assert (entry.id is None) == ("id" not in given_value)
            assert entry.params is None or json.decode(entry.params) == given_value["params"]
        elif isinstance(entry, Response):
            assert "method" not in given_value
            assert ("result" in given_value) != ("error" in given_value)


@given(st.binary(max_size=30), st.integers(0, 60))
def test_a_request_with_bytes_replaced_raises_nothing(noise: bytes, at: int) -> None:
    text = b'{"jsonrpc":"2.0","method":"a","params":["hello",{"b":null}],"id":17,"meta":{}}'
    DECODER.decode(text[:at] + noise + text[at + len(noise) :])
    DECODER.decode(b"[" + text[:at] + noise + text[at + len(noise) :] + b"," + text + b"]")


# Writing


class Point(Struct):
    """Something that becomes an object."""

    x: int
    y: int


class Hostile:
    """A model whose conversion raises what nobody expects."""

    @classmethod
    def model_validate(cls, obj: Any) -> Any:
        """Not used."""

    @classmethod
    def model_json_schema(cls, *, ref_template: str = "", mode: Any = "") -> dict[str, Any]:
        """Not used."""
        return {}

    def model_dump(self, *, mode: str = "", by_alias: bool = False) -> Any:
        """Raise."""
        raise SystemExit("no")


class Said(Hostile):
    """A model that writes itself."""

    def model_dump(self, *, mode: str = "", by_alias: bool = False) -> Any:
        """As JSON."""
        return {"said": by_alias}


def cycle() -> list[Any]:
    """A list that holds itself."""
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (None, '{"jsonrpc":"2.0","method":"a.b"}'),
        ([], '{"jsonrpc":"2.0","method":"a.b","params":[]}'),
        ((1, "é"), '{"jsonrpc":"2.0","method":"a.b","params":[1,"é"]}'),
        ({"x": None}, '{"jsonrpc":"2.0","method":"a.b","params":{"x":null}}'),
        (Point(1, 2), '{"jsonrpc":"2.0","method":"a.b","params":{"x":1,"y":2}}'),
        (Raw(b"[1]"), '{"jsonrpc":"2.0","method":"a.b","params":[1]}'),
        (Said(), '{"jsonrpc":"2.0","method":"a.b","params":{"said":true}}'),
        ({"x": {"b", "a"}}, '{"jsonrpc":"2.0","method":"a.b","params":{"x":["a","b"]}}'),
    ],
)
def test_a_notification_carries_params_that_encode_as_an_array_or_an_object(params: object, text: str) -> None:
    assert encode_notification("a.b", params).decode() == text
    assert encode_request(7, "a.b", params).decode() == text[:-1] + ',"id":7}'


@pytest.mark.parametrize("params", [1, "x", True, 1.5, float("nan"), Raw(b"")])
def test_params_that_are_not_an_array_or_an_object_are_misuse(params: object) -> None:
    with pytest.raises(UsageError, match="must be an array or an object"):
        encode_notification("a", params)
    with pytest.raises(UsageError):
        encode_request(1, "a", params)


@pytest.mark.parametrize("params", [[object()], ["\ud800"], {(1, 2): 3}, cycle(), [Hostile()]])
def test_params_that_cannot_be_encoded_are_misuse(params: object) -> None:
    with pytest.raises(UsageError, match="cannot be encoded"):
        encode_notification("a", params)


def test_a_method_must_have_a_name_that_can_be_encoded() -> None:
    with pytest.raises(UsageError, match="must not be empty"):
        encode_notification("", None)
    with pytest.raises(UsageError, match="cannot be encoded"):
        encode_notification("\ud800", None)


def test_an_error_is_written_with_its_data() -> None:
    text = encode_error(ID, ErrorObject(7, "seven", {"why": {2, 1}}))
    assert text == b'{"jsonrpc":"2.0","error":{"code":7,"message":"seven","data":{"why":[1,2]}},"id":1}'
    assert is_encodable({"why": {2, 1}})


@pytest.mark.parametrize("data", [object(), "\ud800", cycle(), Hostile(), {"a": {(1, 2): 3}}])
def test_data_that_cannot_be_encoded_is_left_out(data: object) -> None:
    text = encode_error(ID, ErrorObject(7, "seven", data))
    assert text == b'{"jsonrpc":"2.0","error":{"code":7,"message":"seven"},"id":1}'
    assert not is_encodable(data)


def test_an_error_that_cannot_be_encoded_at_all_is_an_internal_one() -> None:
    text = encode_error(ID, ErrorObject(7, "\ud800"))
    assert json.decode(text)["error"] == {"code": INTERNAL_ERROR, "message": "Internal error"}


def test_a_batch_of_replies_is_one_array() -> None:
    assert join_batch([]) == b"[]"
    assert join_batch([b"1"]) == b"[1]"
    assert join_batch([b"1", b'{"a":2}']) == b'[1,{"a":2}]'


@given(
    st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
    st.none() | st.lists(JSON, max_size=3) | st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    st.integers(0, 2**60),
)
def test_an_encoded_message_decodes_to_the_same_message(method: str, params: Any, id: int) -> None:
    for text, expected in (
        (encode_notification(method, params), None),
        (encode_request(id, method, params), str(id).encode()),
    ):
        request = DECODER.decode(text)
        assert isinstance(request, Request)
        assert (request.method, request.id) == (method, expected)
        assert params == (None if request.params is None else json.decode(request.params))


@given(JSON, st.integers() | st.text(max_size=20))
def test_an_encoded_response_decodes_to_the_same_response(value: Any, id: int | str) -> None:
    raw_id, result = json.encode(id), json.encode(value)
    if len(raw_id) > 128:
        return
    assert DECODER.decode(encode_result(WireId(raw_id), result)) == Response(WireId(raw_id), result)
    response = DECODER.decode(encode_error(WireId(raw_id), ErrorObject(7, "seven", value)))
    assert isinstance(response, Response)
    assert isinstance(response.outcome, ErrorObject)
    assert (response.id, response.outcome.code, response.outcome.data) == (raw_id, 7, value)


@given(JSON)
def test_the_reply_to_a_local_call_is_read_as_it_was_written(value: Any) -> None:
    result = json.encode(value)
    assert read_reply(encode_result(WireId(b"1"), result)) == result
    error = read_reply(encode_error(WireId(b"1"), ErrorObject(7, "seven", value)))
    assert error == ErrorObject(7, "seven", value)


def test_a_result_is_read_however_deep_it_is() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert read_reply(encode_result(WireId(b"1"), deep)) == deep


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.jsonrpc.messages") == []
