"""Keys: each with the one algorithm that it is for. A document from outside may hold anything."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.adapters.authenticators.keys.key import Unusable, read_keys

from tests.adapters.authenticators.signed import SECRET, jwk, jwks, pem, private_pem


def found(data: bytes, *, secrets: bool = True, algorithm: str = "RS256") -> list[tuple[str | None, str]]:
    return [(key.kid, key.algorithm) for key in read_keys(data, algorithm, secrets=secrets)]


def secret(size: int, **members: Any) -> dict[str, Any]:
    return {"kty": "oct", "k": base64.urlsafe_b64encode(bytes(size)).decode().rstrip("="), **members}


def test_a_document_is_pem_or_a_key_or_a_set_of_keys() -> None:
    assert found(pem()) == [(None, "RS256")]
    assert found(pem(), algorithm="PS256") == [(None, "PS256")]
    several = b"\n".join(map(pem, ("p256", "p384", "p521", "ed25519", "rsa")))
    assert found(several) == [(None, name) for name in ("ES256", "ES384", "ES512", "EdDSA", "RS256")]
    assert found(json.dumps(jwk("ed25519", kid="a")).encode()) == [("a", "EdDSA")]
    assert found(jwks(jwk(kid="a", alg="PS512", use="sig"), jwk("p384"))) == [("a", "PS512"), (None, "ES384")]


def test_keys_of_a_set_that_cannot_be_used_are_passed_over() -> None:
    keys: tuple[dict[str, Any], ...] = (
        jwk(use="enc"),
        jwk(kid=7),
        jwk("small"),
        jwk("k256"),
        jwk(alg="none"),
        jwk(alg="HS256"),
        jwk("p256", alg="ES384"),
        jwk(alg=["RS256"]),
        {"kty": "RSA", "n": "", "e": "AQAB"},
        {"kty": "EC", "crv": ["P-256"]},
        {"kty": "new"},
        {},
        secret(31),
        secret(63, alg="HS512"),
        secret(64, alg="RS256"),
    )
    assert found(jwks(*keys, jwk(kid="good"))) == [("good", "RS256")]


@pytest.mark.parametrize(("size", "algorithm"), [(32, "HS256"), (48, "HS384"), (64, "HS512")])
def test_a_secret_is_a_key_only_in_a_private_document_and_only_if_it_is_long(size: int, algorithm: str) -> None:
    def document(size: int) -> bytes:
        return json.dumps(secret(size, alg=algorithm)).encode()

    assert found(document(size)) == found(document(size + 1)) == [(None, algorithm)]
    with pytest.raises(Unusable, match=f"a key for {algorithm} has less than {size} bytes"):
        found(document(size - 1))
    with pytest.raises(Unusable, match="a key for HMAC stands in a document that everyone can read"):
        found(document(size), secrets=False)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "it is neither PEM nor a JSON Web Key Set"),
        (b"\xff", "it is neither PEM nor a JSON Web Key Set"),
        (b"[" * 5000, "it is neither PEM nor a JSON Web Key Set"),
        (b"[]", "it is neither PEM nor a JSON Web Key Set"),
        (b'{"keys": {}}', "its member keys is not a list of keys"),
        (b'{"keys": [1]}', "its member keys is not a list of keys"),
        (b'{"keys": []}', "it has no usable key: it has no keys"),
        (b"{}", "a key has a type, a curve or an alg that is not supported"),
        (b"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", "it is not a public key in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "it is not a public key in PEM"),
        (
            private_pem(),
            "it has a private key, which only the issuer needs: write the public one, openssl pkey -pubout",
        ),
        (pem("small"), "an RSA key has less than 2048 bits"),
        (pem("k256"), "its kind of key is not supported"),
    ],
)
def test_a_document_without_a_usable_key_says_why(data: bytes, fault: str) -> None:
    with pytest.raises(Unusable) as raised:
        found(data)
    assert str(raised.value) == fault


def test_a_private_member_of_a_key_is_not_read() -> None:
    (key,) = read_keys(json.dumps(jwk("p256", d="AAAA")).encode(), "RS256", secrets=False)
    assert not hasattr(key.key, "private_numbers")


def test_a_key_does_not_show_itself() -> None:
    document = json.dumps({"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).decode(), "kid": "a"}).encode()
    (key,) = read_keys(document, "RS256", secrets=True)
    assert key.key == SECRET
    assert repr(key) == "Key('a', 'HS256', <hidden>)"


def test_no_more_keys_are_taken_than_the_limit() -> None:
    for count, taken in ((99, 99), (100, 100), (101, 100)):
        assert len(found(jwks(*[jwk("ed25519", kid=str(number)) for number in range(count)]))) == taken


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)
members = st.dictionaries(
    st.sampled_from(["kty", "kid", "alg", "use", "crv", "x", "y", "n", "e", "k"]),
    anything | st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "RS256", "none", "AQAB"]),
)


@given(st.binary(max_size=200) | members.map(lambda key: json.dumps({"keys": [key]}).encode()))
def test_any_document_has_keys_or_says_why_not(data: bytes) -> None:
    try:
        read_keys(data, "RS256", secrets=True)
    except Unusable as error:
        assert str(error)
