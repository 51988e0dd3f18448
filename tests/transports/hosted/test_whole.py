"""Hosted connections take no bytes of a socket."""

from __future__ import annotations

import pytest
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.transports.hosted.websocket import HostedWebSocket


def test_the_bytes_of_a_socket_and_their_end_are_misuse() -> None:
    codec = HostedWebSocket(Config(), binary=False)
    with pytest.raises(UsageError, match="not the bytes of a socket"):
        codec.receive_data(b"{}", 0.0)
    with pytest.raises(UsageError, match="no end of input"):
        codec.receive_eof(0.0)
    assert codec.output == []
