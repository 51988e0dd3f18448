"""However bytes are cut, they mean the same: what codecs make of them, told by two that are fed differently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address, SocketId
from posthouse.transports.codec import (
    Answered,
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
from posthouse.transports.switchboard.first_codec import first_codec
from posthouse.transports.websocket.server import WebSocket

from .violation import must

REMEMBERED_BYTES: Final = 4096
"""Of how a socket began so many bytes are remembered, and the rest of the read in which they end."""

REMEMBERED_SOCKETS: Final = 16
"""Of so many sockets, the last, that is remembered."""


class Heard:
    """How the last sockets of a server began, and where that was cut: `check` cuts it otherwise."""

    def __init__(self) -> None:
        self._sockets: Final[dict[SocketId, tuple[Address, bytearray, list[int]]]] = {}

    def opened(self, socket: SocketId, address: Address) -> None:
        """A socket was let in."""
        self._sockets[socket] = address, bytearray(), []
        if len(self._sockets) > REMEMBERED_SOCKETS:
            del self._sockets[next(iter(self._sockets))]

    def received(self, socket: SocketId, data: bytes) -> None:
        """Bytes came from it."""
        if socket in self._sockets:
            _, heard, cuts = self._sockets[socket]
            if len(heard) < REMEMBERED_BYTES:
                heard += data
                cuts.append(len(heard))

    def check(self, config: Config, policy: Policy) -> None:
        """It means the same however it is cut. Raises Violation."""
        for address, heard, cuts in self._sockets.values():
            chunking(config, policy, address, bytes(heard), cuts)


def chunking(config: Config, policy: Policy, address: Address, data: bytes, cuts: Sequence[int]) -> None:
    """However its bytes are cut, a peer has said the same, and is given the same time for more: of two new codecs one
    is given `data` as whole as may be, the other in pieces that end at `cuts`."""
    most = config.read_bytes
    whole = _said(config, policy, address, data, range(most, len(data) + most, most))
    cut = _said(config, policy, address, data, sorted({*cuts, *range(most, len(data), most), len(data)}))
    must(whole == cut, "chunking: bytes mean the same however they are cut")


def _said(config: Config, policy: Policy, address: Address, data: bytes, ends: Iterable[int]) -> tuple[object, ...]:
    """What a peer's bytes say, what its codecs say to that, and how long they would wait for more; every request is
    answered with nothing, at once."""
    codec = first_codec(address, config, policy, 0.0)
    said: list[object] = []
    sent = bytearray()
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
            elif isinstance(output, Selected):
                codec = output.codec
                codec.receive_data(output.rest, 0.0)
            elif isinstance(codec, Http1):
                codec = _answered(codec, output, config, said)
            if isinstance(output, Shut):
                said.append(Shut)
    return (*said, bytes(sent), codec.next_timeout())


def _answered(codec: Http1, output: Output, config: Config, said: list[object]) -> Codec:
    """What a request is owed. The codec that goes on."""
    if isinstance(output, Exchange):
        said.append((output.data, output.meta))
        codec.answer(None, None, None, 0.0)
    elif isinstance(output, Probe):
        codec.respond(200, b"{}", 0.0)
    elif isinstance(output, Upgrade):
        rest, _ = codec.accept_upgrade(0.0)
        said.extend(sent.data for sent in codec.output if isinstance(sent, Send))
        upgraded = WebSocket(config, deflate=output.handshake.deflate, binary=False, now=0.0)
        if rest:
            upgraded.receive_data(rest, 0.0)
        return upgraded
    elif not isinstance(output, Answered):
        return codec
    codec.proceed(0.0)
    return codec
