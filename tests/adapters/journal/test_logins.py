"""Credentials in texts that log in are replaced, of every type of JSON."""

from __future__ import annotations

from hashlib import shake_256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json
from posthouse.adapters.journal.logins import Hide, hide_logins


def hide(secret: str) -> str:
    return shake_256(secret.encode("utf-8", "surrogatepass")).hexdigest(len(secret))[: len(secret)]


HIDE = Hide(hide, lambda secret: "other")


def hidden(credentials: Any) -> Any:
    """The credentials of a log-in, as a journal has them."""
    text = json.encode({"method": "auth.login", "params": {"method": "otp", "given": credentials}})
    params = json.decode(hide_logins(text, HIDE))["params"]
    assert params["method"] == "otp"
    return params["given"]


@given(st.integers(10**5, 2**63))
def test_a_number_is_replaced_by_another_with_as_many_digits(number: int) -> None:
    for given_number in (number, -number if number < 2**63 else number):
        other = hidden(given_number)
        assert isinstance(other, int)
        assert len(str(other)) == len(str(given_number))
        assert (other < 0) is (given_number < 0)
    assert hidden(123456) != 123456


@pytest.mark.parametrize("number", [0, 7, -3, 1.5, 1e308, -1e-300, 10**30])
def test_every_number_can_be_replaced(number: float) -> None:
    assert isinstance(hidden([{"code": number}])[0]["code"], int | float)


@pytest.mark.parametrize("constant", [True, False, None])
def test_constants_stay(constant: Any) -> None:
    assert hidden([constant]) == [constant]


def test_a_text_with_a_number_that_python_does_not_convert_is_replaced_as_a_whole() -> None:
    text = b'{"method":"auth.login","params":{"code":%b}}' % (b"9" * 5000)
    assert hide_logins(text, HIDE) == b"x" * len(text)


RESUMED = {"session": "one", "secret": "canary", "replaces": "two"}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (RESUMED, {**RESUMED, "secret": "other"}),
        (["one", "canary", "two"], ["one", "other", "two"]),
        ({"session": "one", "secret": ["canary"]}, {"session": "one", "secret": [hide("canary")]}),
        ({"seccret": "canary"}, {"seccret": "other"}),
        ("canary", hide("canary")),
    ],
)
def test_the_secret_of_a_session_is_replaced_where_it_is_resumed(params: Any, expected: Any) -> None:
    text = json.encode({"method": "session.resume", "params": params})
    assert json.decode(hide_logins(text, HIDE)) == {"method": "session.resume", "params": expected}
    assert json.decode(hide_logins(b"[%b]" % text, HIDE)) == [{"method": "session.resume", "params": expected}]


def test_other_methods_of_sessions_stay() -> None:
    text = b'{"method":"session.update","params":{"set":{"secret":"mine"}}}'
    assert hide_logins(text, HIDE) == text


@pytest.mark.parametrize(
    ("method", "params", "kept"),
    [
        ("user.register", {"user": "ada", "password": "pw", "profile": {"email": "x"}}, ["user", "profile"]),
        ("user.register", ["ada", "pw", {"email": "x"}], [0, 2]),
        ("user.password", {"old": "pw", "new": "pw2", "user": "ada"}, ["user"]),
        ("user.password", ["pw", "pw2", "ada"], [2]),
        ("user.remove", {"password": "pw", "user": "ada"}, ["user"]),
        ("user.remove", ["pw", "ada"], [1]),
    ],
)
def test_passwords_of_users_are_replaced_and_their_names_are_not(method: str, params: Any, kept: list[Any]) -> None:
    text = json.encode({"method": method, "params": params})
    other = json.decode(hide_logins(text, HIDE))["params"]
    places = list(params) if isinstance(params, dict) else list(range(len(params)))
    assert [place for place in places if other[place] == params[place]] == kept
    assert len(other) == len(params)


@pytest.mark.parametrize("text", [b'{"method":7,"params":["user.register"]}', b'{"params":["user.register"]}'])
def test_a_text_without_the_name_of_such_a_method_stays(text: bytes) -> None:
    assert hide_logins(text, HIDE) == text
