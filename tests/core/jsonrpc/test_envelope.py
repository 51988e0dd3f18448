"""The members of a message, one by one, and what is said of each when it is wrong."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from msgspec import UNSET, DecodeError, Raw, ValidationError
from msgspec.structs import astuple
from posthouse.core.jsonrpc.envelope import (
    ID_BEGINS,
    PARAMS_BEGIN,
    Envelope,
    Members,
    batch_reader,
    first_byte,
    invalid_id,
    read_any,
    read_envelope,
    read_members,
    read_meta,
    read_outcome,
    text_of,
    to_envelope,
)
from posthouse.core.values.errors import INVALID_REQUEST, ErrorObject, RpcError
from posthouse.core.values.peers import Meta


def members(**texts: bytes) -> Members:
    """The members of an object, JSON text each."""
    values: dict[str, Any] = {name: Raw(text) for name, text in texts.items()}
    return Members(**values)


def why(error: RpcError | ErrorObject) -> Any:
    """The data of an error, which must be -32600."""
    assert (error.code, error.message) == (INVALID_REQUEST, "Invalid Request")
    return error.data


def meta_refused(text: bytes, most: int = 128) -> Any:
    """Why this `meta` is refused."""
    with pytest.raises(RpcError) as caught:
        read_meta(Raw(text), most)
    return why(caught.value)


def outcome_refused(**texts: bytes) -> Any:
    """Why a response of these members is none."""
    with pytest.raises(RpcError) as caught:
        read_outcome(members(**texts))
    return why(caught.value)


def test_a_raw_gives_its_text_and_its_first_byte_without_the_space_around_it() -> None:
    raw = read_envelope(b'{"jsonrpc":"2.0","method":"a","params" :  [ 1, 2 ] , "id": 1 }').params
    assert isinstance(raw, Raw)
    assert text_of((raw,)) == b"[ 1, 2 ]"
    assert first_byte(raw)[0] == ord("[")


def test_any_json_is_read_and_other_bytes_are_not() -> None:
    assert bytes(read_any(b' {"a": [1]} ')) == b'{"a": [1]}'
    with pytest.raises(DecodeError):
        read_any(b"[1")


def test_the_last_of_duplicate_members_wins_and_unknown_ones_are_skipped() -> None:
    assert read_members(b'{"id":1,"id":"two","other":[{}],"method":3}') == members(id=b'"two"', method=b"3")


@pytest.mark.parametrize("id", [b"1", b"-1", b"0.5", b"1e400", b'""', b'"x"', b"null", b"9" * 128])
def test_ids_are_strings_numbers_or_null(id: bytes) -> None:
    assert id[0] in ID_BEGINS


@pytest.mark.parametrize(("text", "may_be"), [(b"[1]", True), (b"{}", True), (b"1", False), (b'"[', False)])
def test_params_are_an_array_or_an_object(text: bytes, may_be: bool) -> None:
    assert (text[0] in PARAMS_BEGIN) is may_be


@pytest.mark.parametrize("id", [b"true", b"false", b"[]", b"{}", b"[1]"])
def test_ids_of_other_types_are_refused(id: bytes) -> None:
    assert id[0] not in ID_BEGINS
    assert why(invalid_id(id, 128)) == {"member": "id", "reason": "it must be a string, a number or null"}


def test_the_error_for_an_id_that_is_too_long_has_the_limit() -> None:
    assert why(invalid_id(b"1" * 9, 8)) == {"member": "id", "limit": "max_id_bytes", "allowed": 8}


def test_a_batch_is_read_up_to_its_limit() -> None:
    read = batch_reader(3)
    for size in range(4):
        text = b"[" + b",".join([b'{"a":[1]}'] * size) + b"]"
        entries = [bytes(entry) for entry in astuple(read(text)) if entry is not UNSET]
        assert entries == [b'{"a":[1]}'] * size
    with pytest.raises(ValidationError):
        read(b"[1,2,3,4]")


def test_the_rest_of_a_batch_above_its_limit_costs_no_memory_and_is_not_read() -> None:
    text = b"[" + b"1," * 500_000 + b"what is this"
    read = batch_reader(100)
    tracemalloc.start()
    try:
        with pytest.raises(ValidationError):
            read(text)
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024
    finally:
        tracemalloc.stop()


def test_a_request_is_built_from_its_members() -> None:
    sealed = to_envelope(members(jsonrpc=b'"2.0"', method=b'"a\\u0062"', params=b"[]", id=b"1", meta=b"{}"))
    assert sealed == Envelope("2.0", "ab", Raw(b"[]"), Raw(b"1"), Raw(b"{}"))


@pytest.mark.parametrize(
    ("texts", "member", "reason"),
    [
        ({}, "jsonrpc", "it is missing"),
        ({"method": b"1"}, "jsonrpc", "it is missing"),
        ({"jsonrpc": b'"1.0"'}, "jsonrpc", 'it must be exactly "2.0"'),
        ({"jsonrpc": b'"2.0"'}, "method", "it is missing"),
        ({"jsonrpc": b'"2.0"', "method": b"1"}, "method", "it must be a string"),
        ({"jsonrpc": b'"2.0"', "method": b"null"}, "method", "it must be a string"),
    ],
)
def test_a_message_without_version_or_method_is_not_a_request(
    texts: dict[str, bytes], member: str, reason: str
) -> None:
    with pytest.raises(RpcError) as caught:
        to_envelope(members(**texts))
    assert why(caught.value) == {"member": member, "reason": reason}


@pytest.mark.parametrize("version", [b'"1.0"', b"2.0", b'"2"', b'"2.00"', b"null", b"[]"])
def test_the_version_must_be_exactly_2_0(version: bytes) -> None:
    with pytest.raises(RpcError) as caught:
        to_envelope(members(jsonrpc=version, method=b'"a"'))
    assert why(caught.value) == {"member": "jsonrpc", "reason": 'it must be exactly "2.0"'}


def test_meta_is_read_with_the_members_it_has() -> None:
    assert read_meta(Raw(b"{}"), 128) == Meta()
    text = b'{"idempotency_key":"k","timeout_ms":1,"traceparent":"t","progress_token":"p","more":[1]}'
    assert read_meta(Raw(text), 128) == Meta("k", 1, "t", "p")
    assert read_meta(Raw(b'{"progress_token":-7,"timeout_ms":null,"traceparent":null}'), 128) == Meta(progress_token=-7)


@pytest.mark.parametrize("id", ["a", "!", "~", "x" * 128, "Root=1-67891233-abcdef"])
def test_a_request_id_has_up_to_128_visible_characters_whatever_ids_may_have(id: str) -> None:
    assert read_meta(Raw(b'{"request_id":"%b"}' % id.encode()), 1) == Meta(request_id=id)


@pytest.mark.parametrize("id", ["", " ", "a b", "a\\n", "a\\u0000", "\u00e9", "x" * 129, "x" * 129 + "\\n"])
def test_another_request_id_is_refused(id: str) -> None:
    refused = meta_refused(b'{"request_id":"%b"}' % id.encode(), 1)
    assert refused == {"member": "meta.request_id", "reason": "it must be 1 to 128 visible characters of ASCII"}


def test_the_last_of_duplicate_members_of_meta_wins() -> None:
    assert read_meta(Raw(b'{"timeout_ms":"soon","timeout_ms":5}'), 128) == Meta(timeout_ms=5)


@pytest.mark.parametrize("text", [b"null", b"[]", b"1", b'"x"', b"true"])
def test_meta_must_be_an_object(text: bytes) -> None:
    assert meta_refused(text) == {"member": "meta", "reason": "it must be an object"}


def test_numbers_of_meta_may_be_up_to_2_to_the_53() -> None:
    text = b'{"timeout_ms":%d,"progress_token":%d}' % (2**53, -(2**53))
    assert read_meta(Raw(text), 128) == Meta(timeout_ms=2**53, progress_token=-(2**53))


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("idempotency_key", b"1", "expected str | null, got int"),
        ("timeout_ms", b"0", "expected int >= 1"),
        ("timeout_ms", b"-1", "expected int >= 1"),
        ("timeout_ms", b"1.5", "expected int | null, got float"),
        ("timeout_ms", b"true", "expected int | null, got bool"),
        ("timeout_ms", b'"1"', "expected int | null, got str"),
        ("timeout_ms", str(2**53 + 1).encode(), f"expected int <= {2**53}"),
        ("traceparent", b"[]", "expected str | null, got array"),
        ("progress_token", b"1.5", "expected int | str | null, got float"),
        ("progress_token", b"{}", "expected int | str | null, got object"),
        ("progress_token", str(2**53 + 1).encode(), f"expected int <= {2**53}"),
        ("progress_token", str(-(2**53) - 1).encode(), f"expected int >= {-(2**53)}"),
    ],
)
def test_an_invalid_member_of_meta_is_named(member: str, value: bytes, reason: str) -> None:
    assert meta_refused(b'{"%b":%b}' % (member.encode(), value)) == {"member": f"meta.{member}", "reason": reason}


@pytest.mark.parametrize("member", ["idempotency_key", "timeout_ms", "traceparent", "progress_token"])
def test_a_member_of_meta_may_be_as_long_as_an_id_but_not_longer(member: str) -> None:
    text = b"1" if member == "timeout_ms" else b'"abc"'
    written = b'{"%b":%b}' % (member.encode(), text)
    assert read_meta(Raw(written), len(text)) != Meta()
    longer = {"member": f"meta.{member}", "limit": "max_id_bytes", "allowed": len(text) - 1}
    assert meta_refused(written, len(text) - 1) == longer


@pytest.mark.parametrize("result", [b"null", b"1", b'{"a": 1}', b'"x"', b"false"])
def test_the_result_of_a_response_is_its_text(result: bytes) -> None:
    assert read_outcome(members(jsonrpc=b'"2.0"', id=b"1", result=result)) == result


@pytest.mark.parametrize("code", [-32000, -32001, -32601, -32768, 0, 7, 2**70])
def test_the_error_of_a_response_may_have_any_code(code: int) -> None:
    text = b'{"code":%d,"message":"m","data":{"a":[1]},"more":1}' % code
    error = read_outcome(members(jsonrpc=b'"2.0"', id=b"null", error=text))
    assert isinstance(error, ErrorObject)
    assert (error.code, error.message, error.data) == (code, "m", {"a": [1]})


def test_an_error_without_data_has_none() -> None:
    error = read_outcome(members(jsonrpc=b'"2.0"', id=b"1", error=b'{"code":1,"message":"m"}'))
    assert isinstance(error, ErrorObject)
    assert error.data is None


@pytest.mark.parametrize(
    ("texts", "data"),
    [
        ({"id": b"1", "result": b"1"}, {"member": "jsonrpc", "reason": "it is missing"}),
        (
            {"jsonrpc": b'"1.0"', "id": b"1", "result": b"1"},
            {"member": "jsonrpc", "reason": 'it must be exactly "2.0"'},
        ),
        ({"jsonrpc": b'"2.0"', "result": b"1"}, {"member": "id", "reason": "it is missing"}),
        (
            {"jsonrpc": b'"2.0"', "id": b"1", "result": b"1", "error": b"null"},
            {"member": "error", "reason": "there is a result too"},
        ),
        (
            {"jsonrpc": b'"2.0"', "id": b"1", "error": b"null"},
            {"member": "error", "reason": "expected object, got null"},
        ),
        (
            {"jsonrpc": b'"2.0"', "id": b"1", "error": b'{"code":1}'},
            {"member": "error", "reason": "object missing required field message"},
        ),
        (
            {"jsonrpc": b'"2.0"', "id": b"1", "error": b'{"code":1,"message":1,"message":"m"}'},
            {"member": "error", "reason": "expected str, got int"},
        ),
        (
            {"jsonrpc": b'"2.0"', "id": b"1", "error": b'{"code":1.5,"message":"m"}'},
            {"member": "error", "reason": "expected int, got float"},
        ),
    ],
)
def test_the_error_for_a_malformed_response_names_the_member(texts: dict[str, bytes], data: object) -> None:
    assert outcome_refused(**texts) == data
