"""Requests that came before: another head never gets their judgement, and values that differ are read each time."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Meta
from posthouse.transports.hosted.known_requests import KnownRequests
from posthouse.transports.hosted.request import HostedRequest, head_bytes, read_head
from posthouse.transports.http.head import Head
from posthouse.transports.http.judgement import Judge, JudgedHead, named
from posthouse.transports.paths import Paths
from posthouse.transports.policy import Policy

from .host import JSON, LOCAL, call, head

JUDGE: Final = Judge(Config(), Policy(), hosted=True)
TOKEN: Final = (b"authorization", b"Bearer one")
TRACE: Final = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
KEY: Final = (b"idempotency-key", b"first")
REQUEST_ID: Final = (b"x-request-id", b"abc")


def judged(request: HostedRequest) -> tuple[Head, JudgedHead]:
    """A head and its judgement, as a board keeps them."""
    read = read_head(request, Config(), Paths())
    assert isinstance(read, Head)
    return read, replace(JUDGE.judge(read, None)[0], path=request.full_path)


def knowing(*requests: HostedRequest, most_bytes: int = 16_384, most: int = 256) -> KnownRequests:
    known = KnownRequests(most_bytes, most)
    for request in requests:
        known.keep(request, *judged(request))
    return known


def test_a_call_that_came_before_is_known() -> None:
    known = knowing(call())
    assert known.find(call()) == judged(call())[1]
    assert known.find(call(size=3)) is None
    assert known.find(call(path="/")) is None


@pytest.mark.parametrize("field", [TOKEN, TRACE, KEY, REQUEST_ID])
def test_the_values_of_one_caller_or_one_request_are_not_kept(field: tuple[bytes, bytes]) -> None:
    known = knowing(call(field))
    other = (field[0], field[1].replace(b"o", b"0"))
    for value in (field, other):
        found = known.find(call(value))
        assert found is not None
        assert found.headers == call(value).headers
        assert found == named(judged(call(value))[1])
    assert known.find(call()) is None
    assert field[1] not in repr(vars(known)).encode()


def test_the_metadata_of_a_call_is_that_of_its_own_head() -> None:
    known = knowing(call(KEY, REQUEST_ID))
    found = known.find(call((b"idempotency-key", b"second"), (b"x-request-id", b"def")))
    assert found is not None
    assert found.meta == Meta(idempotency_key="second", request_id="def")
    assert found.options.lines == b"X-Request-Id: def\r\n"
    assert known.find(call((b"idempotency-key", b"\xff"), REQUEST_ID)) is None, "it is judged anew, and refused"


@pytest.mark.parametrize(
    "request_",
    [
        head(b"GET", "/health"),
        head(b"POST", "/nowhere", JSON),
        call((b"expect", b"100-continue")),
        call((b"accept", b"a"), (b"accept", b"b")),
        call((b"X-Upper", b"a")),
        call((b"x-blank", b" a")),
        call((b"x-long", b"a" * 1_024)),
    ],
)
def test_heads_that_are_rare_long_or_no_calls_are_not_kept(request_: HostedRequest) -> None:
    assert knowing(request_).find(request_) is None


@pytest.mark.parametrize(("more", "kept"), [(-1, True), (0, True), (1, False)])
def test_a_head_is_kept_up_to_a_kibibyte(more: int, kept: bool) -> None:
    room = 1_024 - head_bytes(call((b"x-long", b"")))
    request = call((b"x-long", b"a" * (room + more)))
    assert (knowing(request).find(request) is not None) is kept


@pytest.mark.parametrize(("more", "found"), [(-1, True), (0, True), (1, False)])
def test_a_value_that_makes_the_head_too_large_is_judged_anew(more: int, found: bool) -> None:
    known = knowing(call(TOKEN), most_bytes=500)
    room = 500 - head_bytes(call((b"authorization", b"")))
    assert (known.find(call((b"authorization", b"a" * (room + more)))) is not None) is found


def test_the_oldest_head_makes_room_and_none_is_kept_where_none_may_be() -> None:
    requests = [call(size=size) for size in (1, 2, 3)]
    known = knowing(*requests, requests[1], most=2)
    assert [known.find(request) is not None for request in requests] == [False, True, True]
    assert knowing(*requests, most=0).find(requests[2]) is None


NAMES: Final = st.sampled_from([b"authorization", b"traceparent", b"x-request-id", b"accept", b"Accept", b"origin"])
FIELDS: Final = st.lists(st.tuples(NAMES, st.sampled_from([b"", b"a", b" a", b"Bearer x", b"abc"])), max_size=3)
REQUESTS: Final = st.builds(
    lambda fields, size, path: HostedRequest(
        b"POST", path, b"", b"1.1", (LOCAL, JSON, (b"content-length", b"%d" % size), *fields), path, len(path)
    ),
    FIELDS,
    st.sampled_from([2, 3]),
    st.sampled_from(["/rpc", "/"]),
)


@given(st.lists(REQUESTS, max_size=8))
def test_a_known_head_is_judged_as_if_it_were_not(requests: list[HostedRequest]) -> None:
    known = KnownRequests(16_384)
    for request in requests:
        read = read_head(request, Config(), Paths())
        found = known.find(request)
        if not isinstance(read, Head):
            assert found is None
            continue
        anew = replace(JUDGE.judge(read, None)[0], path=request.full_path)
        assert found is None or found == named(anew)
        known.keep(request, read, anew)
