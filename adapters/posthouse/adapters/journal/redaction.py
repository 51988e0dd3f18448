"""Hide secrets from a journal: the values of headers in HTTP requests, and the parameters of their targets.

A header is hidden unless it is one of `KEPT`, or of `FORWARDING` from a trusted proxy: a list of secret names would
always miss one. Of the subprotocols that a handshake offers, the token in one is hidden. Parameters are the query
string, and everything behind the first `;` of a path.

Each byte is replaced by another of its kind (`x` for visible characters), so that a replay decides the same. The bytes
that the server decides on stay: spaces, control bytes, separators of query parameters, the beginnings of parameter
names for which it refuses a request, and the version. Bytes come as the socket gave them, cut anywhere. One redactor
follows one socket, until the server has made a WebSocket of it.

It looks at lines, not at messages: any line that begins like a header or like a request line is treated as one, in a
body too, since no JSON text has such a line. So no secret depends on how the bytes before were understood. It
follows bodies only to know where they end, since the next request begins in the middle of a line.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from posthouse.transports.credentials import BEARER_PROTOCOL
from posthouse.transports.fields import TCHAR
from posthouse.transports.http.routes import SECRETS

DECIDING: Final = (
    *("host", "origin", "connection", "upgrade", "expect", "transfer-encoding", "te", "trailer"),
    *("content-length", "content-type", "content-encoding"),
    *("access-control-request-method", "access-control-request-headers"),
    *("sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions"),
    *("idempotency-key", "posthouse-timeout-ms", "traceparent", "x-request-id"),
)
"""The headers that the server reads: without their values, a replay would decide otherwise."""

KEPT: Final = (*DECIDING, "accept", "accept-encoding", "accept-language", "user-agent")
"""The headers whose values are kept, in lower case. All others are hidden."""

FORWARDING: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
"""The headers that the server reads from a trusted proxy alone. From others their values are hidden."""

BLANK: Final = rb"[^!-~]"
"""Any byte that is not a visible character. Around a name there should be at most a space, but there may be others."""


def _but(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """The beginning of a line with a header that is none of these."""
    kept = b"|".join(map(str.encode, names))
    return re.compile(rb"%b*+(?!(?:%b)%b*:)%b++%b*+:" % (BLANK, kept, BLANK, TCHAR, BLANK), re.IGNORECASE)


SECRET: Final = _but(KEPT)
SECRET_OF_PROXY: Final = _but((*KEPT, *FORWARDING))

PROTOCOLS: Final = re.compile(rb"%b*+sec-websocket-protocol%b*+:" % (BLANK, BLANK), re.IGNORECASE)
"""The beginning of a line with offered subprotocols."""

TOKEN: Final = re.compile(rb"(%b)([!-+\--~]*+)" % re.escape(BEARER_PROTOCOL), re.IGNORECASE)
"""A token among subprotocols, which ends with a comma or a blank."""

LENGTH: Final = re.compile(rb"content-length%b*:%b*([0-9]{1,20})%b*" % (BLANK, BLANK, BLANK), re.IGNORECASE)
KEY: Final = re.compile(rb"sec-websocket-key%b*:%b*[A-Za-z0-9+/]{22}==%b*" % (BLANK, BLANK, BLANK), re.IGNORECASE)

PATH: Final = rb"%b++%b++(?:/|https?://)[^;?]*+" % (TCHAR, BLANK)
WORD: Final = rb"%b++%b++(?![],}])[!-:<->@-~]*+" % (TCHAR, BLANK)
"""A request line (RFC 9112 section 3) up to the parameters of its target: a path, which may contain spaces that are not
allowed, or a word. A line of JSON does not match: after a number or a literal it can only have a comma or a bracket."""

QUERY: Final = re.compile(rb"(?:%b|%b)[;?]([^ \t]*+)(.*+)" % (PATH, WORD), re.IGNORECASE)
IN_PATH: Final = re.compile(rb"%b\Z" % PATH, re.IGNORECASE)
IN_WORD: Final = re.compile(rb"%b\Z" % WORD)
IN_NAME: Final = re.compile(rb"%b*+%b*+%b*+(?::%b*+[0-9A-Za-z+/=]*+%b*+)?\Z" % (BLANK, TCHAR, BLANK, BLANK, BLANK))
"""The beginning of a line that may still become any kind: a header's name, and a value that is a number or a key."""

