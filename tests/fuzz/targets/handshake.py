"""The WebSocket opening handshake: the headers that a client sends, and what the client makes of a server's answer."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1

from posthouse.transports.codec import Handshake
from posthouse.transports.refusal import Refusal
from posthouse.transports.websocket.handshake import (
    DEFLATE,
    OFFER,
    SUBPROTOCOL,
    Opened,
    Rejected,
    accept_for,
    check,
    judge,
    key_from,
    opening_request,
)

from tests.fuzz.cutting import read, written
from tests.fuzz.target import Planted, Target

IS_ANSWER, OFFERS_DEFLATE, IS_COMPLETE = range(3)

KEY = key_from(bytes(16))
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
BITS = (b"8", b"9", b"10", b"11", b"12", b"13", b"14", b"15")
LISTS = (b"upgrade", b"connection", b"sec-websocket-protocol", b"sec-websocket-extensions")

Field = tuple[bytes, bytes]
Offer = tuple[bytes, list[tuple[bytes, bytes | None]]]

COMPLETE = (
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", KEY),
)
COMPLETE_ANSWER = (*COMPLETE[:2], (b"sec-websocket-accept", accept_for(KEY)))


def run(data: bytes) -> None:
    """Any headers are a handshake, or refused with 426 or 400; any answer opens a WebSocket, or is rejected.

    Nothing raises, whatever bytes are in a value. A reader that goes through each list character by character accepts
    the same; lists that are spread over fields, or joined, and fields in another order mean the same. What the 101 says
    has no line ends in it, and our own client takes it, with what was agreed. Compression that was not offered is never
    agreed, on either side.
    """
    sent = read(data)
    headers = fields_of(sent.wire)
    if sent.option(IS_ANSWER):
        deflate = sent.option(OFFERS_DEFLATE)
        judge_answer([*COMPLETE_ANSWER, *headers] if sent.option(IS_COMPLETE) else headers, deflate=deflate)
    else:
        judge_request([*COMPLETE, *headers] if sent.option(IS_COMPLETE) else headers)


def fields_of(wire: bytes) -> list[Field]:
    """Header fields as a parser would give them."""
    pairs = (line.partition(b":") for line in wire.split(b"\n") if line)
    return [(name.strip().lower(), value.strip(b" \t\r")) for name, _, value in pairs]


def judge_request(headers: list[Field]) -> None:
    """The server's side."""
    verdict = judge(headers)
    for other in (joined(headers), sorted(headers, key=lambda field: field[0])):
        assert judge(other) == verdict, "the same fields, written otherwise, mean something else"
    if isinstance(verdict, Refusal):
        assert verdict.status in (400, 426), "a refusal that no handshake can earn"
        assert not acceptable(headers), "a handshake is refused"
        return
    assert acceptable(headers), "what is no handshake is accepted"
    answer = [(name.lower(), value) for name, value in verdict.headers]
    assert not any(re.search(rb"[\x00-\x1f\x7f]", value) for _, value in answer), "control bytes in what we say"
    compare(verdict, answer, headers)


def compare(verdict: Handshake, answer: list[Field], headers: list[Field]) -> None:
    """What was agreed must have been offered, and be what a client takes."""
    offers = extensions_of(headers)
    assert offers is not None
    wanted = next((offer for offer in offers if can_be_met(offer)), None)
    assert verdict.deflate == (wanted is not None), "an offer of compression is taken, or not, against the rules"
    said = dict(answer)
    assert (b"sec-websocket-extensions" in said) == verdict.deflate
    key = next(value for name, value in headers if name == b"sec-websocket-key")
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    assert said[b"sec-websocket-accept"] == b64encode(sha1(key + guid).digest())
    protocols = tokens_of(headers, b"sec-websocket-protocol")
    assert protocols is not None
    assert said.get(b"sec-websocket-protocol") == (SUBPROTOCOL if SUBPROTOCOL in protocols else None)
    opened = check(101, answer, key, deflate=True)
    assert opened == Opened(verdict.deflate, said.get(b"sec-websocket-protocol")), "our own client does not take it"


