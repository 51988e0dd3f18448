"""`Content-Length` framing, of either side of a pipe: the same codec."""

from __future__ import annotations

import re
from email.message import Message
from email.parser import BytesParser

from posthouse.core.values.config import Config
from posthouse.transports import ContentLengthFraming, Ended, Send, Shut, Text
from posthouse.transports.pipes.content_length import MAX_HEAD_BYTES, MAX_SKIPPED_BYTES

from tests.fuzz.conduct import Play
from tests.fuzz.cutting import Sent, read, written
from tests.fuzz.target import Planted, Target

CONFIG = Config(max_message_bytes=40, frames_per_turn=3)

ENDS_INPUT = 0

FIELD_LINE = re.compile(rb"[!#-'*+.^-z|~\-0-9A-Z]+:[^\x00-\x08\x0a-\x1f\x7f]*")


def run(data: bytes) -> None:
    """Any bytes become messages of exactly the announced length, until a head cannot be read.

    A peer's bytes lead to `Text`; to one answer -32007 for a message above the limit, which is skipped to the byte; to
    one answer -32700 and the end (1002) for a head that says no length, or two stories, and for a line of it that ends
    with LF alone; to -32007 and the end (1009) for more than is waited for. The standard library's parser for mail says
    the same about each head, and pieces say the same as the whole.
    """
    sent = read(data)
    said = play(sent)
    assert said == play(sent.whole()), "pieces mean something else than the whole"
    assert said == expected(sent.wire, ends=sent.option(ENDS_INPUT)), "these are not the messages that were sent"


def play(sent: Sent) -> list[bytes | int]:
    """What the codec makes of it: texts, codes of errors, the code of the end."""
    most = CONFIG.max_message_bytes
    stage = Play(ContentLengthFraming(CONFIG), most_text=most, most_held=max(most, MAX_HEAD_BYTES))
    stage.feed(sent.pieces())
    if sent.option(ENDS_INPUT):
        stage.end_input()
    said = [meaning_of(output) for output in stage.conduct.meaning if not isinstance(output, Shut)]
    stage.leave()
    return said


def meaning_of(output: object) -> bytes | int:
    """The text, the answer's code, or the code of the end."""
    if isinstance(output, Text):
        return output.data
    if isinstance(output, Ended):
        assert output.code is not None
        return output.code
    assert isinstance(output, Send)
    found = re.search(rb'"code":(-[0-9]+)', output.data)
    assert found is not None
    return int(found[1])


def expected(wire: bytes, *, ends: bool) -> list[bytes | int]:
    """What the bytes are, seen at once."""
    meanings: list[bytes | int] = []
    while wire:
        head, blank, rest = wire.partition(b"\r\n\r\n")
        if b"\n" in head[:MAX_HEAD_BYTES].replace(b"\r\n", b""):
            return [*meanings, -32700, 1002]
        if not blank or len(head) + 4 > MAX_HEAD_BYTES:
            too_long = len(wire) >= MAX_HEAD_BYTES
            return meanings + ([-32700, 1002] if too_long else [-32700] if ends else [])
        length = announced(head)
        if length is None:
            return [*meanings, -32700, 1002]
        if length > CONFIG.max_message_bytes:
            meanings.append(-32007)
            if length > MAX_SKIPPED_BYTES:
                return [*meanings, 1009]
        if len(rest) < length:
            kept = length <= CONFIG.max_message_bytes
            return meanings + ([-32700] if ends and kept else [])
        if length <= CONFIG.max_message_bytes:
            meanings.append(rest[:length])
        wire = rest[length:]
    return meanings


def announced(head: bytes) -> int | None:
    """The length that a head says, as the standard library reads it; None where it must not be understood."""
    if not all(FIELD_LINE.fullmatch(line) for line in head.split(b"\r\n")):
        return None
    message: Message = BytesParser().parsebytes(head + b"\r\n\r\n")
    lengths = message.get_all("content-length", [])
    types = message.get_all("content-type", [])
    if len(lengths) != 1 or len(types) > 1 or not all(utf8(str(value)) for value in types):
        return None
    digits = str(lengths[0]).strip(" \t")
    return int(digits) if re.fullmatch("[0-9]{1,19}", digits) else None


def utf8(content_type: str) -> bool:
    """Does every parameter `charset` say UTF-8?"""
    charsets = re.findall(r';[ \t]*charset[ \t]*=[ \t]*"?([^";\s]*)', content_type, re.IGNORECASE | re.ASCII)
    return all(charset.lower() in ("utf-8", "utf8") for charset in charsets)


TARGET = Target(
    name="headers",
    run=run,
    seeds=(
        written(b"Content-Length: 2\r\n\r\n[]content-length:1\r\nX-Other: y\r\n\r\n1", ENDS_INPUT),
        written(
            b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
            sizes=b"\x05\x01\x2a",
        ),
    ),
    tokens=(
        b"Content-Length: ",
        b"Content-Type: ",
        b"charset=",
        b"utf-8",
        b"utf8",
        b"\r\n\r\n",
        b"\r\n",
        b"\n",
        b"40",
        b"41",
        b"67108864",
        b"67108865",
        b"00000000000000000001",
    ),
    planted=Planted(
        what="one byte too many is skipped after a large message",
        file="transports/posthouse/transports/pipes/content_length.py",
        before="            self._skipping = True\n        self._expected = length",
        after="            self._skipping = True\n            length += 1\n        self._expected = length",
    ),
    max_len=1024,
)
