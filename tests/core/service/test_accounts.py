"""What a service declares about users that its store keeps."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct
from posthouse.core.service.accounts import Accounts
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError

from tests.values import changeable


class Profile(Struct):
    """A profile."""

    email: str


def test_a_service_has_no_users_by_default() -> None:
    service = Service("s")
    assert service.accounts == Accounts(users=False, registration="off", profile=None, sessions="off")
    assert service.authenticators == {}


def test_open_registration_implies_users() -> None:
    assert Service("s", registration="open").accounts == Accounts(True, "open")
    assert Service("s", users=True, profile=Profile).accounts == Accounts(True, "off", Profile)


def test_users_log_in_with_passwords_and_tokens() -> None:
    passwords, tokens = Service("s", users=True).authenticators.values()
    assert (passwords.name, passwords.scheme, passwords.takes, passwords.namespace) == ("users", "basic", Basic, "")
    assert (tokens.name, tokens.scheme, tokens.takes, tokens.namespace) == ("tokens", "bearer", Bearer, "")
    assert [each.hashing for each in (passwords, tokens)] == [True, False]
    assert passwords.stored and tokens.stored
    with pytest.raises(UsageError, match="the gateway asks its store about these credentials"):
        passwords.function(Basic("ada", "pw"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"users": 1}, "users is 1, but must be True or False"),
        ({"registration": "closed"}, "registration is 'closed', but must be 'off' or 'open'"),
        ({"profile": Profile}, "profile needs users: declare the service with users=True"),
        ({"users": True, "profile": 7}, "profile has the type 7, which JSON cannot carry"),
    ],
)
def test_a_wrong_declaration_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Service("s", **options)


def test_another_authenticator_names_another_namespace() -> None:
    service = Service("s", users=True)
    with pytest.raises(UsageError, match="have no namespace: give one to each"):

        @service.authenticator("bearer", name="idp")
        def nowhere(credentials: Bearer) -> None: ...

    @service.authenticator("bearer", name="idp", namespace="idp")
    def somewhere(credentials: Bearer) -> None: ...

    assert list(service.authenticators) == ["users", "tokens", "idp"]


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.service.accounts") == []


@pytest.mark.parametrize("choice", ["off", "on", "login"])
def test_a_service_says_whether_its_clients_have_sessions(choice: Any) -> None:
    assert Accounts.of(sessions=choice) == Accounts(sessions=choice)
    assert Accounts.of() == Accounts(sessions="off")
    assert Accounts.of(sessions=choice).stored is (choice != "off")
    assert Accounts.of(users=True).stored


@pytest.mark.parametrize("choice", [True, None, "of", ["on"]])
def test_anything_else_says_nothing(choice: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Accounts.of(sessions=choice)
    assert str(caught.value) == f"sessions is {choice!r}, but must be 'off', 'on' or 'login'"
