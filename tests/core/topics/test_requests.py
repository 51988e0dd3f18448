"""What a broker is asked for, and what it answers: values."""

from __future__ import annotations

from posthouse.core.service.topics.position import Position
from posthouse.core.service.topics.rules import Rule
from posthouse.core.topics.broker import LocalBroker
from posthouse.core.topics.requests import Accepted, Broker, Publish

from tests.core.world import shared


def test_the_broker_of_this_process_is_a_broker() -> None:
    broker: Broker = LocalBroker(shared())
    request = Publish("news", Rule.of("news", public=True), b"1")
    assert broker.publish(request, 0.0) == Accepted(Position("0" * 16, 1), b'"offset":1,"data":1')
