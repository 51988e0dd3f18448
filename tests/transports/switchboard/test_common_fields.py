"""Fields that are alike are one object, and a table of them that is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from posthouse.transports.fields import Fields
from posthouse.transports.switchboard.common_fields import MAX_FIELD_BYTES, MAX_FIELDS, CommonFields


def field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A field that is no other object's: bytes are made anew."""
    return bytes(bytearray(name)), bytes(bytearray(value))


def test_equal_fields_of_two_clients_are_the_same_objects() -> None:
    common = CommonFields()
    first = common.share((field(b"host", b"example.org"), field(b"origin", b"https://example.org")))
    second = common.share((field(b"origin", b"https://example.org"), field(b"host", b"example.org")))
    assert first == ((b"host", b"example.org"), (b"origin", b"https://example.org"))
    assert (second[0] is first[1], second[1] is first[0]) == (True, True)


def test_of_a_field_that_differs_with_every_client_only_the_name_is_kept() -> None:
    common = CommonFields()
    (first,) = common.share((field(b"cookie", b"session=1"),))
    (second,) = common.share((field(b"cookie", b"session=1"),))
    assert first == second == (b"cookie", b"session=1")
    assert (first[0] is second[0], first[1] is second[1]) == (True, False)


def test_a_long_field_is_not_kept() -> None:
    common = CommonFields()
    for size, kept in ((MAX_FIELD_BYTES - 1, True), (MAX_FIELD_BYTES, False)):
        (first,) = common.share((field(b"a", b"x" * size),))
        (second,) = common.share((field(b"a", b"x" * size),))
        assert (first == second, first is second) == (True, kept)


def test_the_oldest_field_makes_room() -> None:
    common = CommonFields()
    (first,) = common.share((field(b"a", b"0"),))
    for number in range(1, MAX_FIELDS):
        common.share((field(b"a", b"%d" % number),))
    assert common.share((field(b"a", b"0"),))[0] is first
    common.share((field(b"a", b"another"),))
    assert common.share((field(b"a", b"0"),))[0] is not first


NAMES = st.sampled_from([b"host", b"cookie", b"authorization", b"sec-websocket-key", b"x"])


@given(st.lists(st.lists(st.tuples(NAMES, st.binary(max_size=3)), max_size=4).map(tuple), max_size=8))
def test_fields_are_equal_to_those_that_were_received(clients: list[Fields]) -> None:
    common = CommonFields()
    assert [common.share(fields) for fields in clients] == clients
