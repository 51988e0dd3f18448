"""The text of `/metrics`, read by the parser of prometheus-client."""

from __future__ import annotations

import pytest
from posthouse.adapters.metrics.exposition import Exposition
from posthouse.core.values.stats import Durations, Measurements
from prometheus_client.parser import text_string_to_metric_families

ABOUT: dict[str, str | float] = {"version": "1.2.3", "started_at": 5.0}


def measured(made: int = 3) -> Measurements:
    counters = {"calls.made": made, "calls.results": 2, "calls.errors": 1, "errors.-32602": 1, "connections.open": 7}
    calls = [("shop.price", "result", Durations([1, 1, 0], 0.6)), ("shop.price", "error", Durations([0, 0, 1], 9.0))]
    operations = [("store", "Done", Durations([4, 0, 0], 0.25))]
    return Measurements(counters, (0.1, 1.0), calls, operations, {"max_calls": 9}, {"max_calls": 10})


def samples(exposition: Exposition, values: Measurements) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples by name, with the values of their labels in the order of the labels' names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(exposition(values).decode()):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), "a sample occurs twice"
            found[sample.name][labels] = sample.value
    return found


def test_a_server_tells_counters_times_and_levels() -> None:
    assert samples(Exposition(ABOUT), measured()) == {
        "posthouse_build_info": {("1.2.3",): 1.0},
        "posthouse_start_time_seconds": {(): 5.0},
        "posthouse_calls_made_total": {(): 3.0},
        "posthouse_calls_total": {("result",): 2.0, ("error",): 1.0},
        "posthouse_errors_total": {("-32602",): 1.0},
        "posthouse_call_seconds_bucket": {
            ("0.1", "shop.price", "result"): 1.0,
            ("1.0", "shop.price", "result"): 2.0,
            ("+Inf", "shop.price", "result"): 2.0,
            ("0.1", "shop.price", "error"): 0.0,
            ("1.0", "shop.price", "error"): 0.0,
            ("+Inf", "shop.price", "error"): 1.0,
        },
        "posthouse_call_seconds_count": {("shop.price", "result"): 2.0, ("shop.price", "error"): 1.0},
        "posthouse_call_seconds_sum": {("shop.price", "result"): 0.6, ("shop.price", "error"): 9.0},
        "posthouse_operation_seconds_bucket": {
            ("store", "0.1", "done"): 4.0,
            ("store", "1.0", "done"): 4.0,
            ("store", "+Inf", "done"): 4.0,
        },
        "posthouse_operation_seconds_count": {("store", "done"): 4.0},
        "posthouse_operation_seconds_sum": {("store", "done"): 0.25},
        "posthouse_limit_highest": {("max_calls",): 9.0},
        "posthouse_limit": {("max_calls",): 10.0},
    }


def test_a_worker_tells_of_all_workers_each_with_its_label() -> None:
    exposition = Exposition(ABOUT)
    exposition.place, exposition.others = 1, {0: measured(5), 1: measured(8)}
    found = samples(exposition, measured(9))
    assert found["posthouse_calls_made_total"] == {("0",): 5.0, ("1",): 9.0}
    assert found["posthouse_limit"] == {("max_calls", "0"): 10.0, ("max_calls", "1"): 10.0}
    assert found["posthouse_build_info"] == {("1.2.3",): 1.0}
    assert ("shop.price", "result", "0") in found["posthouse_call_seconds_count"]


@pytest.mark.parametrize("method", ['"', "\\", "a\nb", "é{}"])
def test_any_name_of_a_method_is_escaped(method: str) -> None:
    values = Measurements({}, (1.0,), [(method, "result", Durations([1, 0], 0.5))], [], {}, {})
    assert (method, "result") in samples(Exposition(ABOUT), values)["posthouse_call_seconds_count"]
