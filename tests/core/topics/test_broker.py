"""The broker of this process: positions and histories, within their limits, and the topics that are forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.service.topics.position import Position
from posthouse.core.service.topics.rules import Rule
from posthouse.core.topics.broker import LocalBroker
from posthouse.core.topics.requests import (
    Accepted,
    Attach,
    Attached,
    Detach,
    Full,
    KeyTaken,
    OtherEpoch,
    Page,
    Publish,
    Read,
)
from posthouse.core.values.shared import Shared

from tests.core.world import shared

KEPT = Rule.of("kept.*", public=True, history=3, ttl=60.0)
PLAIN = Rule.of("plain.*", public=True)
CONFIGURED = Rule.of("configured", public=True, history=True)


class Post:
    """A broker whose epochs are counted."""

    def __init__(self, **limits: Any) -> None:
        self.shared: Shared = shared(**limits)
        self.drawn = 0
        self.shared.entropy = self.entropy
        self.broker = LocalBroker(self.shared)

    def entropy(self, size: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")

    def publish(self, topic: str, rule: Rule = KEPT, data: bytes = b"0", now: float = 0.0, **more: Any) -> Any:
        return self.broker.publish(Publish(topic, rule, data, **more), now)

    def attach(self, topic: str, rule: Rule = KEPT, position: Position | None = None, now: float = 0.0) -> Any:
        return self.broker.attach(Attach(topic, rule, position, 1000), now)

    def read(
        self, topic: str, limit: int = 10, since: Position | None = None, now: float = 0.0, *, reverse: bool = False
    ) -> Any:
        return self.broker.read(Read(topic, KEPT, since, limit, reverse, 1000), now)

    def offsets(self, topic: str, now: float = 0.0) -> list[int]:
        """What is kept."""
        page = self.read(topic, now=now)
        return [int(bytes(each).split(b",")[0].split(b":")[1]) for each in page.publications]


def at(epoch: int, offset: int) -> Position:
    return Position(epoch.to_bytes(8, "big").hex(), offset)


def test_publications_are_numbered_in_each_topic() -> None:
    post = Post()
    assert post.publish("kept.a", data=b"1") == Accepted(at(1, 1), b'"offset":1,"data":1')
    assert post.publish("kept.a", data=b"2", sender=b"{}") == Accepted(at(1, 2), b'"offset":2,"data":2,"from":{}')
    assert post.publish("kept.b") == Accepted(at(2, 1), b'"offset":1,"data":0')


def test_a_position_exists_from_the_first_moment() -> None:
    post = Post()
    assert post.attach("kept.a") == Attached(at(1, 0), None)
    post.publish("kept.a")
    assert [bytes(each) for each in post.attach("kept.a", position=at(1, 0)).publications] == [b'{"offset":1,"data":0}']


def test_a_position_is_caught_up_from_the_history() -> None:
    post = Post(max_recovery=2)
    for _ in range(4):
        post.publish("kept.a")
    assert post.attach("kept.a", position=at(1, 4)) == Attached(at(1, 4), [])
    assert len(post.attach("kept.a", position=at(1, 2)).publications) == 2
    assert post.attach("kept.a", position=at(1, 1)) == Attached(at(1, 4), None)
    assert post.attach("kept.a", position=at(2, 4)) == Attached(at(1, 4), None)


def test_a_history_has_no_more_than_its_number() -> None:
    post = Post(history_size=2)
    for number in range(1, 5):
        post.publish("kept.a")
        post.publish("configured", CONFIGURED)
        assert post.offsets("kept.a") == list(range(max(1, number - 2), number + 1))
        assert post.offsets("configured") == list(range(max(1, number - 1), number + 1))
    post.publish("plain.a", PLAIN)
    assert post.offsets("plain.a") == []


def test_a_history_has_nothing_that_is_too_old() -> None:
    post = Post(history_ttl=5.0)
    post.attach("kept.a")
    post.publish("kept.a", now=0.0)
    post.publish("kept.a", now=30.0)
    post.attach("configured", CONFIGURED)
    post.publish("configured", CONFIGURED, now=0.0)
    assert post.offsets("kept.a", 59.999) == [1, 2]
    assert post.offsets("kept.a", 60.0) == [2]
    assert post.offsets("configured", 4.999) == [1]
    assert post.attach("kept.a", position=at(1, 0), now=60.0) == Attached(at(1, 2), None)
    post.publish("kept.a", now=91.0)
    assert post.offsets("kept.a", 91.0) == [3]


def test_old_publications_are_forgotten_in_time() -> None:
    post = Post()
    post.attach("kept.a")
    post.publish("kept.a", now=0.0)
    post.publish("kept.a", now=30.0)
    assert post.shared.timers.next() == 60.0
    post.shared.timers.run(60.0)
    assert post.broker.bytes == post.shared.held == 120 + len(b'"offset":2,"data":0')
    assert post.shared.timers.next() == 90.0
    post.shared.timers.run(90.0)
    assert (post.shared.held, post.shared.timers.next()) == (0, None)
    assert list(post.broker.records) == ["kept.a"]


def test_a_topic_that_nobody_uses_is_forgotten_and_begins_another_epoch() -> None:
    post = Post(history_ttl=10.0)
    post.attach("plain.a", PLAIN)
    post.publish("plain.a", PLAIN, now=1.0)
    post.shared.timers.run(100.0)
    post.broker.detach(Detach("plain.a"), 100.0)
    post.publish("plain.a", PLAIN, now=105.0)
    post.shared.timers.run(110.0)
    assert post.attach("plain.a", PLAIN, at(1, 2), 111.0) == Attached(at(1, 2), [])
    post.broker.detach(Detach("plain.a"), 111.0)
    post.shared.timers.run(120.999)
    assert list(post.broker.records) == ["plain.a"]
    post.shared.timers.run(121.0)
    assert (post.broker.records, post.broker.idle, post.shared.timers.next()) == ({}, {}, None)
    assert post.attach("plain.a", PLAIN, at(1, 2), 122.0) == Attached(at(2, 0), None)


def test_a_topic_with_history_is_forgotten_when_that_is_too_old_and_nobody_has_read_it() -> None:
    post = Post()
    post.publish("kept.a", now=0.0)
    post.read("kept.a", now=1.0)
    post.shared.timers.run(60.0)
    assert list(post.broker.records) == ["kept.a"]
    post.shared.timers.run(61.0)
    assert (post.broker.records, post.shared.held, post.broker.with_history) == ({}, 0, {})


def test_there_are_no_more_topics_than_the_limit() -> None:
    post = Post(max_topics=2)
    post.attach("plain.a", PLAIN)
    post.publish("kept.b")
    post.publish("plain.c", PLAIN)  # the one that was used least recently makes room
    assert (list(post.broker.records), post.shared.held) == (["plain.a", "plain.c"], 0)
    post.attach("plain.c", PLAIN)
    assert post.publish("plain.d", PLAIN, sender=b"{}") == Full()
    assert post.attach("plain.d", PLAIN) == Full()
    assert post.publish("plain.a", PLAIN) == Accepted(at(1, 1), b'"offset":1,"data":0')


def test_what_the_service_publishes_finds_room() -> None:
    post = Post(max_topics=1)
    post.attach("plain.a", PLAIN)
    assert post.publish("kept.a") == Accepted(at(2, 1), b'"offset":1,"data":0')
    assert post.offsets("kept.a") == [1]
    post.publish("kept.b")
    assert list(post.broker.records) == ["plain.a", "kept.b"]


def test_topics_to_which_nothing_was_published_make_room_first() -> None:
    post = Post(max_topics=2)
    post.publish("kept.a")
    for topic in ("kept.b", "kept.c", "kept.d"):
        post.attach(topic)
        post.broker.detach(Detach(topic), 0.0)
    assert list(post.broker.records) == ["kept.a", "kept.d"]
    post.publish("kept.d", sender=b"{}")
    post.attach("kept.e")
    assert list(post.broker.records) == ["kept.d", "kept.e"]


def test_a_reader_of_a_topic_that_does_not_exist_makes_none() -> None:
    post = Post(max_topics=1)
    post.publish("kept.a")
    assert post.read("kept.b") == Page(at(2, 0), [])
    assert post.read("kept.b", since=at(2, 0)) == OtherEpoch()
    assert (list(post.broker.records), post.offsets("kept.a")) == (["kept.a"], [1])
    assert post.attach("kept.a", position=at(1, 1)) == Attached(at(1, 1), [])


@pytest.mark.parametrize(
    ("limit", "left"), [(277, ["kept.b"]), (278, ["kept.a", "kept.b"]), (279, ["kept.a", "kept.b"])]
)
def test_all_histories_together_have_no_more_bytes_than_the_limit(limit: int, left: list[str]) -> None:
    post = Post(max_history_bytes=limit)
    post.publish("kept.a")
    post.publish("kept.b")
    assert list(post.broker.with_history) == left
    assert post.broker.bytes == post.shared.held == 139 * len(left)


def test_a_publication_that_does_not_fit_alone_removes_only_its_own_topic() -> None:
    post = Post(max_history_bytes=300)
    post.publish("kept.a")
    post.publish("kept.b")
    post.publish("kept.b", data=b'"%b"' % (b"x" * 200))
    assert (post.offsets("kept.a"), post.offsets("kept.b")) == ([1], [])


def test_the_histories_that_were_published_to_least_recently_make_room() -> None:
    post = Post()
    for topic in ("kept.a", "kept.b", "kept.a"):
        post.publish(topic)
    post.broker.shed(140)
    assert (list(post.broker.with_history), post.offsets("kept.a")) == (["kept.a"], [2])
    post.broker.shed(1000)
    assert (post.broker.with_history, post.shared.held) == ({}, 0)


def test_a_publication_with_a_key_is_accepted_once() -> None:
    post = Post()
    assert post.publish("plain.a", PLAIN, b"1", key=("k",)) == Accepted(at(1, 1), b'"offset":1,"data":1')
    assert post.publish("plain.a", PLAIN, b"1", key=("k",)) == Accepted(at(1, 1), None)
    assert post.publish("plain.a", PLAIN, b"2", key=("k",)) == KeyTaken()
    assert post.publish("plain.a", PLAIN, b"2", key=("l",)) == Accepted(at(1, 2), b'"offset":2,"data":2')


def test_a_history_is_read_in_pages() -> None:
    post = Post(max_recovery=2)
    for _ in range(3):
        post.publish("kept.a")
    one, two, three = (b'{"offset":%d,"data":0}' % number for number in (1, 2, 3))

    def read(*arguments: Any, **named: Any) -> list[bytes]:
        page = post.read("kept.a", *arguments, **named)
        assert (type(page), page.position) == (Page, at(1, 3))
        return [bytes(each) for each in page.publications]

    assert read(1) == [one]
    assert read() == [one, two]
    assert read(since=at(1, 1)) == [two, three]
    assert read(reverse=True) == [three, two]
    assert read(since=at(1, 2), reverse=True) == [one]
    assert post.read("kept.a", since=at(2, 1)) == OtherEpoch()
    assert post.read("kept.none") == Page(at(2, 0), [])
