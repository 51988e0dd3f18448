"""What the two framings of a pipe ask, as tables: bytes in, and the replies that come before the end.

One JSON text per line, or `Content-Length` headers as the Language Server Protocol has them: the first byte that is no
white space tells which. Behind the bytes of every case the input ends.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from posthouse.core.values.config import Config

from .jsonrpc_cases import PARSE, echoed, error, result


class StdioCase(Struct, frozen=True):
    """`sent` bytes, and the replies in their order."""

    name: str
    sent: bytes
    replies: tuple[Any, ...]
    limits: Config = Config()


def number(id: int) -> bytes:
    """A request with this id."""
    return echoed(b"%d" % id)


def framed(text: bytes, *fields: bytes) -> bytes:
    """A text with its header, and further fields in front of it."""
    return b"".join(field + b"\r\n" for field in fields) + b"Content-Length: %d\r\n\r\n" % len(text) + text


ONE: Final = result(0, 1)
TWO: Final = result(0, 2)
TOO_LARGE: Final = error(-32007, "Request too large")
SMALL: Final = Config(max_message_bytes=100)

LINES: Final = (
    StdioCase("a line", number(1) + b"\n", (ONE,)),
    StdioCase("two lines", number(1) + b"\n" + number(2) + b"\n", (ONE, TWO)),
    StdioCase("CRLF", number(1) + b"\r\n" + number(2) + b"\r\n", (ONE, TWO)),
    StdioCase("a last line without an end", number(1), (ONE,)),
    StdioCase("lines without anything", b"\n \n\t\r\n" + number(1) + b"\n\n", (ONE,)),
    StdioCase("white space around", b"  " + number(1) + b" \n", (ONE,)),
    StdioCase("nothing at all", b"", ()),
    StdioCase("white space alone", b" \r\n\n", ()),
    StdioCase("what is no JSON", b"hello\n" + number(1) + b"\n", (PARSE, ONE)),
    StdioCase("what begins like a header", b"cont\n" + number(1) + b"\n", (PARSE, ONE)),
    StdioCase("no UTF-8", b'{"\xff\n' + number(1) + b"\n", (PARSE, ONE)),
    StdioCase("two texts in a line", number(1) + number(2) + b"\n", (PARSE,)),
    StdioCase("a text in two lines", number(1).replace(b",", b",\n", 1) + b"\n", (PARSE, PARSE)),
    StdioCase("a line at the limit", number(1).ljust(100) + b"\n", (ONE,), SMALL),
    StdioCase("a line at the limit, with CRLF", number(1).ljust(100) + b"\r\n", (ONE,), SMALL),
    StdioCase("a line beyond the limit is skipped", b"x" * 101 + b"\n" + number(1) + b"\n", (TOO_LARGE, ONE), SMALL),
    StdioCase("a line far beyond it", b"x" * 200_000 + b"\n" + number(1) + b"\n", (TOO_LARGE, ONE), SMALL),
    StdioCase("a line beyond it that does not end", b"x" * 101, (TOO_LARGE,), SMALL),
    StdioCase("headers behind a line are no headers", b"hello\nContent-Length: 2\n" + number(1), (PARSE, PARSE, ONE)),
    StdioCase("a notification", b'{"jsonrpc":"2.0","method":"update"}\n', ()),
)
"""One JSON text per line."""

HEADERS: Final = (
    StdioCase("a message", framed(number(1)), (ONE,)),
    StdioCase("two messages", framed(number(1)) + framed(number(2)), (ONE, TWO)),
    StdioCase("names in any case", framed(number(1)).replace(b"Content-Length", b"content-LENGTH"), (ONE,)),
    StdioCase("no space behind the colon", framed(number(1)).replace(b": ", b":", 1), (ONE,)),
    StdioCase("white space in front of the first", b"\r\n " + framed(number(1)), (ONE,)),
    StdioCase("a type", framed(number(1), b"Content-Type: application/vscode-jsonrpc; charset=utf-8"), (ONE,)),
    StdioCase("the charset that early clients wrote", framed(number(1), b"Content-Type: x; charset=utf8"), (ONE,)),
    StdioCase("a field that nobody knows", framed(number(1)) + framed(number(2), b"X-Other: 1"), (ONE, TWO)),
    StdioCase("line breaks within a message", framed(number(1).replace(b",", b",\r\n\r\n")), (ONE,)),
    StdioCase("what is no JSON", framed(b"hello") + framed(number(1)), (PARSE, ONE)),
    StdioCase("an empty message", framed(b"") + framed(number(1)), (PARSE, ONE)),
    StdioCase("another charset", framed(number(1), b"Content-Type: x; charset=latin-1"), (PARSE,)),
    StdioCase("no length", b"Content-Type: x\r\n\r\n" + framed(number(1)), (PARSE,)),
    StdioCase("two lengths", framed(number(1), b"Content-Length: 3"), (PARSE,)),
    StdioCase("a length with a sign", b"Content-Length: +2\r\n\r\n{}", (PARSE,)),
    StdioCase("a line that is no field", b"Content-Length: 2\r\nhello\r\n\r\n{}", (PARSE,)),
    StdioCase("a head that does not end", b"Content-Length: 2\r\n" + b"X: x\r\n" * 2_000, (PARSE,)),
    StdioCase("a message that does not end", framed(number(1)) + framed(number(2))[:-1], (ONE, PARSE)),
    StdioCase("a message at the limit", framed(number(1).ljust(100)), (ONE,), SMALL),
    StdioCase("one beyond it is skipped exactly", framed(b"x" * 101) + framed(number(1)), (TOO_LARGE, ONE), SMALL),
    StdioCase("one above 64 MiB is not waited for", b"Content-Length: 67108865\r\n\r\n", (TOO_LARGE,)),
)
"""`Content-Length` headers: the base protocol of the Language Server Protocol."""
