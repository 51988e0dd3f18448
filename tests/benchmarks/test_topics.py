"""What topics cost, as a command measures it: within their limits."""

from __future__ import annotations

import pytest

from benchmarks.topics import main, spread_seconds, subscription_bytes, topic_bytes


@pytest.mark.parametrize("each", [1, 3])
def test_a_subscription_takes_at_most_300_bytes(each: int) -> None:
    assert 0 < subscription_bytes(each, 500) <= 300


def test_a_topic_without_history_takes_at_most_one_kib() -> None:
    assert 0 < topic_bytes(500) <= 1024


def test_a_publication_costs_as_a_broadcast_does() -> None:
    broadcast, plain, kept = spread_seconds(1_000)
    assert max(plain, kept) < 3 * broadcast  # 1.1 on a quiet machine


def test_the_command_prints_all_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--subscribers", "10"]) == 0
    printed = capsys.readouterr().out
    assert "a subscription, 1 a connection: " in printed
    assert "a topic without history: " in printed
    assert "to 10: a broadcast " in printed
