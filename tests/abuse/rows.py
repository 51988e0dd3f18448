"""What abuse meets: every known way to abuse the server, and the required outcome.

Tests have the number of a row in their names (`test_row_09_…`, `test_rows_15_and_16_…`). A row that is `met` has tests
without sockets, and also one over real sockets if it is `loopback`. A row that `waits_for` a feature needs none.
`docs/limits.md` shows the rows that are met, and the numbers of the others. Numbers are never reused.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Row(Struct, frozen=True):
    """One abuse. `meets` is what must come of it."""

    number: int
    abuse: str
    meets: str
    loopback: bool = False
    waits_for: str = ""

    @property
    def met(self) -> bool:
        """Does this release meet it?"""
        return not self.waits_for

    def __str__(self) -> str:
        """The row as the documentation has it."""
        meets = f"{self.meets} (waits for {self.waits_for})" if self.waits_for else self.meets
        return f"| {self.number} | {self.abuse} | {meets} |"


ROWS: Final = (
    Row(
        1,
        "a request head that arrives byte by byte",
        "408 and close after 5 seconds; other clients are not affected",
        loopback=True,
    ),
    Row(2, "a socket that sends nothing", "closed after 5 seconds; nothing is sent"),
    Row(
        3,
        "a body that arrives byte by byte, chunked or not; pipelined requests; a half-close after them",
        "408; answered in order, one at a time, from a bounded buffer; still answered, for `half_close_timeout`",
    ),
    Row(4, "a WebSocket that does not authenticate although it must", "close 4408 after `authentication_timeout`"),
    Row(5, "a large head; many headers; a long target", "431; 431; 414; however the bytes are cut"),
    Row(
        6,
        "a head that can be read in two ways (request smuggling)",
        "400, 405, 411, 501 or 505, and close; nothing after it is parsed",
    ),
    Row(7, "TLS or SSH on a port without TLS", "400 and close, counted once"),
    Row(
        8,
        "a client that reads nothing",
        "close 4100; the memory held for it is bounded; other clients receive everything",
        loopback=True,
    ),
    Row(
        9,
        "a flood of pings",
        "the first 32 are answered in order; of 32 more, the latest is answered; then close 1008; no timer for each",
    ),
    Row(10, "a flood of pongs", "close 1008; no timer for each"),
    Row(11, "fragments that are empty, tiny, or never end", "close 1008 at the 1,025th, or after 10 seconds"),
    Row(12, "a frame that announces too many bytes", "close 1009 before its payload is read"),
    Row(
        13,
        "a message that inflates to a huge size; data after the final block; invalid deflate data",
        "close 1009; inflated under the same limit; close 1007",
        loopback=True,
    ),
    Row(14, "a ping between the fragments of a compressed message", "allowed: the message arrives complete"),
    Row(15, "text that is not UTF-8", "close 1007"),
    Row(16, "a binary message", "close 1003"),
    Row(
        17,
        "a wrong mask, reserved bit, opcode, length or continuation",
        "close 1002; later bytes are discarded, at most 64 KiB or for 2 seconds",
    ),
    Row(
        18,
        "invalid JSON, numbers or Unicode; a text that is not an object; JSON nested too deep",
        "-32700 or -32600 with `id: null`; more than ten a minute: close 4400",
    ),
    Row(
        19,
        "a batch that is too large; empty; nested; with too large an answer",
        "-32010 once, and nothing runs; -32600; -32600 for the inner one; -32011 for each reply that does not fit",
    ),
    Row(20, "an id that is already in flight", "-32013 for the second; the first is answered"),
    Row(
        21,
        "a flood of calls; calls that all call the client; ten thousand cancelled calls",
        "they wait in order, then -32009; all are answered; never more handlers than the limit",
    ),
    Row(22, "calls that arrive too fast", "-32029; after 10 seconds, close 4429; other users are not affected"),
    Row(23, "a flood of subscriptions", "-32006; other users are not affected"),
    Row(24, "names of topics with patterns or control bytes; topics of others", "-32602; -32036, or -32021"),
    Row(25, "guessed ids of sessions", "-32040: unknown, expired and foreign ones get equal answers in equal effects"),
    Row(
        26,
        "a session resumed with a stolen id, or an old secret",
        "-32040 without its secret; the use of an old secret ends the session",
    ),
    Row(27, "a connection replaced by two resumptions at once", "one wins, and the old one gets close 4409; -32043"),
    Row(28, "a captured request sent again", "one run of the handler for one idempotency key"),
    Row(29, "a token in the URL", "400; its value is in no log and no error"),
    Row(30, "a page of another origin that opens a WebSocket", "403", loopback=True),
    Row(
        31,
        "a foreign host name that resolves to our address (DNS rebinding)",
        "421, except for `/health`",
        loopback=True,
    ),
    Row(32, "a page of another origin that posts", "403; 415 for the media types of HTML forms", loopback=True),
    Row(
        33,
        "a preflight of a page of another origin",
        "403; 204 for allowed origins only, never with `*` or credentials",
        loopback=True,
    ),
    Row(34, "CR, LF or NUL in a response header", "refused before anything is written"),
    Row(35, "control characters in text that is logged", "escaped, at most 256 characters"),
    Row(36, "a broadcast, or a publication, by an anonymous caller", "-32020; over HTTP 401"),
    Row(37, "an identity, roles or unknown names in parameters", "-32602; the identity comes from the connection only"),
    Row(
        38,
        "guessed passwords and tokens",
        "-32023 after five failures of a user, fifty of an address; then close 4401; the same for unknown users",
    ),
    Row(
        39,
        "a token that expires; a user who is banned",
        "-32022, and 4401 after `auth_grace`; 4403 at once, and no call goes on",
    ),
    Row(
        40,
        "one address that opens too many sockets",
        "closed without reading; other addresses are served",
        loopback=True,
    ),
    Row(
        41,
        "so many sockets that file descriptors run out",
        "accepting resumes by itself; one line in the log; connected clients are not affected",
        loopback=True,
    ),
    Row(42, "a handler that never returns", "-32030 at its deadline; its slot is held until it ends"),
    Row(
        43,
        "a handler that blocks",
        "its name is logged while it blocks; -32030 when it returns; in a thread: -32030 on time, its slot is held",
    ),
    Row(
        44,
        "a handler that raises any exception",
        "-32603 with an incident id; other calls are not affected",
        loopback=True,
    ),
    Row(
        45,
        "a call that is answered, cancelled, timed out, disconnected and drained at the same time",
        "exactly one outcome",
    ),
    Row(46, "a result that cannot be encoded, or is too large", "-32603; -32008"),
    Row(
        47,
        "a half-close in every state, ten thousand times",
        "no connection, call, descriptor or thread is left",
        loopback=True,
    ),
    Row(
        48,
        "a reset in every state, ten thousand times",
        "no connection, call, descriptor or thread is left",
        loopback=True,
    ),
    Row(
        49,
        "a wall clock that jumps; a process that was suspended",
        "only timestamps change; input is read first, silent clients are pinged again, and live clients stay connected",
    ),
    Row(50, "a full disk, I/O errors", "-32035; nothing acknowledged is lost", loopback=True),
    Row(55, "kill -9 at any moment", "everything acknowledged is there again", loopback=True),
    Row(56, "a message twice after a resume", "the same offset: the client drops it", waits_for="clients"),
    Row(
        57,
        "a shut-down with thousands of clients",
        "all are told and closed one after the other, and every answer arrives",
        loopback=True,
    ),
    Row(
        59,
        "more bytes held for clients than `memory_budget`",
        "new clients and bodies on their way are refused; then the idlest client is closed with 1013",
    ),
)
"""Every row, by its number."""
