"""The name of each counter in Prometheus' text."""

from __future__ import annotations

import re

from posthouse.adapters.metrics.names import BEGINNINGS, WHOLE, Named, named
from posthouse.core import Gateway, Service

NAME = re.compile(r"[a-z][a-z_]*")


def test_a_counter_is_known_by_its_name_or_by_its_beginning() -> None:
    calls = Named("calls", "counter", "Requests that named a method, by outcome", "outcome", "timed_out")
    assert named("calls.timed_out") == calls
    assert named("limit.max_calls.would_refuse") == Named(
        "limit_breaches", "counter", "Breaches of limits", "limit", "max_calls.would_refuse"
    )
    assert named("connections.open") is None


def test_a_counter_without_a_row_is_told_under_its_own_name() -> None:
    assert named("ships.lost") == Named("ships_lost", "counter", "The counter ships.lost")
    assert named("ships.open") == Named("ships_open", "gauge", "The counter ships.open")


def test_every_counter_of_a_new_gateway_has_a_row() -> None:
    gateway = Gateway(Service("new"), wall=0.0, entropy=bytes)
    beginnings = tuple(BEGINNINGS)
    assert [name for name in gateway.stats() if name not in WHOLE and not name.startswith(beginnings)] == []


def test_all_names_are_valid_and_each_metric_has_one_kind_and_one_label() -> None:
    rows = [row for row in (*WHOLE.values(), *BEGINNINGS.values()) if row is not None]
    assert all(NAME.fullmatch(row.metric) for row in rows)
    kinds = {(row.metric, row.kind, row.help, row.label) for row in rows}
    assert len({metric for metric, *_ in kinds}) == len(kinds)
