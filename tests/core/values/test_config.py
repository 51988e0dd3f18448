"""Config: what it refuses, at the limit and on both sides of it, and how it says so."""

from __future__ import annotations

import inspect
import pydoc
from typing import Any

import pytest
from msgspec import ValidationError, convert
from msgspec.structs import asdict, fields
from posthouse.adapters.invariants.documented import DEFAULTS
from posthouse.core.values.config import AT_MOST, MAY_BE_ZERO, OBSERVABLE, PROXY_HEADERS, Config
from posthouse.core.values.errors import UsageError

from tests.values import changeable

FIELDS = {field.name: field.type for field in fields(Config)}
WHOLE = [name for name, kind in FIELDS.items() if kind in (int, int | None)]
REAL = [name for name, kind in FIELDS.items() if kind in (float, float | None)]
OPTIONAL = [name for name, kind in FIELDS.items() if kind in (int | None, float | None)]


def accepted(name: str, value: Any) -> object:
    """The value of a field of a Config that was built with this value."""
    values: dict[str, Any] = {name: value}
    return getattr(Config(**values), name)


def refusal(**values: Any) -> str:
    """Why a Config of these values cannot be built."""
    with pytest.raises(UsageError) as caught:
        Config(**values)
    return str(caught.value)


def test_each_limit_has_the_default_that_is_documented() -> None:
    assert asdict(Config()) == DEFAULTS


def test_the_documentation_of_the_class_explains_each_limit() -> None:
    text = inspect.getdoc(Config) or ""
    assert text.startswith("The limits of one gateway and its codecs.")
    assert "\n  max_headers = 100: header lines\n      431 and close\n" in text
    assert max(map(len, text.splitlines())) <= 120
    shown = pydoc.plain(pydoc.render_doc("posthouse.core.Config"))
    assert " |    call_timeout = 30: seconds" in shown


def test_the_defaults_are_valid() -> None:
    assert Config() == Config.from_mapping({})


def test_a_config_takes_its_limits_by_name_and_refuses_unknown_names() -> None:
    build: Any = Config
    with pytest.raises(TypeError, match="positional"):
        build(1)
    with pytest.raises(ValidationError, match="unknown field `max`"):
        convert({"max": 1}, Config)


def test_a_config_cannot_change() -> None:
    config: Any = Config()
    with pytest.raises(AttributeError):
        config.max_batch = 1


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_has_a_least_value(name: str) -> None:
    least = 0 if name in MAY_BE_ZERO else 1
    for value in (least, least + 1):
        assert accepted(name, value) == value
    bound = "at least" if name in MAY_BE_ZERO else "above"
    assert refusal(**{name: least - 1}) == f"{name} is {least - 1}: it must be {bound} 0"


@pytest.mark.parametrize("name", REAL)
def test_a_number_of_seconds_or_a_rate_must_be_above_0_or_may_be_0(name: str) -> None:
    assert accepted(name, 0.001) == 0.001
    if name in MAY_BE_ZERO:
        assert accepted(name, 0.0) == 0
        assert refusal(**{name: -0.001}) == f"{name} is -0.001: it must be at least 0"
    else:
        assert refusal(**{name: 0.0}) == f"{name} is 0.0: it must be above 0"
    assert accepted(name, 2) == 2


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_has_a_greatest_value(name: str) -> None:
    most = AT_MOST.get(name, 2**53)
    for value in (most - 1, most):
        assert accepted(name, value) == value
    assert refusal(**{name: most + 1}) == f"{name} is {most + 1}: it must be at most {most}"


@pytest.mark.parametrize("name", REAL)
def test_a_number_must_be_finite(name: str) -> None:
    assert refusal(**{name: float("inf")}) == f"{name} is inf: it must be at most {2**53}"
    assert refusal(**{name: float("nan")}).startswith(f"{name} is nan: it must be ")


@pytest.mark.parametrize("name", FIELDS)
def test_none_turns_off_optional_limits_only(name: str) -> None:
    if name in OPTIONAL:
        assert accepted(name, None) is None
    else:
        assert refusal(**{name: None}).startswith(f"{name} is None: it must be ")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_batch", 1.0, "a whole number"),
        ("max_batch", True, "a whole number"),
        ("max_batch", "1", "a whole number"),
        ("max_bad_messages", 2.5, "a whole number"),
        ("head_timeout", "5", "a number"),
        ("head_timeout", False, "a number"),
        ("allow_chunked", 1, "true or false"),
        ("observe", "call_rate", "a tuple of names"),
        ("trust_proxies", "10.0.0.1", "a tuple of names"),
        ("proxy_headers", 1, "a text"),
        ("trust_forwarded_host", 1, "true or false"),
        ("observe", ["call_rate"], "a tuple of names"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: object, expected: str) -> None:
    assert refusal(**{name: value}) == f"{name} is {value!r}: it must be {expected}"