PIECE: Final = re.compile(rb"[^\r\n]+|[\r\n]+")
"""Lines, and line ends."""

LF: Final = 0x0A

HIDDEN: Final = bytes(
    byte if byte <= 0x20 or byte == 0x7F else ord("x") if byte < 0x80 else 0xFF for byte in range(256)
)
"""The replacement of each byte of a secret."""

HIDDEN_IN_QUERY: Final = bytes(byte if byte in b"#?=" else HIDDEN[byte] for byte in range(256))
"""The replacement of each byte of a parameter. `#` stays, since the server refuses fragments."""

SEPARATOR: Final = re.compile(rb"([&;?])")
"""A question mark separates the parameters of a path from the query."""

HALF_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]?\Z")

LONGEST_NAME: Final = 64
"""The longest part of a parameter's name that is examined: a refused name with every letter escaped fits."""

VERSION: Final = re.compile(rb"(?<![^ \t])H(?:T(?:T(?:P(?:/(?:[0-9](?:\.[0-9]?)?)?)?)?)?)?")
"""The part of a word that it has in common with the version of a request line."""

SECRET_LINE: Final = b"cookie:"
PROTOCOL_LINE: Final = b"sec-websocket-protocol:"
IN_QUERY: Final = b"GET /?"
BEHIND_QUERY: Final = b"GET /?x "
PATH_LINE: Final = b"GET /"
WORD_LINE: Final = b"GET *"
HARMLESS: Final = b'"'
"""The shortest line of each kind. It is remembered in place of a line that continues."""

REMEMBERED: Final = 256
"""The number of bytes of a line that are remembered while its kind is not known."""

BLANKS: Final = re.compile(rb"%b+" % BLANK)
LONG_TOKEN: Final = re.compile(rb"\A( ?)%b{64,}+" % TCHAR)
"""A token too long for a name that is kept. It may still be another name, or a method."""


class Redactor:
    """Redacts the bytes of one socket, in order. `proxy`: it is that of a trusted proxy."""

    def __init__(self, *, proxy: bool = False) -> None:
        self._secret: Final = SECRET_OF_PROXY if proxy else SECRET
        self._line = b""  # the part of this line that came before, or a line of the same kind
        self._ends = 2  # line feeds since the last line
        self._hiding = b""  # a line of the last one's kind, if its fold, or text after a bare CR, must be hidden
        self._length = 0  # of the body that this head announces
        self._key = False  # does this head have a key, and so ask for a WebSocket?
        self._body = 0  # the bytes of the body that have not come yet

    def redact(self, data: bytes, *, upgraded: bool = False) -> bytes:
        """The same number of bytes, with secrets replaced. `upgraded`: on these bytes the server has made the socket a
        WebSocket. Bytes after the head that asked for it are left as they are, and this must be the last call."""
        hidden = bytearray(data)
        at, end = 0, len(data)
        while at < len(data):
            piece = PIECE.match(data, at, at + self._body if self._body else len(data))
            assert piece is not None
            in_body = self._body
            begun, at = at, self._between(piece[0], at) if piece[0][0] in b"\r\n" else self._within(piece, hidden)
            if in_body:
                self._body -= at - begun
                if not self._body:
                    self._line = self._hiding = b""
            elif self._key and self._ends >= 2:
                self._key = False
                end = at if upgraded else end
        return bytes(hidden[:end]) + data[end:]

    def _between(self, ends: bytes, at: int) -> int:
        """Line ends. Returns the offset after them, or after those that end the head."""
        if self._line:
            self._end_line()
        for byte in ends:
            at += 1
            self._ends += byte == LF
            if self._ends >= 2 and self._length:
                self._body, self._length = self._length, 0
                break
        return at

    def _end_line(self) -> None:
        line, self._line = self._line, b""
        self._ends = 0
        folds = line if line.startswith((SECRET_LINE, PROTOCOL_LINE)) else b""
        self._hiding = BEHIND_QUERY if line.startswith(IN_QUERY) else folds
        if self._body:
            return
        if (length := LENGTH.fullmatch(line)) is not None:
            self._length = int(length[1])
        elif KEY.fullmatch(line) is not None:
            self._key = True

    def _within(self, piece: re.Match[bytes], hidden: bytearray) -> int:
        """A line, or the part that has come. Returns the offset after it."""
        before = self._line
        if self._hiding and (not self._ends or (self._ends < 2 and piece[0][0] in b" \t")):
            before = self._hiding
        self._hiding = b""
        line = shown = before + piece[0]
        if (secret := self._secret.match(line)) is not None:
            shown = line[: secret.end()] + line[secret.end() :].translate(HIDDEN)
            self._line = SECRET_LINE
        elif (offered := PROTOCOLS.match(line)) is not None:
            names, name = hide_tokens(line[offered.end() :])
            shown = line[: offered.end()] + names
            self._line = PROTOCOL_LINE + name
        elif (query := QUERY.match(line)) is not None:
            parameters, parameter = hide_parameters(query[1])
            words, word = hide_words(query[2])
            shown = line[: query.start(1)] + parameters + words
            self._line = BEHIND_QUERY + word if words else IN_QUERY + parameter
        else:
            self._line = as_remembered(line)
        hidden[piece.start() : piece.end()] = shown[len(before) :]
        return piece.end()


