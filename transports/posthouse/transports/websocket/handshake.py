"""The WebSocket opening handshake (RFC 6455 section 4) with permessage-deflate (RFC 7692), on both sides.

Functions from headers to a verdict. The request is already known to be well-formed HTTP, for the right path and from
an allowed origin. Names of headers are lower-case; values are any bytes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Final

from msgspec import Struct
from posthouse.transports.codec import Handshake
from posthouse.transports.credentials import BEARER_PROTOCOL
from posthouse.transports.fields import TCHAR, TOKEN
from posthouse.transports.refusal import Refusal

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields in their order: name in lower case, value stripped."""

SUBPROTOCOL: Final = b"posthouse.v1.json"
"""The subprotocol that is selected before any other, if it was offered."""

VERSION: Final = b"13"
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATE: Final = b"permessage-deflate"
OFFER: Final = DEFLATE + b"; server_no_context_takeover; client_no_context_takeover"

_VALUE: Final = rb'(?:%b|"(?:\\?%b)++")' % (TOKEN, TCHAR)
_PARAMETER: Final = rb"[ \t]*+;[ \t]*+%b(?:[ \t]*+=[ \t]*+%b)?+" % (TOKEN, _VALUE)
# An element of a list may be empty (RFC 9110 section 5.6.1). All quantifiers are possessive: they never backtrack.
_EXTENSION: Final = re.compile(rb"[ \t]*+(?:(%b)((?:%b)*+)[ \t]*+)?+(?:,|\Z)" % (TOKEN, _PARAMETER))
_PAIR: Final = re.compile(rb"(%b)(?:[ \t]*+=[ \t]*+(%b))?+" % (TOKEN, _VALUE))
_NAME: Final = re.compile(rb"[ \t]*+(%b)?+[ \t]*+(?:,|\Z)" % TOKEN)
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
_WINDOW_BITS: Final = re.compile(rb"[89]|1[0-5]")


class Opened(Struct, frozen=True):
    """What was agreed by a server's 101."""

    deflate: bool
    subprotocol: bytes | None


class Rejected(Struct, frozen=True):
    """Why a server's answer opens no WebSocket, for people."""

    reason: str


UPGRADE_REQUIRED: Final = Refusal(
    426,
    "This path speaks WebSocket, version 13.",
    ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Version", VERSION)),
    keep=True,
)
"""No WebSocket handshake, or one of another version (RFC 6455 section 4.4, RFC 9110 section 15.5.22)."""

BAD_REQUEST: Final = Refusal(400, "The WebSocket handshake is malformed.")

BAD_BEARER: Final = Refusal(400, "Offer posthouse.v1.json with posthouse.bearer, and only one token.")
"""A browser fails a WebSocket if it has offered subprotocols and none is selected. That of a token never is."""


def judge(headers: Fields, subprotocols: Sequence[str] = ()) -> Handshake | Refusal:
    """Judge the headers of a GET for a WebSocket (RFC 6455 section 4.2). Never raises for any bytes. `subprotocols` are
    those that the service names.

    A `Handshake` holds all headers of the 101. A `Refusal` is 426 for requests that are no handshake of version 13,
    else 400:
    "If the server, while reading the handshake, finds that the client did not send a handshake that matches the
    description below [...] the server MUST stop processing the client's handshake and return an HTTP response with
    an appropriate error code (such as 400 Bad Request)."
    """
    upgrade = _names(headers, b"upgrade")
    connection = _names(headers, b"connection")
    if upgrade is None or connection is None:
        return BAD_REQUEST
    if b"websocket" not in _lower(upgrade) or b"upgrade" not in _lower(connection):
        return UPGRADE_REQUIRED
    if _values(headers, b"sec-websocket-version") != [VERSION]:
        return UPGRADE_REQUIRED
    # "A |Sec-WebSocket-Key| header field with a base64-encoded value that, when decoded, is 16 bytes in length."
    keys = _values(headers, b"sec-websocket-key")
    if len(keys) != 1 or _KEY.fullmatch(keys[0]) is None:
        return BAD_REQUEST
    protocols = _names(headers, b"sec-websocket-protocol")
    offers = _extensions(headers)
    if protocols is None or offers is None:
        return BAD_REQUEST
    selected = _select(protocols, subprotocols)
    if _bad_bearer(protocols, selected):
        return BAD_BEARER
    response = [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", accept_for(keys[0])),
    ]
    if selected is not None:
        response.append((b"Sec-WebSocket-Protocol", selected))
    deflate = _choose(offers)
    if deflate is not None:
        response.append((b"Sec-WebSocket-Extensions", deflate))
    return Handshake(tuple(response), deflate is not None)


def judge_protocols(headers: Fields, subprotocols: Sequence[str] = ()) -> Handshake | Refusal:
    """Judge the subprotocols that the headers of a handshake offer, if a host has judged all else. The `Handshake`
    holds the subprotocol that is selected, if there is one."""
    protocols = _names(headers, b"sec-websocket-protocol")
    if protocols is None:
        return BAD_REQUEST
    selected = _select(protocols, subprotocols)
    if _bad_bearer(protocols, selected):
        return BAD_BEARER
    return Handshake(() if selected is None else ((b"Sec-WebSocket-Protocol", selected),), deflate=False)


