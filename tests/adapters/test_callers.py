"""The warning about methods that nobody can call: from the declarations, and from who can come."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from posthouse.adapters.authenticators import StaticTokens
from posthouse.adapters.callers import possible_callers, warning
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.peers import ALL_SCOPES, ANONYMOUS, Identity

from tests.adapters.loopback import serving

PLAIN = Service("plain")

EVERYTHING = Identity(scopes=(ALL_SCOPES,))
REMEDY = (
    "this server cannot authenticate callers. To identify them, use --tokens FILE or declare an authenticator "
    "(@service.authenticator); to open the methods to everyone, declare public=True on the service or on each method, "
    "without scopes; for development, use --dev (in code, dev=True)"
)


def closed(*public: str, scopes: tuple[str, ...] = ()) -> Service:
    service = Service("vault")
    for name in ("open", "shut"):
        service.method(name, public=name in public, scopes=scopes)(lambda: None)
    return service


def test_a_service_that_anybody_can_call_has_no_warning() -> None:
    assert warning(closed("open", "shut"), possible_callers(PLAIN)) is None
    assert warning(Service("empty"), possible_callers(PLAIN)) is None


def test_one_sentence_stands_for_all_methods() -> None:
    everything = "no caller can call any method of service vault: they need"
    found = warning(closed(), possible_callers(PLAIN))
    assert (str(found), found and found.methods) == (f"{everything} an authenticated caller, and {REMEDY}", None)
    assert (
        str(warning(closed(scopes=("b", "a")), possible_callers(PLAIN)))
        == f"{everything} the scope a and b, and {REMEDY}"
    )
    mixed = closed()
    mixed.method("other", public=True, scopes={"a"})(lambda: None)
    text = f"{everything} an authenticated caller or scopes, and {REMEDY}"
    assert str(warning(mixed, possible_callers(PLAIN))) == text


def test_a_scope_may_have_braces_in_its_name() -> None:
    found = warning(closed(scopes=("{tenant}",)), possible_callers(PLAIN))
    assert str(found) == (
        f"no caller can call any method of service vault: they need the scope {{tenant}}, and {REMEDY}"
    )


def test_some_methods_are_named() -> None:
    found = warning(closed("open"), possible_callers(PLAIN))
    assert str(found) == f"no caller can call shut (needs an authenticated caller) of service vault: {REMEDY}"


def test_of_many_methods_the_first_are_named() -> None:
    service = closed("open", "shut")
    for number in range(7):
        service.method(f"m{number}", scopes={"a"})(lambda: None)
    found = warning(service, possible_callers(PLAIN))
    assert found is not None
    assert found.methods == f"{', '.join(f'm{number} (needs the scope a)' for number in range(5))} and 2 more"


def test_what_one_caller_may_call_is_not_warned_about() -> None:
    service = closed()
    assert possible_callers(PLAIN) == (ANONYMOUS,)
    assert warning(service, possible_callers(PLAIN, identity=EVERYTHING)) is None
    assert possible_callers(PLAIN, sockets=False, pipes=True, pipe_identity=EVERYTHING) == (EVERYTHING,)
    assert warning(service, possible_callers(PLAIN, pipes=True, pipe_identity=Identity("ada"))) is None
    assert warning(service, possible_callers(PLAIN, sockets=False, pipes=True)) is not None


@pytest.mark.anyio
async def test_a_server_warns_when_it_starts_and_says_where_it_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    async with serving(closed("open")) as server:
        pass
    records = [vars(record) for record in caplog.records if record.name == "posthouse"]
    assert [(record["event"], record["levelname"]) for record in records] == [
        ("methods.uncallable", "WARNING"),
        ("server.listening", "INFO"),
        ("server.stopped", "INFO"),
    ]
    assert records[0]["fields"] == {"service": "vault", "methods": "shut (needs an authenticated caller)"}
    assert records[1]["message"] == f"listening on {server.bound[0].url}"
    assert records[2]["message"] == "stopped without a shut-down: 0 connections were cut"


def test_a_service_with_an_authenticator_can_have_any_caller_over_sockets_but_not_over_pipes() -> None:
    service = closed(scopes=("a",))

    @service.authenticator("bearer")
    def bearer(credentials: Bearer) -> Identity | None:
        raise NotImplementedError

    assert warning(service, possible_callers(service)) is None
    assert warning(service, possible_callers(service, sockets=False, pipes=True)) is not None


def test_the_users_of_a_file_have_no_other_scopes_than_the_file_gives_them(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text("")
    entry = f"[[token]]\nsha256 = '{'0' * 64}'\nuser = 'ada'\n"
    service = closed("open", scopes=("a",))
    service.method("private")(lambda: None)
    tokens = StaticTokens(file)
    tokens.declare(service)
    users = (
        "no user in the files of its authenticators may: add an entry for one, or scopes to an entry, such as "
        'scopes = ["write"]'
    )
    for text, methods in (
        ("", "any method of service vault: they need an authenticated caller or scopes, and"),
        (entry, "open (needs the scope a), shut (needs the scope a) of service vault:"),
        (f"{entry}scopes = ['b']", "open (needs the scope a), shut (needs the scope a) of service vault:"),
    ):
        file.write_text(text)
        tokens.prepare(Config())
        assert str(warning(service, possible_callers(service))) == f"no caller can call {methods} {users}"
    for scope in ("a", "*"):
        file.write_text(f"{entry}scopes = ['{scope}']")
        tokens.prepare(Config())
        assert warning(service, possible_callers(service)) is None
