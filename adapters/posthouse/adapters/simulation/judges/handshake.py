"""The opening handshake of a WebSocket, judged by RFC 6455 section 4.2.2 and RFC 7692 section 7.1."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from hashlib import sha1
from typing import Final

from msgspec import Struct

from .requests import Request
from .responses import Response

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
WINDOW: Final = re.compile(rb"[89]|1[0-5]")
OWN: Final = b"posthouse.v1.json"
TOKEN: Final = b"posthouse.bearer."
FLAGS: Final = (b"server_no_context_takeover", b"client_no_context_takeover")
WINDOWS: Final = (b"server_max_window_bits", b"client_max_window_bits")
MAY_HAVE: Final = frozenset(
    (b"upgrade", b"connection", b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions")
)

Parameters = dict[bytes, bytes | None]


class Agreed(Struct, frozen=True):
    """The terms on which a handshake has agreed. `takeover`: messages of the server may refer to earlier ones."""

    deflate: bool
    takeover: bool


def is_opening(request: Request) -> bool:
    """Is this a valid opening handshake of version 13?"""
    fields = request.fields
    try:
        nonce = b64decode(fields.get(b"sec-websocket-key", b""), validate=True)
    except Error:
        return False
    return (
        request.method == b"GET"
        and not request.last
        and b"websocket" in tokens(fields.get(b"upgrade", b"").lower())
        and b"upgrade" in tokens(fields.get(b"connection", b"").lower())
        and fields.get(b"sec-websocket-version") == b"13"
        and len(nonce) == 16
    )


def judge(request: Request, response: Response) -> Agreed:
    """The terms of the 101. Raises ValueError with a sentence if it breaks a rule."""
    asked, fields = request.fields, response.fields
    if not is_opening(request):
        raise ValueError("a request that is no opening handshake got a 101")
    if fields.get(b"upgrade", b"").lower() != b"websocket" or fields.get(b"connection", b"").lower() != b"upgrade":
        raise ValueError("a 101 does not upgrade to WebSocket")
    key = asked[b"sec-websocket-key"]
    if fields.get(b"sec-websocket-accept") != b64encode(sha1(key + GUID, usedforsecurity=False).digest()):
        raise ValueError("a 101 does not have the Sec-WebSocket-Accept of its key")
    if not fields.keys() <= MAY_HAVE:
        raise ValueError("a 101 has a field that it does not need")
    offered = tokens(asked.get(b"sec-websocket-protocol", b""))
    protocol = fields.get(b"sec-websocket-protocol")
    if protocol is not None and protocol not in offered:
        # "if the client's handshake did not contain such a header field or if the server does not agree [...] the only
        # acceptable value is null" (section 4.2.2)
        raise ValueError("a 101 selects a subprotocol that was not offered")
    if protocol is not None and protocol.startswith(TOKEN):
        raise ValueError("a 101 selects the subprotocol that carries a token")
    if OWN in offered and protocol != OWN:
        raise ValueError("a 101 does not select the subprotocol that goes before others")
    chosen = fields.get(b"sec-websocket-extensions")
    return Agreed(False, False) if chosen is None else _extension(asked.get(b"sec-websocket-extensions", b""), chosen)


def _extension(offered: bytes, chosen: bytes) -> Agreed:
    name, given = parameters(chosen)
    if name != b"permessage-deflate":
        raise ValueError("a 101 selects an unknown extension")
    if not any(_answers(given, parameters(offer)) for offer in offered.split(b",")):
        raise ValueError("a 101 selects parameters of an extension that were not offered")
    return Agreed(True, b"server_no_context_takeover" not in given)


def _answers(given: Parameters, offer: tuple[bytes, Parameters]) -> bool:
    """May these parameters answer this offer (RFC 7692 section 7.1)?"""
    name, offered = offer
    if name != b"permessage-deflate" or not all(_valid(*pair) for pair in given.items()):
        return False
    if b"server_no_context_takeover" in offered and b"server_no_context_takeover" not in given:
        return False
    limit, window = offered.get(b"server_max_window_bits"), given.get(b"server_max_window_bits")
    if limit is not None and (window is None or int(window) > int(limit)):
        return False
    return b"client_max_window_bits" not in given or b"client_max_window_bits" in offered


def _valid(name: bytes, value: bytes | None) -> bool:
    if name in FLAGS:
        return value is None
    return name in WINDOWS and value is not None and WINDOW.fullmatch(value) is not None


def tokens(text: bytes) -> list[bytes]:
    """The elements of a list."""
    return [token.strip(b" \t") for token in text.split(b",") if token.strip(b" \t")]


def parameters(extension: bytes) -> tuple[bytes, Parameters]:
    """The name and the parameters of an extension. Raises ValueError if one occurs twice."""
    name, *pairs = (part.strip(b" \t") for part in extension.split(b";"))
    given: Parameters = {}
    for pair in pairs:
        key, equals, value = pair.partition(b"=")
        key = key.strip(b" \t")
        if key in given:
            raise ValueError("an extension has a parameter twice")
        given[key] = value.strip(b' \t"') if equals else None
    return name, given
