"""Bytes mean the same however they are cut: two codecs that are fed the same bytes in other pieces must agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from posthouse.core.values.config import Config
from posthouse.core.values.peers import ANONYMOUS, Address, SocketId
from posthouse.transports.codec import (
    Announced,
    Answered,
    Arrived,
    Codec,
    Ended,
    Exchange,
    Output,
    Probe,
    Selected,
    Send,
    Shut,
    Text,
    Upgrade,
)
from posthouse.transports.http.server import Http1
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.first_codec import first_codecs
from posthouse.transports.websocket.server import WebSocket

from .violation import must

REMEMBERED_BYTES: Final = 4096
"""The number of first bytes of a socket that are remembered, and the rest of the read in which they end."""

REMEMBERED_SOCKETS: Final = 16
"""The number of sockets, the last ones, of which they are remembered."""


class FirstBytes:
    """The first bytes of the last sockets of a server, and where they were cut. `check` cuts them in other places."""

    def __init__(self) -> None:
        self._sockets: Final[dict[SocketId, tuple[Address, bytearray, list[int]]]] = {}

    def opened(self, socket: SocketId, address: Address) -> None:
        """A socket was opened."""
        self._sockets[socket] = address, bytearray(), []
        if len(self._sockets) > REMEMBERED_SOCKETS:
            del self._sockets[next(iter(self._sockets))]

    def received(self, socket: SocketId, data: bytes) -> None:
        """Bytes came from a socket."""
        if socket in self._sockets:
            _, heard, cuts = self._sockets[socket]
            if len(heard) < REMEMBERED_BYTES:
                heard += data
                cuts.append(len(heard))

    def check(self, config: Config, policy: Policy) -> None:
        """The bytes mean the same however they are cut. Raises Violation."""
        for address, heard, cuts in self._sockets.values():
            chunking(config, policy, address, bytes(heard), cuts)


def chunking(config: Config, policy: Policy, address: Address, data: bytes, cuts: Sequence[int]) -> None:
    """Give `data` to two new codecs, to one in the largest possible reads, to the other in pieces that end at `cuts`.
    Both must have the same outputs and the same deadline.

    A WebSocket that failed discards bytes for a while. Where exactly in a read it failed is not known, so the number of
    bytes after which it stops discarding may depend on the cuts."""
    most = config.read_bytes
    whole = _outputs(config, policy, address, data, range(most, len(data) + most, most))
    cut = _outputs(config, policy, address, data, sorted({*cuts, *range(most, len(data), most), len(data)}))
    must(whole == cut, "chunking: bytes mean the same however they are cut")


def _outputs(config: Config, policy: Policy, address: Address, data: bytes, ends: Iterable[int]) -> tuple[object, ...]:
    """The messages in a peer's bytes, the bytes that its codecs send, and their deadline. Every request is answered at
    once with an empty response."""
    codec = first_codecs(config, policy, direct=False)(address, ANONYMOUS, 0.0)
    said: list[object] = []
    sent = bytearray()
    failed_until: float | None = None
    begin = 0
    for end in ends:
        if begin < end and not (said and said[-1] is Shut):
            codec.receive_data(data[begin:end], 0.0)
        begin = end
        while codec.output or codec.next_timeout() == 0.0:
            if not codec.output:
                codec.handle_timeout(0.0)
                continue
            output = codec.output.pop(0)
            if isinstance(output, Send):
                sent += output.data
            elif isinstance(output, Text):
                said.append(output.data)
            elif isinstance(output, Ended):
                said.append(output.code)
                failed_until = codec.next_timeout() if isinstance(codec, WebSocket) else None
            elif isinstance(output, Selected):
                codec = output.codec
                codec.receive_data(output.rest, 0.0)
            elif isinstance(codec, Http1):
                codec = _answered(codec, output, said)
            if isinstance(output, Shut) and failed_until is None:
                said.append(Shut)
    return (*said, bytes(sent), codec.next_timeout() if failed_until is None else failed_until)


def _answered(codec: Http1, output: Output, said: list[object]) -> Codec:
    """Answer a request. Returns the codec that continues."""
    if isinstance(output, Exchange):
        said.append((output.data, output.meta))
        codec.answer(None, None, None, 0.0)
    elif isinstance(output, Arrived):
        said.append(output.client)
        codec.admit(0.0)
        return codec
    elif isinstance(output, Announced):
        said.append(output.meta)
        codec.accept(0.0)
        return codec
    elif isinstance(output, Probe):
        codec.respond(200, b"{}", 0.0)
    elif isinstance(output, Upgrade):
        upgraded = codec.accept(0.0)
        said.extend(sent.data for sent in codec.output if isinstance(sent, Send))
        return upgraded
    elif not isinstance(output, Answered):
        return codec
    codec.proceed(0.0)
    return codec
