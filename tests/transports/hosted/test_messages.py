"""What hosted connections send: bytes that say more."""

from __future__ import annotations

from posthouse.transports.hosted.messages import Accepted, Closing, Response


def test_a_response_is_its_body_with_a_status_and_fields() -> None:
    response = Response(b"{}", 404, ((b"a", b"b"),))
    assert (response, len(response), response.status, response.fields) == (b"{}", 2, 404, ((b"a", b"b"),))


def test_the_begin_and_the_end_of_a_websocket_have_no_bytes() -> None:
    assert (Accepted("chat"), Accepted("chat").subprotocol, Accepted(None).subprotocol) == (b"", "chat", None)
    assert (Closing(1000), Closing(1000).code) == (b"", 1000)