@pytest.mark.parametrize("name", OBSERVABLE)
def test_limits_of_policy_can_be_observed(name: str) -> None:
    assert Config(observe=(name,)).observe == (name,)


@pytest.mark.parametrize("name", ["max_message_bytes", "max_depth", "nothing", ""])
def test_limits_that_guard_memory_or_a_parser_cannot_be_observed(name: str) -> None:
    assert refusal(observe=("call_rate", name)).startswith(f"observe contains {name!r}: only limits of policy")


@pytest.mark.parametrize(
    "proxies", [(), ("127.0.0.1",), ("::1", "10.0.0.0/8"), ("unix", "fd00::/8"), ("10.1.2.3/8",), ("0.0.0.0/0",)]
)
def test_proxies_are_trusted_by_address_by_network_or_as_peers_of_unix_sockets(proxies: tuple[str, ...]) -> None:
    assert Config(trust_proxies=proxies).trust_proxies == proxies
    assert Config.from_mapping({"trust_proxies": list(proxies)}) == Config(trust_proxies=proxies)


@pytest.mark.parametrize(
    "proxy",
    ["", "10.0.0.0/33", "10.0.0", "10.0.0.0/8/8", "::1/129", "proxy.example", "Unix", "*", "10.0.0.1-9", " ::1"],
)
def test_what_is_no_network_cannot_be_trusted(proxy: str) -> None:
    assert refusal(trust_proxies=("10.0.0.1", proxy)) == (
        f"trust_proxies contains {proxy!r}: give a network such as 10.0.0.0/8 or fd00::/8, an IP address, or unix for "
        "the peers of a unix socket"
    )


def test_there_are_two_families_of_headers_of_proxies() -> None:
    assert [Config(proxy_headers=family).proxy_headers for family in PROXY_HEADERS] == ["x-forwarded", "forwarded"]
    assert refusal(proxy_headers="via") == "proxy_headers is 'via': it must be x-forwarded or forwarded"


def test_every_name_in_the_tables_of_config_is_a_field() -> None:
    assert set(OBSERVABLE) | set(MAY_BE_ZERO) | set(AT_MOST) <= set(FIELDS)


def test_a_mapping_is_read_with_the_types_of_a_file() -> None:
    config = Config.from_mapping({"max_batch": 5, "head_timeout": 2, "observe": ["call_rate"], "allow_chunked": False})
    assert config == Config(max_batch=5, head_timeout=2.0, observe=("call_rate",), allow_chunked=False)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("max_batches", "max_batch"),
        ("max-depth", "max_depth"),
        ("heartbeat", "heartbeat_timeout"),
        ("drain_graze", "drain_grace"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(name: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config.from_mapping({name: 1})
    assert str(caught.value) == f"unknown setting {name!r}: did you mean {nearest!r}?"


@pytest.mark.parametrize("name", ["", "völlig fremd", "observed"])
def test_any_unknown_key_is_refused_with_a_suggestion(name: str) -> None:
    with pytest.raises(UsageError, match="did you mean"):
        Config.from_mapping({name: 1})


def test_a_mapping_with_a_value_of_another_type_is_refused_with_its_path() -> None:
    with pytest.raises(UsageError) as caught:
        Config.from_mapping({"max_batch": "many"})
    assert str(caught.value) == "max_batch: expected int, got str"
    with pytest.raises(UsageError) as caught:
        Config.from_mapping({"observe": [1]})
    assert str(caught.value) == "observe[0]: expected str, got int"


def test_a_mapping_with_an_invalid_value_is_refused() -> None:
    with pytest.raises(UsageError, match="max_batch is 0: it must be above 0"):
        Config.from_mapping({"max_batch": 0})


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.values.config") == []


@pytest.mark.parametrize("bounds", [(0.5,), (1, 2.5), tuple(range(1, 51))])
def test_the_bounds_of_times_ascend(bounds: tuple[float, ...]) -> None:
    assert Config(latency_buckets=bounds).latency_buckets == bounds


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ((), "latency_buckets has 0 bounds: give 1 to 50"),
        (tuple(range(1, 52)), "latency_buckets has 51 bounds: give 1 to 50"),
        ((0.0,), "latency_buckets contains 0.0: give seconds above 0, each above the one before"),
        ((1.0, 1.0), "latency_buckets contains 1.0: give seconds"),
        ((1.0, float("inf")), "latency_buckets contains inf: give seconds"),
        ((1.0, float("nan")), "latency_buckets contains nan: give seconds"),
        (("1",), "latency_buckets contains '1': give seconds"),
        ([1.0], "latency_buckets is [1.0]: it must be a tuple of seconds"),
    ],
)
def test_other_bounds_are_refused(bounds: Any, reason: str) -> None:
    assert refusal(latency_buckets=bounds).startswith(reason)


def test_the_bounds_of_times_are_read_from_a_file() -> None:
    assert Config.from_mapping({"latency_buckets": [1, 2.5]}).latency_buckets == (1.0, 2.5)