def acceptable(headers: list[Field]) -> bool:
    """Is it a handshake that must be accepted (RFC 6455 section 4.2.1)?"""
    lists = {name: tokens_of(headers, name) for name in LISTS[:3]}
    if any(tokens is None for tokens in lists.values()) or extensions_of(headers) is None:
        return False
    protocols = lists[b"sec-websocket-protocol"] or []
    tokens = [name for name in protocols if name.startswith(b"posthouse.bearer.")]
    if len(tokens) > 1 or (tokens and SUBPROTOCOL not in protocols):
        return False
    upgrade, connection = ([token.lower() for token in lists[name] or []] for name in LISTS[:2])
    keys = [value for name, value in headers if name == b"sec-websocket-key"]
    return (
        b"websocket" in upgrade
        and b"upgrade" in connection
        and [value for name, value in headers if name == b"sec-websocket-version"] == [b"13"]
        and len(keys) == 1
        and re.fullmatch(rb"[A-Za-z0-9+/]{22}==", keys[0]) is not None
    )


def can_be_met(offer: Offer) -> bool:
    """Is it an offer of permessage-deflate that we take (RFC 7692 section 7.1)?"""
    name, parameters = offer
    names = [parameter for parameter, _ in parameters]
    if name != DEFLATE or len(set(names)) < len(names):
        return False
    for parameter, value in parameters:
        if parameter in (b"server_no_context_takeover", b"client_no_context_takeover"):
            valid = value is None
        elif parameter == b"client_max_window_bits":
            valid = value is None or value in BITS
        else:
            valid = parameter == b"server_max_window_bits" and value == b"15"
        if not valid:
            return False
    return True


def judge_answer(headers: list[Field], *, deflate: bool) -> None:
    """The client's side."""
    verdict = check(101, headers, KEY, deflate=deflate)
    assert isinstance(check(200, headers, KEY, deflate=deflate), Rejected)
    assert check(101, joined(headers), KEY, deflate=deflate) == verdict
    upgrade, connection = (tokens_of(headers, name) or [] for name in LISTS[:2])
    accepts = [value for name, value in headers if name == b"sec-websocket-accept"]
    protocols = [value for name, value in headers if name == b"sec-websocket-protocol"]
    extensions = extensions_of(headers)
    good = (
        b"websocket" in [token.lower() for token in upgrade]
        and b"upgrade" in [token.lower() for token in connection]
        and accepts == [accept_for(KEY)]
        and protocols in ([], [SUBPROTOCOL])
        and (extensions == [] or (extensions is not None and deflate and len(extensions) == 1 and kept(extensions[0])))
    )
    assert isinstance(verdict, Opened) == good, "an answer is taken, or not, against the rules"
    if isinstance(verdict, Opened):
        assert verdict == Opened(bool(extensions), protocols[0] if protocols else None)


def kept(answer: Offer) -> bool:
    """Does a server's answer to our offer keep to it (RFC 7692 section 7.1)?"""
    name, parameters = answer
    given = dict(parameters)
    bits = given.pop(b"server_max_window_bits", b"15")
    takeovers = [given.pop(side + b"_no_context_takeover", b"absent") for side in (b"server", b"client")]
    unique = len(dict(parameters)) == len(parameters)
    return (
        name == DEFLATE
        and unique
        and not given
        and bits in BITS
        and takeovers[0] is None
        and takeovers[1] in (None, b"absent")
    )


def joined(headers: list[Field]) -> list[Field]:
    """The same with each list in one field."""
    lists = {name: b",".join(value for key, value in headers if key == name) for name, _ in headers if name in LISTS}
    if lists.get(b"sec-websocket-protocol", b"x") != b"x" and len(headers) != len({name for name, _ in headers}):
        lists.pop(b"sec-websocket-protocol")  # of an answer it is no list
    return [field for field in headers if field[0] not in lists] + list(lists.items())


