"""The contract of delivery notices each breach."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.invariants.publishing.contract import Ledger, Subscriber

HERE = {"epoch": "e", "offset": 3}


def published(offset: int, data: Any = None, epoch: str = "e") -> dict[str, Any]:
    return {"topic": "t", "epoch": epoch, "offset": offset, "data": offset if data is None else data}


def subscribed(**result: Any) -> Subscriber:
    one = Subscriber("t", Ledger(), ("e", 1) if "recovered" in result else None)
    one.replied({**HERE, **result})
    return one


def test_a_subscriber_that_gets_everything_is_where_the_topic_is() -> None:
    one = subscribed(recovered=True, publications=[published(2), published(3)])
    one.publication(published(4))
    one.gap({"topic": "t", "from": 5, "to": 9})
    one.publication(published(10))
    assert (one.position, one.recovered) == (("e", 10), True)
    assert subscribed().recovered is None
    assert subscribed(recovered=False).position == ("e", 3)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"recovered": False, "publications": []}, "a recovery is whole, or nothing"),
        ({"recovered": True}, "a recovery is whole, or nothing"),
        ({"recovered": True, "publications": [published(3)]}, "exactly the unseen rest"),
        ({"recovered": True, "publications": [published(1), published(2), published(3)]}, "exactly the unseen rest"),
        ({"epoch": "f", "recovered": True, "publications": []}, "a position of another epoch was recovered"),
    ],
)
def test_a_recovery_is_exactly_the_unseen_rest_or_nothing(result: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Violation, match=sentence):
        subscribed(**result)


def test_a_recovery_is_told_only_if_it_was_asked_for() -> None:
    with pytest.raises(Violation, match="a reply tells of a recovery if it was asked"):
        Subscriber("t", Ledger()).replied({**HERE, "recovered": False})
    with pytest.raises(Violation, match="answered twice"):
        subscribed().replied(HERE)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        (published(3), "comes once and in order"),
        (published(5), "no gap is silent"),
        (published(4, epoch="f"), "the epoch of a subscription stays"),
    ],
)
def test_publications_come_once_in_order_and_without_a_silent_gap(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Violation, match=sentence):
        subscribed().publication(params)


@pytest.mark.parametrize(("first", "last"), [(5, 6), (3, 6), (4, 3)])
def test_a_gap_begins_where_the_client_is(first: int, last: int) -> None:
    with pytest.raises(Violation, match="a gap begins where the client is"):
        subscribed().gap({"topic": "t", "from": first, "to": last})


def test_nothing_comes_before_the_reply() -> None:
    with pytest.raises(Violation, match="a publication comes before the reply"):
        Subscriber("t", Ledger()).publication(published(1))
    with pytest.raises(Violation, match="a gap comes before the reply"):
        Subscriber("t", Ledger()).gap({"topic": "t", "from": 1, "to": 1})


def test_everybody_gets_the_same() -> None:
    ledger = Ledger()
    ledger.acknowledged("t", "e", 1, "x")
    ledger.acknowledged("t", "e", 1, "x")
    ledger.acknowledged("t", "f", 1, "y")
    with pytest.raises(Violation, match="an offset was given twice"):
        ledger.acknowledged("t", "e", 1, "y")
