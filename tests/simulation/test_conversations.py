"""Conversations with a server, byte for byte: every one, whole and cut anywhere."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation import Drawn
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.storms.catalogue.conversations import CONVERSATIONS, Conversation, converse
from posthouse.adapters.simulation.storms.scenes.repertoire import PARTS
from posthouse.adapters.simulation.storms.service import service

from .conversations import FILE, heard_anew, written

CALL = next(each for each in CONVERSATIONS if each.about == "a call")


def picks(*choices: int) -> Stream:
    """A source of these choices: how often bytes are cut, and a seed. Then of any."""
    left, more = list(choices), Random(1)
    return Drawn(lambda n: min(left.pop(0), n - 1) if left else more.randrange(n)).stream("any")


@pytest.mark.parametrize("cut", [0, 2])
@pytest.mark.parametrize("part", range(PARTS))
def test_every_conversation_goes_as_it_is_written(part: int, cut: int) -> None:
    converse(CONVERSATIONS[part::PARTS], picks(cut, part), service)


def test_the_file_is_as_it_would_be_written_anew() -> None:
    assert [heard_anew(known) for known in CONVERSATIONS[:5]] == CONVERSATIONS[:5]
    assert written(CONVERSATIONS) == FILE.read_bytes()


def test_no_two_conversations_are_about_the_same() -> None:
    assert not [about for about, times in Counter(each.about for each in CONVERSATIONS).items() if times > 1]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"received": CALL.received + " "}, "documented: an answer has other bytes"),
        ({"received": CALL.received[:-1]}, "documented: an answer has other bytes"),
        ({"ends": True}, "documented: a connection ends, or goes on"),
    ],
)
def test_an_answer_that_is_not_as_it_is_written_is_a_violation(other: dict[str, Any], sentence: str) -> None:
    wrong = Conversation(**{"about": "a call", "sent": CALL.sent, "received": CALL.received} | other)
    with pytest.raises(Violation, match=sentence):
        converse([wrong], picks(0, 0), service)
