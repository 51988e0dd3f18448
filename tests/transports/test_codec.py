"""What codecs say are values; every one of them is told apart by its type."""

from __future__ import annotations

from typing import get_args

import pytest
from posthouse.transports.codec import ABNORMAL, Binary, Codec, Output, Send, Shut
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming
from posthouse.transports.switchboard.first_codec import Opening
from posthouse.transports.websocket.server import WebSocket

from tests.values import changeable


def test_outputs_are_values_that_cannot_change() -> None:
    output = Send(b"x")
    assert output == Send(b"x")
    with pytest.raises(AttributeError):
        output.data = b"y"  # type: ignore[misc]


def test_shutting_lets_what_was_sent_go_unless_told_otherwise() -> None:
    assert Shut().flush


def test_a_connection_that_ended_without_a_close_frame_has_the_code_that_is_reserved_for_it() -> None:
    assert ABNORMAL == 1006


def test_a_binary_payload_is_bytes_that_remember_it() -> None:
    assert Binary(b"x") == b"x"
    assert type(Binary(b"x")) is Binary


def test_the_union_of_outputs_is_closed_and_says_what_each_is_for() -> None:
    assert all(kind.__doc__ for kind in get_args(Output))


@pytest.mark.parametrize(
    "codec", [Http1, WebSocket, NewlineFraming, ContentLengthFraming, Opening], ids=lambda codec: codec.__name__
)
def test_every_codec_has_what_the_protocol_asks(codec: type) -> None:
    for name in vars(Codec):
        if not name.startswith("_"):
            assert hasattr(codec, name), name


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.codec") == []
