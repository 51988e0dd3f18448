"""Newline-delimited JSON, of either side of a pipe: the same codec."""

from __future__ import annotations

from posthouse.core.values.config import Config
from posthouse.transports import NewlineFraming, Send, Text

from tests.fuzz.conduct import Play
from tests.fuzz.cutting import Sent, read, written
from tests.fuzz.target import Planted, Target

CONFIG = Config(max_message_bytes=40, frames_per_turn=3)

ENDS_INPUT = 0

TOO_LARGE = None
"""What stands for the one answer to a line above the limit."""


def run(data: bytes) -> None:
    """Any bytes become lines of at most the limit, and one answer (-32007) for each that is longer.

    A peer's bytes lead to `Text` and `Send` alone, the end of input to nothing but the grace. What lines there are a
    plain split of all the bytes says as well, and pieces say the same as the whole.
    """
    sent = read(data)
    said = play(sent)
    assert said == play(sent.whole()), "pieces mean something else than the whole"
    ends = sent.option(ENDS_INPUT)
    assert said == expected(sent.wire, ends=ends), "these are not the lines that were sent"


def play(sent: Sent) -> list[bytes | None]:
    """What the codec makes of it."""
    most = CONFIG.max_message_bytes
    stage = Play(NewlineFraming(CONFIG), most_text=most, most_held=most + 1)
    stage.feed(sent.pieces())
    if sent.option(ENDS_INPUT):
        stage.end_input()
    said = list(stage.conduct.meaning)
    stage.leave()
    return [meaning_of(output) for output in said]


def meaning_of(output: object) -> bytes | None:
    """The line; or that there was one which was too long."""
    if isinstance(output, Text):
        return output.data
    assert isinstance(output, Send)
    assert b"-32007" in output.data
    assert output.data.endswith(b"\n")
    return TOO_LARGE


def expected(wire: bytes, *, ends: bool) -> list[bytes | None]:
    """What the bytes are, seen at once."""
    *lines, last = wire.split(b"\n")
    most = CONFIG.max_message_bytes
    meanings = [judged(line) for line in lines]
    if ends or len(last) > most + 1 or (len(last) == most + 1 and not last.endswith(b"\r")):
        # A line that is too long is answered before it ends.
        meanings.append(judged(last))
    return [meaning for meaning in meanings if meaning != b""]


def judged(line: bytes) -> bytes | None:
    """One line: itself, nothing when it is white space, or that it is too long."""
    line = line.removesuffix(b"\r")
    if len(line) > CONFIG.max_message_bytes:
        return TOO_LARGE
    return line if line.strip() else b""


TARGET = Target(
    name="lines",
    run=run,
    seeds=(
        written(b'{"jsonrpc":"2.0","method":"a"}\n[]\r\n\n \r\nlast', ENDS_INPUT),
        written(b"1\n" * 5, sizes=b"\x01\x05\x03"),
    ),
    tokens=(b"\n", b"\r\n", b"\r", b" " * 40, b"x" * 39, b"x" * 40, b"\r" * 2),
    planted=Planted(
        what="a line of exactly the limit is refused if a piece ends with its CR",
        file="transports/posthouse/transports/pipes/newline.py",
        before='excess == 1 and not self._partial.endswith(b"\\r")',
        after="excess == 1",
    ),
    max_len=512,
)