def _select(offered: list[bytes], named: Sequence[str]) -> bytes | None:
    """The subprotocol that is selected: this project's, or else the first offered one of those that the service names.
    None: the client goes on without one (RFC 6455 section 4.2.2, point 5.5), or fails the WebSocket itself."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    return next((name for name in offered if name.decode("ascii") in named), None)


def _bad_bearer(protocols: list[bytes], selected: bytes | None) -> bool:
    """Are there several tokens, or is there one without a subprotocol that is selected?"""
    bearers = [name for name in protocols if name.startswith(BEARER_PROTOCOL)]
    return bool(bearers) and (len(bearers) > 1 or selected is None)


def accept_for(key: bytes) -> bytes:
    """The value of `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2, point 5.4)."""
    return b64encode(sha1(key + GUID, usedforsecurity=False).digest())


def key_from(nonce: bytes) -> bytes:
    """The value of `Sec-WebSocket-Key` for 16 bytes of entropy."""
    return b64encode(nonce)


def opening_request(
    host: bytes,
    target: bytes,
    key: bytes,
    *,
    deflate: bool = True,
    subprotocols: Iterable[bytes] = (SUBPROTOCOL,),
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """A client's opening handshake as bytes (RFC 6455 section 4.1). `headers` are added to it."""
    fields = [
        (b"Host", host),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Key", key),
        (b"Sec-WebSocket-Version", VERSION),
    ]
    offered = b", ".join(subprotocols)
    if offered:
        fields.append((b"Sec-WebSocket-Protocol", offered))
    if deflate:
        fields.append((b"Sec-WebSocket-Extensions", OFFER))
    lines = [b"%b: %b\r\n" % field for field in (*fields, *headers)]
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (target, b"".join(lines))


def check(
    status: int, headers: Fields, key: bytes, *, deflate: bool = True, subprotocols: Iterable[bytes] = (SUBPROTOCOL,)
) -> Opened | Rejected:
    """Check the answer to an `opening_request` with the same arguments (RFC 6455 section 4.1, page 19)."""
    if status != 101:
        return Rejected(f"the server answered with status {status}")
    if b"websocket" not in _lower(_names(headers, b"upgrade") or []):
        return Rejected("the server's answer upgrades to something else")
    if b"upgrade" not in _lower(_names(headers, b"connection") or []):
        return Rejected("the server's answer does not upgrade the connection")
    if _values(headers, b"sec-websocket-accept") != [accept_for(key)]:
        return Rejected("the server's answer is not to our key")
    selected = _values(headers, b"sec-websocket-protocol")
    if len(selected) > 1 or (selected and selected[0] not in subprotocols):
        return Rejected("the server selected a subprotocol that was not offered")
    extensions = _extensions(headers)
    if extensions is None or (extensions and not (deflate and len(extensions) == 1 and _agreed(*extensions[0]))):
        return Rejected("the server selected an extension that was not offered")
    return Opened(bool(extensions), selected[0] if selected else None)


Parameters = list[tuple[bytes, bytes | None]]


def _choose(offers: list[tuple[bytes, Parameters]]) -> bytes | None:
    """Our answer to the first acceptable offer of permessage-deflate, or None."""
    for name, parameters in offers:
        if name != DEFLATE:
            continue
        given = dict(parameters)
        if len(given) != len(parameters) or not all(_valid(*parameter) for parameter in parameters):
            continue  # RFC 7692 section 7.1: unknown, invalid and repeated parameters decline the offer
        bits = given.get(b"server_max_window_bits", b"15")
        if bits != b"15":
            continue  # a smaller window would need another framing
        # "A server may include the client_no_context_takeover parameter [...] even if the extension negotiation
        # offer being accepted [...] didn't include" it. The client's window stays what it is: 15 bits at most.
        return OFFER + (b"; server_max_window_bits=15" if b"server_max_window_bits" in given else b"")
    return None


def _valid(name: bytes, value: bytes | None) -> bool:
    """May an offer of permessage-deflate have this parameter (RFC 7692 section 7.1)?"""
    if name in (b"server_no_context_takeover", b"client_no_context_takeover"):
        return value is None
    if name == b"client_max_window_bits" and value is None:
        return True
    if name in (b"server_max_window_bits", b"client_max_window_bits"):
        return value is not None and _WINDOW_BITS.fullmatch(value) is not None
    return False


def _agreed(name: bytes, parameters: Parameters) -> bool:
    """May a server answer this to `OFFER`? It must accept what we asked for (RFC 7692 section 7.1.1.1), and cannot
    limit a window that we did not offer (section 7.1.2.2)."""
    given = dict(parameters)
    return (
        name == DEFLATE
        and len(given) == len(parameters)
        and all(_valid(*parameter) for parameter in parameters)
        and b"server_no_context_takeover" in given
        and b"client_max_window_bits" not in given
    )


def _values(headers: Fields, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _lower(names: list[bytes]) -> list[bytes]:
    return [name.lower() for name in names]


def _names(headers: Fields, name: bytes) -> list[bytes] | None:
    """The tokens of a list, which may be split over several header fields. None if it is not a list of tokens."""
    value = b",".join(_values(headers, name))
    names = []
    at = 0
    while at < len(value):
        match = _NAME.match(value, at)
        if match is None:
            return None
        if match[1]:
            names.append(match[1])
        at = match.end()
    return names


def _extensions(headers: Fields) -> list[tuple[bytes, Parameters]] | None:
    """The extensions of `Sec-WebSocket-Extensions`, in order (RFC 6455 section 9.1). None if they are malformed.

    "If a value is received by either the client or the server during negotiation that does not conform to the ABNF
    below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_."
    """
    value = b",".join(_values(headers, b"sec-websocket-extensions"))
    extensions = []
    at = 0
    while at < len(value):
        match = _EXTENSION.match(value, at)
        if match is None:
            return None
        if match[1]:
            extensions.append((match[1], [_unquoted(pair) for pair in _PAIR.finditer(match[2])]))
        at = match.end()
    return extensions


def _unquoted(pair: re.Match[bytes]) -> tuple[bytes, bytes | None]:
    name, value = pair.groups()
    if value is not None and value[:1] == b'"':
        value = value[1:-1].replace(b"\\", b"")
    return name, value
