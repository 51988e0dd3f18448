"""What abuse meets: every way to abuse the server that we know of, and what must come of it.

Tests carry the number of a row in their names (`test_row_09_…`, `test_rows_15_and_16_…`). A row that is `met` has
tests without sockets, and where it says `loopback` one over real sockets too. A row that `waits_for` a part that this
release does not have may have none. `docs/limits.md` shows this table. Numbers are never reused; some are unused.
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
    Row(1, "a head that drips", "408 and close after 5 seconds; nobody beside it notices", loopback=True),
    Row(2, "a socket that says nothing", "closed after 5 seconds without a byte"),
    Row(
        3,
        "a body that drips, chunked or not; requests in a row; the end of input behind them",
        "408; answered in order, one at a time, from a bounded buffer; still answered, for `half_close_timeout`",
    ),
    Row(4, "a WebSocket that never authenticates where it must", "close 4408", waits_for="authentication"),
    Row(5, "a huge head, many headers, a long target", "431, 431, 414, however the bytes are cut"),
    Row(
        6,
        "a head that can be read in two ways (request smuggling)",
        "400, or 405, 411, 501, 505, and close; nothing behind it is parsed",
    ),
    Row(7, "TLS or SSH to a plain port", "400 and close, counted once"),
    Row(8, "a peer that reads nothing", "close 4100; what is kept for it is bounded; others hear all", loopback=True),
    Row(
        9,
        "a flood of pings",
        "the burst is answered in order, of as many more the latest, then close 1008; no timer for each",
    ),
    Row(10, "a flood of pongs", "close 1008; no timer for each"),
    Row(11, "fragments that are empty, tiny or never end", "close 1008 at the 1,025th, or after 10 seconds"),
    Row(12, "a frame that announces too much", "close 1009 before any of it is taken in"),
    Row(
        13,
        "a message that inflates to much more; data behind a final block; garbage for deflate",
        "close 1009; inflated under the same cap; close 1007",
        loopback=True,
    ),
    Row(14, "a ping between the fragments of a compressed message", "that is legal: the message arrives intact"),
    Row(15, "text that is not UTF-8", "close 1007"),
    Row(16, "a binary message", "close 1003"),
    Row(
        17,
        "a wrong mask, reserved bit, opcode, length or continuation",
        "close 1002; what follows is discarded, at most 64 KiB or for 2 seconds",
    ),
    Row(
        18,
        "what is no JSON, no object, too deep, no number, no Unicode",
        "-32700 or -32600 with `id: null`; more than ten a minute: close 4400",
    ),
    Row(
        19,
        "a batch that is too large, empty, nested, or answered with too much",
        "-32010 once and nothing is run; -32600; -32600 inside; -32011 for what does not fit",
    ),
    Row(20, "an id that is in flight already", "-32013 for the second; the first is answered"),
    Row(
        21,
        "a flood of calls; calls that all ask back; calls cancelled ten thousand times",
        "they wait in order, then -32009; all are answered; never more handlers than the cap",
    ),
    Row(22, "calls that come too fast", "-32029, after 10 seconds of it close 4429; other users do not notice"),
    Row(23, "a flood of subscriptions", "-32006; other users do not notice", waits_for="topics"),
    Row(24, "names of topics with patterns, or another's", "-32602 or -32021", waits_for="topics"),
    Row(25, "guessed ids of sessions", "all answers are equal", waits_for="sessions"),
    Row(26, "a session resumed with a stolen id", "it takes id, secret and the same user", waits_for="sessions"),
    Row(27, "a session resumed twice at once", "one wins; the other gets close 4409", waits_for="sessions"),
    Row(28, "a captured request sent again", "one run for one idempotency key", waits_for="idempotency"),
    Row(29, "a token in the URL", "400; its value is in no log and no error", waits_for="authentication"),
    Row(30, "a page from elsewhere that opens a WebSocket", "403", loopback=True),
    Row(31, "a name that is bound anew to our address (DNS rebinding)", "421, except for `/health`", loopback=True),
    Row(32, "a page from elsewhere that posts", "403, or 415 for what a form can send", loopback=True),
    Row(
        33,
        "a preflight of a page from elsewhere",
        "403; 204 for allowed origins alone, never with `*` or credentials",
        loopback=True,
    ),
    Row(34, "CR, LF or NUL in a header of ours", "refused inside; nothing is written"),
    Row(35, "escapes in what we log", "logged escaped, at most 256 characters"),
    Row(36, "a broadcast by nobody in particular", "-32020, over HTTP 401; publishing waits for topics"),
    Row(37, "identity, roles or other names in parameters", "-32602; identity is the connection's"),
    Row(38, "guessed passwords", "-32023, then close 4401, at equal cost", waits_for="authentication"),
    Row(39, "a token that expires, a user who is banned", "-32022, 4401; 4403 at once", waits_for="authentication"),
    Row(40, "one address that opens too many sockets", "closed unread; the others are served", loopback=True),
    Row(
        41,
        "file descriptors that run out",
        "accepting goes on by itself; one line in the log; who is connected does not notice",
        loopback=True,
    ),
    Row(42, "a handler that never returns", "-32030 at its deadline; its slot is held until it ends"),
    Row(
        43,
        "a handler that blocks",
        "named while it does; -32030 when it returns late; in a worker -32030 on time, its slot held",
    ),
    Row(44, "a handler that raises, whatever it be", "-32603 with an incident id; others do not notice", loopback=True),
    Row(45, "a call that is answered, cancelled, late, cut off and drained at once", "exactly one outcome"),
    Row(46, "a result that cannot be encoded, or is too large", "-32603; -32008"),
    Row(47, "the end of input in every state, ten thousand times", "nothing is left behind", loopback=True),
    Row(48, "a reset in every state, ten thousand times", "nothing is left behind", loopback=True),
    Row(
        49,
        "a wall clock that jumps; a process that was suspended",
        "only timestamps change; input is read first, everybody is asked again, nobody who is there is closed",
    ),
    Row(50, "a full disk, I/O errors", "-32035; nothing acknowledged is lost", loopback=True, waits_for="storage"),
    Row(55, "kill -9 at any moment", "everything acknowledged is there again", loopback=True, waits_for="storage"),
    Row(56, "a message twice after a resume", "the same offset: the client drops it", waits_for="clients"),
    Row(
        57,
        "a shut-down with thousands of clients",
        "all are told, closed one after the other, and lose no answer",
        loopback=True,
    ),
    Row(
        59,
        "more held than `memory_budget`",
        "who comes is refused, and bodies on their way; then the idlest is closed with 1013",
    ),
)
"""Every row, by its number."""
