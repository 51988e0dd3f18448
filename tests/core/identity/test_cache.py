"""The cache of credentials: hashes alone, for a time, and no more than a limit."""

from __future__ import annotations

from hashlib import sha256

import pytest
from posthouse.core.identity.cache import CredentialCache
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity
from posthouse.core.values.shared import Shared

from .credentials import ADA, BOB, authenticated

(BEARER,) = authenticated().authenticators.values()
(OTHER,) = authenticated(("bearer", "other", "")).authenticators.values()
KEY = bytes(range(32))


def cache(**limits: object) -> CredentialCache:
    return CredentialCache(Shared(Config.from_mapping(limits), 1000.0, lambda size: KEY[:size]))


def test_a_token_is_found_by_its_hash_and_a_password_by_a_keyed_one() -> None:
    found = cache()
    assert found.digest(Bearer("secret")) == sha256(b"secret").digest()
    assert found.digest(Basic("ada", "pw")).hex() == (
        "6b129e9a76938ef2e09c69fa0616684485638f78f103cbe72ab7395eff8a3b2d"
    )
    assert found.digest(Basic("ada", "pw")) == found.digest(Basic("ada", "pw"))
    assert found.digest(Basic("ad", "apw")) != found.digest(Basic("ada", "pw"))
    assert len(found.digest(Bearer("\ud800"))) == 32


def test_verified_credentials_count_for_a_time_and_for_their_authenticator_alone() -> None:
    found = cache(credential_cache=60.0)
    found.keep(BEARER, b"x", ADA, 10.0)
    assert found.find(BEARER, b"x", 69.999) == ADA
    assert found.find(OTHER, b"x", 69.999) is None
    assert found.find(BEARER, b"y", 69.999) is None
    assert found.find(BEARER, b"x", 70.0) is None
    assert not found.records


def test_verified_credentials_count_no_longer_than_until_they_expire() -> None:
    found = cache()
    until = Identity("ada", expires_at=1020.0)
    found.keep(BEARER, b"x", until, 10.0)
    assert found.find(BEARER, b"x", 19.999) == until
    assert found.find(BEARER, b"x", 20.0) is None
    assert not found.records


@pytest.mark.parametrize(("most", "left"), [(1, [b"c"]), (2, [b"b", b"c"]), (3, [b"a", b"b", b"c"])])
def test_the_oldest_credentials_make_room(most: int, left: list[bytes]) -> None:
    found = cache(max_cached_credentials=most)
    for name in (b"a", b"b", b"c"):
        found.keep(BEARER, name, BOB, 0.0)
    assert [digest for _, digest in found.records] == left


def test_credentials_that_are_verified_again_are_the_newest() -> None:
    found = cache(max_cached_credentials=2)
    for name in (b"a", b"b", b"a", b"c"):
        found.keep(BEARER, name, BOB, 0.0)
    assert [digest for _, digest in found.records] == [b"a", b"c"]


def test_nothing_is_kept_if_the_cache_is_off() -> None:
    found = cache(credential_cache=0.0)
    found.keep(BEARER, b"x", ADA, 0.0)
    assert not found.records


def test_a_user_that_is_revoked_has_no_credentials_left_and_others_keep_theirs() -> None:
    found = cache(max_cached_credentials=3)
    found.keep(BEARER, b"x", ADA, 0.0)
    found.keep(BEARER, b"y", ADA, 0.0)
    found.keep(OTHER, b"z", BOB, 0.0)
    found.revoke(("", "ada"))
    found.revoke(("", "eve"))
    assert [found.find(BEARER, each, 1.0) for each in (b"x", b"y")] == [None, None]
    assert found.find(OTHER, b"z", 1.0) == BOB
    assert found.by_user == {("", "bob"): {("other", b"z"): None}}


def test_credentials_are_found_by_the_user_to_whom_they_belong_now() -> None:
    found = cache(max_cached_credentials=2)
    found.keep(BEARER, b"x", ADA, 0.0)
    found.keep(BEARER, b"x", BOB, 0.0)
    assert list(found.by_user) == [("", "bob")]
    found.keep(BEARER, b"y", ADA, 0.0)
    found.keep(BEARER, b"z", ADA, 0.0)
    assert found.by_user == {("", "ada"): {("bearer", b"y"): None, ("bearer", b"z"): None}}
    assert found.find(BEARER, b"y", 1e9) is None
    assert found.by_user == {("", "ada"): {("bearer", b"z"): None}}


def test_one_credential_or_all_of_an_authenticator_are_forgotten() -> None:
    found = cache()
    for authenticator, digest in ((BEARER, b"one"), (BEARER, b"two"), (OTHER, b"one")):
        found.keep(authenticator, digest, ADA, 0.0)
    found.forget("bearer", b"one")
    assert list(found.records) == [("bearer", b"two"), ("other", b"one")]
    found.forget("bearer", None)
    assert list(found.records) == [("other", b"one")]
    assert found.by_user == {("", "ada"): {("other", b"one"): None}}
