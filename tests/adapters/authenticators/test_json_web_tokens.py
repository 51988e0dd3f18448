"""Tokens of an identity provider: each that is wrong in any way is refused, with a reason that has nothing of it."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from posthouse.adapters.authenticators import Claims, JsonWebTokens
from posthouse.core.identity.revocations import Revocations
from posthouse.core.operations.operations import Refused
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

from tests.core.world import shared

from .signed import AUDIENCE, ISSUER, NOW, SECRET, jwk, jwks, pem, signed
from .wrong import WRONG, part

ANY = Claims(issuer=None, audience=None)
ADA = Identity("ada", ("read", "write"), NOW + 90, issued_at=NOW - 5)


def wall() -> float:
    return NOW


def of(file: Path, data: bytes, **options: Any) -> JsonWebTokens:
    file.write_bytes(data)
    algorithm = options.pop("algorithm", "RS256")
    chosen: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, **options}
    return JsonWebTokens(file, Claims(**chosen), algorithm=algorithm, wall=wall)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> JsonWebTokens:
    return of(tmp_path_factory.mktemp("keys") / "key.pem", pem())


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("rsa", "RS256"), ("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("ed25519", "EdDSA")],
)
def test_a_token_that_a_key_has_signed_is_accepted(tmp_path: Path, name: str, algorithm: str) -> None:
    file = tmp_path / "keys"
    for data in (pem(name), json.dumps(jwk(name)).encode(), jwks(jwk(name, kid="1"), jwk("p256 other", kid="2"))):
        tokens = of(file, data)
        assert tokens(Bearer(signed(name, algorithm, head={"kid": "1"}))) == ADA
        assert tokens(Bearer(signed(name, algorithm))) == ADA


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_an_rsa_key_has_the_algorithm_that_it_or_the_service_names_and_no_other(tmp_path: Path, algorithm: str) -> None:
    token = Bearer(signed("rsa", algorithm))
    assert of(tmp_path / "a", json.dumps(jwk(alg=algorithm)).encode())(token) == ADA
    assert of(tmp_path / "b", pem(), algorithm=algorithm)(token) == ADA
    assert of(tmp_path / "c", pem())(token) == Refused("its algorithm is not that of the key")


def test_a_secret_in_a_private_file_may_be_a_key(tmp_path: Path) -> None:
    key = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).decode().rstrip("=")}
    tokens = of(tmp_path / "key", json.dumps(key).encode())
    assert tokens(Bearer(signed("secret", "HS256"))) == ADA
    assert tokens(Bearer(signed())) == Refused("its algorithm is not that of the key")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_that_is_wrong_is_refused_and_says_why(tokens: JsonWebTokens, wrong: str) -> None:
    make, reason = WRONG[wrong]
    assert tokens(Bearer(make())) == Refused(reason)


def test_after_a_revocation_with_a_time_a_token_that_does_not_say_when_it_was_made_is_refused(tmp_path: Path) -> None:
    tokens = of(tmp_path / "key.pem", pem())
    revocations = Revocations(shared())
    revocations.add(("", "ada"), NOW - 10, 0.0)
    refused = {}
    for iat in (None, NOW - 11, NOW - 5):
        identity = tokens(Bearer(signed(iat=iat)))
        assert isinstance(identity, Identity)
        refused[iat] = revocations.refuses(identity, revocations.generation)
    assert refused == {None: True, NOW - 11: True, NOW - 5: False}


def test_the_identity_of_an_expired_token_has_expired_if_the_rest_is_right(tokens: JsonWebTokens) -> None:
    assert tokens(Bearer(signed(exp=NOW - 3600))) == replace(ADA, expires_at=NOW - 3570)
    for name in ("aud", "iss", "sub"):
        others: dict[str, Any] = {name: "", "exp": NOW - 3600}
        assert isinstance(tokens(Bearer(signed(**others))), Refused)


@pytest.mark.parametrize(
    ("others", "accepted"),
    [
        ({"nbf": NOW + 30}, True),
        ({"nbf": NOW + 30.5}, False),
        ({"iat": NOW + 30}, True),
        ({"iat": NOW + 30.5}, False),
        ({"aud": ["x", AUDIENCE]}, True),
        ({"exp": 2**53}, True),
    ],
)
def test_clocks_may_differ_by_the_leeway(tokens: JsonWebTokens, others: dict[str, Any], accepted: bool) -> None:
    assert isinstance(tokens(Bearer(signed(**others))), Identity) is accepted


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("read write", ("read", "write")),
        ("  read   ", ("read",)),
        ("", ()),
        (["b c", "a"], ("a", "b c")),
        ([], ()),
        (None, ()),
        ("* read", ("read",)),
        (["*"], ()),
    ],
)
def test_scopes_are_a_text_with_spaces_or_a_list_and_never_every_scope(
    tmp_path: Path, tokens: JsonWebTokens, scope: Any, scopes: tuple[str, ...]
) -> None:
    found = tokens(Bearer(signed(scope=scope)))
    assert isinstance(found, Identity)
    assert found.scopes == scopes
    named = of(tmp_path / "key", pem(), scopes="permissions")(Bearer(signed(permissions=scope)))
    assert isinstance(named, Identity)
    assert named.scopes == scopes


def test_claims_are_required_as_configured(tmp_path: Path) -> None:
    bare = Bearer(signed(iss=None, aud=None, exp=None, iat=None))
    lax = of(tmp_path / "key", pem(), issuer=None, audience=None, required=())
    assert lax(bare) == Identity("ada", ("read", "write"))
    assert of(tmp_path / "key", pem(), required=["jti"])(Bearer(signed())) == Refused("it has no jti")
    several = of(tmp_path / "key", pem(), audience=["other", AUDIENCE])
    assert several(Bearer(signed())) == ADA


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"issuer": ""}, "issuer and audience of Claims must not be empty"),
        ({"audience": ""}, "issuer and audience of Claims must not be empty"),
        ({"audience": []}, "issuer and audience of Claims must not be empty"),
        ({"required": "exp"}, r"required of Claims is a single string: give a list, \['exp'\]"),
        ({"scopes": ""}, "scopes of Claims is ''"),
        ({"leeway": -1}, "leeway of Claims is -1: it must be from 0 to 3600 seconds"),
        ({"leeway": 3601}, "leeway of Claims is 3601"),
        ({"algorithm": "HS256"}, "algorithm of JsonWebTokens is 'HS256': it must be one of RS256, RS384"),
    ],
)
def test_an_impossible_option_is_refused(tmp_path: Path, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        of(tmp_path / "key", pem(), **options)


def test_a_file_without_a_usable_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="key: it has no usable key: it has no keys"):
        of(tmp_path / "key", jwks())
    with pytest.raises(UsageError, match="other: it cannot be read: No such file or directory"):
        JsonWebTokens(tmp_path / "other", ANY)
    with pytest.raises(UsageError, match="key: it has more than 262144 bytes"):
        of(tmp_path / "key", b" " * 262_145)
    with pytest.raises(UsageError, match=r"'http://id\.example\.org/jwks' is not safe: keys are fetched over https"):
        JsonWebTokens("http://id.example.org/jwks", ANY)


def test_without_its_libraries_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str, package: Any = None) -> None:
        return None

    monkeypatch.setattr(sys.modules["posthouse.adapters.authenticators.ready_made"], "find_spec", nothing)
    with pytest.raises(UsageError, match=r"needs PyJWT and cryptography: run pip install 'posthouse\[jwt\]'$"):
        JsonWebTokens("key.pem", ANY)


def test_it_is_declared_in_one_line(tokens: JsonWebTokens) -> None:
    service = Service("private")
    tokens.declare(service, name="idp", namespace=ISSUER)
    (found,) = service.authenticators.values()
    assert (found.name, found.scheme, found.namespace, found.blocking) == ("idp", "bearer", ISSUER, False)
    assert tokens.identities() is None
    tokens.prepare(Config())


def test_a_token_without_a_kid_is_tried_with_a_few_keys_only(tmp_path: Path) -> None:
    others = [jwk("p256 other", kid=str(number)) for number in range(16)]
    token = Bearer(signed("p256", "ES256"))
    last = of(tmp_path / "key", jwks(*others[1:], jwk("p256", kid="last")))
    assert last(token) == ADA
    assert of(tmp_path / "key", jwks(*others, jwk("p256", kid="last")))(token) == Refused("its signature is wrong")


@settings(max_examples=300)
@given(token=st.text(max_size=200) | st.text("ey.JhbGciOiJ=-_", max_size=200))
def test_any_text_is_refused_without_an_exception(tokens: JsonWebTokens, token: str) -> None:
    found = tokens(Bearer(token))
    assert isinstance(found, Refused)
    assert len(found.why) < 60


heads = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5c"]),
    st.none() | st.text() | st.integers() | st.booleans(),
)
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@settings(max_examples=200)
@given(head=heads, body=st.binary(max_size=100), signature=st.binary(max_size=300))
def test_any_three_parts_are_refused_without_an_exception(
    tokens: JsonWebTokens, head: dict[str, Any], body: bytes, signature: bytes
) -> None:
    token = b".".join(map(part, (json.dumps(head).encode(), body, signature))).decode()
    assert isinstance(tokens(Bearer(token)), Refused)


@settings(max_examples=200, deadline=None)
@given(others=st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "sub", "scope", "x"]), values))
def test_any_claims_that_are_signed_give_an_identity_or_a_refusal(
    tokens: JsonWebTokens, others: dict[str, Any]
) -> None:
    found = tokens(Bearer(signed("rsa", "RS256", **others)))
    if isinstance(found, Refused):
        return
    assert isinstance(found, Identity)
    assert found.user == others.get("sub", "ada")
    assert found.expires_at == others.get("exp", NOW + 60) + 30
    assert others.get("iss", ISSUER) == ISSUER
    assert AUDIENCE in (others.get("aud") or [AUDIENCE])


@pytest.mark.anyio
async def test_a_key_without_a_name_that_was_replaced_is_read_again_after_a_minute(tmp_path: Path) -> None:
    clock = {"now": 0.0}
    tokens = of(tmp_path / "key.pem", pem())
    vars(tokens._store).update(_now=lambda: clock["now"], _begun=0.0)
    (tmp_path / "key.pem").write_bytes(pem("rsa other"))
    old, new = Bearer(signed()), Bearer(signed("rsa other", head={"kid": "any"}))
    clock["now"] = 59.9
    assert tokens(new) == Refused("its signature is wrong")
    clock["now"] = 60.0
    assert tokens(old) == ADA
    later = tokens(new)
    assert isinstance(later, Awaitable)
    assert await later == ADA
    assert tokens(new) == ADA
    assert tokens(old) == Refused("its signature is wrong")


@pytest.mark.anyio
async def test_a_key_that_was_withdrawn_in_a_quiet_time_verifies_nothing_ten_minutes_later(tmp_path: Path) -> None:
    clock = {"now": 0.0}
    tokens = of(tmp_path / "key.pem", pem())
    vars(tokens._store).update(_now=lambda: clock["now"], _begun=0.0, _read_at=0.0)
    (tmp_path / "key.pem").write_bytes(pem("rsa other"))
    clock["now"] = 599.9
    assert tokens(Bearer(signed())) == ADA
    clock["now"] = 600.0
    later = tokens(Bearer(signed()))
    assert isinstance(later, Awaitable)
    assert await later == Refused("its signature is wrong")


def test_the_environment_has_no_part_in_it(tokens: JsonWebTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    assert tokens(Bearer(signed())) == ADA