def as_remembered(line: bytes) -> bytes:
    """A line of the same kind that is at most `REMEMBERED` long, whatever follows."""
    if IN_PATH.match(line):
        return PATH_LINE
    if len(line) <= REMEMBERED:
        return line
    if IN_NAME.match(line) or IN_WORD.match(line):
        line = LONG_TOKEN.sub(rb"\1!", BLANKS.sub(b" ", line))
        if len(line) <= REMEMBERED:
            return line
        if IN_WORD.match(line):
            return WORD_LINE
    return HARMLESS


def hide_tokens(offered: bytes) -> tuple[bytes, bytes]:
    """Offered subprotocols with the tokens in them hidden; and the part of the last one to remember: it may go on."""
    shown, rest = bytearray(offered), offered
    for token in TOKEN.finditer(offered):
        shown[token.start(2) : token.end(2)] = token[2].translate(HIDDEN)
        rest = BEARER_PROTOCOL if token.end() == len(offered) else offered[token.end() :]
    return bytes(shown), rest[-len(BEARER_PROTOCOL) :]


def hide_words(words: bytes) -> tuple[bytes, bytes]:
    """The words after a query, hidden except for a version; and the part of the last word to remember: it may go on."""
    shown = bytearray(words.translate(HIDDEN))
    for version in VERSION.finditer(words):
        shown[version.start() : version.end()] = version[0]
    word = words[max(words.rfind(b" "), words.rfind(b"\t")) + 1 :]
    return bytes(shown), word if not word or VERSION.fullmatch(word) else b"x"


def hide_parameters(query: bytes) -> tuple[bytes, bytes]:
    """A query with secrets hidden; and the part of its last parameter to remember: it may go on."""
    pieces = SEPARATOR.split(query)
    shown: list[bytes] = []
    current = b""
    for at, parameter in enumerate(pieces):
        if at % 2:  # a separator
            shown.append(parameter)
            continue
        name, equals, value = parameter.partition(b"=")
        kept = as_refused(name)
        shown += (name[:kept], (name[kept:] + equals + value).translate(HIDDEN_IN_QUERY))
        current = b"x=" if equals else name if kept == len(name) else b"x"
    return b"".join(shown), current


def as_refused(name: bytes) -> int:
    """The length of the beginning that a name has in common with one that the server refuses."""
    for size in range(1, len(name) + 1):
        read = unquote_to_bytes(HALF_ESCAPE.sub(b"", name[:size].replace(b"+", b" "))).lstrip().lower()
        if size > LONGEST_NAME or not any(secret.startswith(read.rstrip()) for secret in SECRETS):
            return size - 1
    return len(name)