def tokens_of(headers: list[Field], name: bytes) -> list[bytes] | None:
    """The tokens of a list, split at its commas. None: one is no token."""
    value = b",".join(value for key, value in headers if key == name)
    tokens = [token.strip(b" \t") for token in value.split(b",")]
    return [token for token in tokens if token] if all(not t or TOKEN.fullmatch(t) for t in tokens) else None


def extensions_of(headers: list[Field]) -> list[Offer] | None:
    """The extensions, split outside of quotes. None: they are malformed."""
    value = b",".join(value for key, value in headers if key == b"sec-websocket-extensions")
    offers: list[Offer] = []
    for element in split(value, b","):
        if not element.strip(b" \t"):
            continue
        name, *parameters = split(element, b";")
        pairs = [pair(parameter) for parameter in parameters]
        if not TOKEN.fullmatch(name.strip(b" \t")) or None in pairs:
            return None
        offers.append((name.strip(b" \t"), [found for found in pairs if found is not None]))
    return offers


def pair(text: bytes) -> tuple[bytes, bytes | None] | None:
    """One parameter; None where it is malformed."""
    name, equals, value = (part.strip(b" \t") for part in text.partition(b"="))
    if not TOKEN.fullmatch(name):
        return None
    if not equals:
        return name, None
    if value[:1] == b'"' and len(value) > 2 and value.endswith(b'"'):
        # "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to the
        # 'token' ABNF" (RFC 6455 section 9.1).
        inside = value[1:-1]
        value = re.sub(rb"\\(.)", rb"\1", inside, flags=re.DOTALL)
        if b'"' in inside or inside.endswith(b"\\"):
            return None
    return (name, value) if TOKEN.fullmatch(value) else None


def split(text: bytes, at: bytes) -> list[bytes]:
    """Split where it is not within quotes."""
    parts, quoted, escaped = [b""], False, False
    for byte in (text[index : index + 1] for index in range(len(text))):
        if byte == at and not quoted:
            parts.append(b"")
            continue
        if byte == b'"' and not escaped:
            quoted = not quoted
        escaped = quoted and byte == b"\\" and not escaped
        parts[-1] += byte
    return parts


TARGET = Target(
    name="handshake",
    run=run,
    seeds=(
        written(opening_request(b"a", b"/ws", KEY).partition(b"\r\n")[2]),
        written(b'Sec-WebSocket-Extensions: x; y="z", permessage-deflate; client_max_window_bits\n', IS_COMPLETE),
        written(b"sec-websocket-protocol: a, posthouse.v1.json\nconnection: keep-alive", IS_COMPLETE),
        written(b"sec-websocket-protocol: posthouse.bearer.eA, posthouse.v1.json", IS_COMPLETE),
        written(b"sec-websocket-extensions: " + OFFER + b"\nsec-websocket-protocol: posthouse.v1.json", 0, 1, 2),
        written(b"".join(b"%b: %b\n" % field for field in COMPLETE_ANSWER), IS_ANSWER, OFFERS_DEFLATE),
    ),
    tokens=(
        b"\nupgrade: websocket",
        b"\nconnection: upgrade",
        b"\nsec-websocket-version: 13",
        b"\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"\nsec-websocket-accept: " + accept_for(KEY),
        b"\nsec-websocket-protocol: posthouse.v1.json",
        b", posthouse.bearer.eA",
        b"\nsec-websocket-extensions: ",
        b"permessage-deflate",
        b"; server_no_context_takeover",
        b"; client_no_context_takeover",
        b"; client_max_window_bits",
        b"; server_max_window_bits=15",
        b"=8",
        b'="10"',
        b'"',
        b"\\",
        b",",
        b";",
        b"=",
        b"\t",
        b"x",
        b"\x00",
        b"\xff",
    ),
    boundary=re.compile(rb'\n|[ :,;="]+'),
    planted=Planted(
        what="a repeated parameter is accepted",
        file="transports/posthouse/transports/websocket/handshake.py",
        before="if len(given) != len(parameters) or not all(",
        after="if not all(",
    ),
    max_len=800,
)
