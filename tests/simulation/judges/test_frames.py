"""WebSocket frames: the examples of the standards, and a frame for each rule that one can break."""

from __future__ import annotations

import pytest
from posthouse.adapters.simulation.judges.frames import Frames, Received, unmask

HELLO = b"\x81\x05Hello"
MASKED_HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
FRAGMENTS = b"\x01\x03Hel\x80\x02lo"
COMPRESSED_HELLO = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"


@pytest.mark.parametrize(
    ("data", "masked", "expected"),
    [
        (HELLO, False, [Received("text", b"Hello", 5)]),
        (MASKED_HELLO, True, [Received("text", b"Hello", 5)]),
        (FRAGMENTS, False, [Received("text", b"Hello", 5)]),
        (b"\x01\x03Hel\x89\x01p\x80\x02lo", False, [Received("ping", b"p"), Received("text", b"Hello", 5)]),
        (b"\x82\x00\x8a\x00\x88\x02\x03\xe8", False, None),
        (b"\x81\x7e\x00\x7e" + b"x" * 126, False, [Received("text", b"x" * 126, 126)]),
        (b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + b"x" * 65536, False, [Received("text", b"x" * 65536, 65536)]),
    ],
)
def test_a_message_is_read_wherever_it_is_cut(data: bytes, masked: bool, expected: list[Received] | None) -> None:
    if expected is None:
        expected = [Received("binary", b""), Received("pong", b""), Received("close", b"\x03\xe8")]
    for cut in range(min(len(data), 200)):
        frames = Frames(masked=masked)
        found = frames.read(data[:cut])
        found += frames.read(data[cut:])
        assert found == expected
        assert not frames.begun and frames.fault is None


@pytest.mark.parametrize(
    ("data", "takeover"),
    [
        (COMPRESSED_HELLO, False),
        (b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", False),
        (COMPRESSED_HELLO + b"\xc1\x05\xf2\x00\x11\x00\x00", True),  # RFC 7692 section 7.2.3.2
        (b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", False),  # section 7.2.3.3
        (b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", False),  # section 7.2.3.4
        (b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", False),  # section 7.2.3.5
    ],
)
def test_the_compressed_examples_of_the_standard_are_read(data: bytes, takeover: bool) -> None:
    found = Frames(masked=False, deflate=True, takeover=takeover).read(data)
    assert [(frame.kind, frame.payload) for frame in found] == [("text", b"Hello")] * len(found)
    assert found


def test_a_message_without_takeover_does_not_refer_to_the_one_before() -> None:
    frames = Frames(masked=False, deflate=True)
    assert frames.read(COMPRESSED_HELLO + b"\xc1\x05\xf2\x00\x11\x00\x00") == [Received("text", b"Hello", 7)]
    assert frames.fault == "a compressed message is no deflate stream"
    assert frames.read(HELLO) == []


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (MASKED_HELLO, "a frame is masked"),
        (b"\x83\x00", "a reserved opcode"),
        (b"\x8b\x00", "a reserved opcode"),
        (b"\xa1\x00", "a reserved bit"),
        (b"\x91\x00", "a reserved bit"),
        (b"\xc9\x00", "marked as compressed"),
        (b"\x41\x00\xc0\x00", "marked as compressed"),
        (b"\x09\x00", "a control frame is fragmented"),
        (b"\x89\x7e\x00\x7e", "longer than 125 bytes"),
        (b"\x80\x00", "a fragment does not belong"),
        (b"\x01\x00\x81\x00", "a fragment does not belong"),
        (b"\x81\x7e\x00\x7d", "not encoded in the fewest bytes"),
        (b"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "not encoded in the fewest bytes"),
        (b"\x81\x7f\x80\x00\x00\x00\x00\x01\x00\x00", "not encoded in the fewest bytes"),
        (b"\x88\x00\x81\x00", "bytes follow a close frame"),
        (b"\x88\x00\x88\x00", "bytes follow a close frame"),
        (b"\xc1\x03abc", "no deflate stream"),
    ],
)
def test_a_frame_that_breaks_a_rule_is_refused(data: bytes, rule: str) -> None:
    frames = Frames(masked=False, deflate=True)
    frames.read(data)
    assert frames.fault is not None and rule in frames.fault


def test_a_client_masks_and_compression_is_agreed() -> None:
    server, client = Frames(masked=True), Frames(masked=False)
    assert server.read(HELLO) == client.read(COMPRESSED_HELLO) == []
    assert server.fault == "a frame is not masked"
    assert client.fault == "a frame is marked as compressed, which it may not be"


@pytest.mark.parametrize("data", [b"\x81", b"\x81\x05Hell", b"\x01\x00", b"\x81\x7e\x00"])
def test_a_frame_or_a_message_may_have_begun(data: bytes) -> None:
    frames = Frames(masked=False)
    assert frames.read(data) == []
    assert frames.begun


def test_masking_twice_changes_nothing() -> None:
    assert unmask(b"", b"\x01\x02\x03\x04") == b""
    assert unmask(unmask(b"Hello", b"\x01\x02\x03\x04"), b"\x01\x02\x03\x04") == b"Hello"
