"""Peers that subscribe to too much, to what is not theirs, or read nothing: nobody else notices."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import encode
from posthouse.core import Config, ConnectionClosed, Identity, Service

from tests.transports.board import Board, call, post

from .attacker import Attacker, content, status


def offered() -> Service:
    service = Service("topics", public=True)
    service.topic("rooms.*", publish="public", history=5)
    service.topic("prices", publish="public", slow="drop_oldest")
    service.topic("staff", publish={"staff"}, subscribe={"staff"})
    return service


def ask(attacker: Attacker, method: str, **params: Any) -> Any:
    """The answer to a method of topics: its result, or the code of its error."""
    attacker.tell(call(f"topic.{method}", encode(params)))
    (answer,) = [each for each in attacker.messages() if "id" in each]
    return answer["result"] if "result" in answer else answer["error"]["code"]


@pytest.mark.parametrize(("number", "last"), [(2, dict), (3, dict), (4, int)])
def test_row_23_a_flood_of_subscriptions_is_refused_and_others_are_unaffected(number: int, last: type) -> None:
    board = Board(Config(max_subscriptions=3, heartbeat_interval=None), service=offered())
    flooding, calm = Attacker(board), Attacker(board)
    answers = [ask(flooding, "subscribe", topic=f"rooms.{each}") for each in range(number)]
    assert type(answers[-1]) is last
    assert answers[3:] == [-32006] * (number - 3)
    ask(calm, "subscribe", topic="rooms.0")
    assert ask(flooding, "publish", topic="rooms.0", data=1)["offset"] == 1
    assert [each["params"]["data"] for each in calm.messages()] == [1]


def test_row_23_a_user_has_one_number_of_subscriptions_over_all_connections() -> None:
    config = Config(max_subscriptions_per_user=3, heartbeat_interval=None)
    board = Board(config, service=offered(), identity=Identity("eve"))
    attackers = [Attacker(board) for _ in range(4)]
    assert [type(ask(each, "subscribe", topic="rooms.0")) for each in attackers] == [dict, dict, dict, int]


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        *((topic, -32602) for topic in ("rooms.*", "rooms.>", "rooms.\x00", "rooms.a\n", "r" * 256)),
        *((topic, -32036) for topic in ("rooms", "rooms.a.b", "$events.x")),
        ("staff", -32020),
    ],
)
def test_row_24_patterns_control_bytes_and_topics_of_others_are_refused(topic: str, code: int) -> None:
    board = Board(service=offered())
    attacker = Attacker(board)
    for method, params in (("subscribe", {}), ("publish", {"data": 1}), ("history", {"limit": 1})):
        assert ask(attacker, method, topic=topic, **params) == code
    assert board.board.stats()["topics.open"] == 0


def test_row_36_a_publication_by_an_anonymous_caller_is_refused() -> None:
    board = Board(service=offered())
    refused = board.feed(board.open(), post(call("topic.publish", b'{"topic":"staff","data":1}')))
    assert status(refused) == 401
    assert content(refused)["error"]["code"] == -32020


def test_row_08_a_subscriber_that_reads_nothing_is_held_and_a_thousand_others_hear_everything() -> None:
    board = Board(Config(heartbeat_interval=None, max_queued_pushes=16), service=offered())
    slow, others = Attacker(board), [Attacker(board) for _ in range(1_000)]
    for each in (slow, *others):
        ask(each, "subscribe", topic="prices")
    before = board.board.health(0.0).memory
    board.stuck[slow.socket] = 0
    for number in range(40):
        board.board.publish("prices", number, 0.0)
        board.run()
    assert board.board.health(0.0).memory - before < 17 * 150
    assert board.board.stats()["topics.lost"] == 40 - 1 - 16
    heard = [[message["params"]["data"] for message in other.messages()] for other in (others[0], others[-1])]
    assert heard == [list(range(40))] * 2
    assert [event for event in board.events() if isinstance(event, ConnectionClosed)] == []
    board.release(slow.socket)
    board.run()
    told = [message["params"] for message in slow.messages()]
    assert [each.get("offset") or (each["from"], each["to"]) for each in told] == [1, (2, 24), *range(25, 41)]
