"""Keys: from PEM, a JWK or a JWK Set (RFC 7517) to a key with the one algorithm that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import DecodeError, Struct, ValidationError, json

MAX_KEYS: Final = 100
"""The most keys that are taken from one document."""

MIN_RSA_BITS: Final = 2048
"""RFC 7518 section 3.3: "A key of size 2048 bits or larger MUST be used"."""

MIN_SECRET_BYTES: Final[dict[str, int]] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""RFC 7518 section 3.2: "A key of the same size as the hash output […] or larger MUST be used"."""

RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
OF_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
OF_PEM_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


PUBLIC_MEMBERS: Final = ("kty", "crv", "n", "e", "x", "y", "k")
"""The members of a JWK that verify. A secret for HMAC is `k`."""


class Key(Struct, frozen=True):
    """One key, its name, and its algorithm. `key` is an object of cryptography, or the bytes of a secret."""

    kid: str | None
    algorithm: str
    key: Any

    def __repr__(self) -> str:
        return f"Key({self.kid!r}, {self.algorithm!r}, <hidden>)"


class Unusable(Exception):
    """A key cannot be used. The text says why, and has nothing of the key."""


def read_keys(data: bytes, algorithm: str, *, secrets: bool) -> list[Key]:
    """The keys of a document: public keys in PEM, a JWK, or a JWK Set. `algorithm` is that of RSA keys that name none.
    `secrets`: the document is private, so that keys for HMAC may stand in it. Raises Unusable if there is none."""
    if data.lstrip().startswith(b"-----BEGIN "):
        return list(_keys_of_pem(data, algorithm))
    try:
        document = json.decode(data, type=dict[str, Any])
    except (DecodeError, ValidationError, RecursionError, UnicodeDecodeError):
        raise Unusable("it is neither PEM nor a JSON Web Key Set") from None
    if "keys" not in document:
        return [_key_of_jwk(document, algorithm, secrets=secrets)]
    entries = document["keys"]
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise Unusable("its member keys is not a list of keys")
    return _keys_of_set(entries[:MAX_KEYS], algorithm, secrets=secrets)


def _keys_of_set(entries: list[dict[str, Any]], algorithm: str, *, secrets: bool) -> list[Key]:
    """RFC 7517 section 5: "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" […] values that are not
    understood by them"."""
    found, fault = [], "it has no keys"
    for entry in entries:
        try:
            found.append(_key_of_jwk(entry, algorithm, secrets=secrets))
        except Unusable as error:
            fault = str(error)
    if not found:
        raise Unusable(f"it has no usable key: {fault}")
    return found


def _key_of_jwk(jwk: dict[str, Any], algorithm: str, *, secrets: bool) -> Key:
    from jwt import PyJWK

    kty, kid, named = jwk.get("kty"), jwk.get("kid"), jwk.get("alg")
    if jwk.get("use", "sig") != "sig":
        raise Unusable("a key is not for signatures (use)")
    if kid is not None and not isinstance(kid, str):
        raise Unusable("the kid of a key is not a text")
    if kty == "oct" and not secrets:
        raise Unusable("a key for HMAC stands in a document that everyone can read")
    allowed = (
        RSA if kty == "RSA" else tuple(MIN_SECRET_BYTES) if kty == "oct" else (OF_CURVES.get(str(jwk.get("crv"))),)
    )
    chosen = named or (algorithm if kty == "RSA" else allowed[0])
    if not isinstance(chosen, str) or chosen not in allowed:
        raise Unusable("a key has a type, a curve or an alg that is not supported")
    try:
        # Only the public members: the key that is made of them cannot sign.
        public = {name: value for name, value in jwk.items() if name in PUBLIC_MEMBERS}
        key = PyJWK(public, chosen).key
    except Exception:  # whatever a library raises for a key from outside
        raise Unusable("a key cannot be read") from None
    return Key(kid, chosen, _strong(key, chosen))


def _strong(key: Any, algorithm: str) -> Any:
    """The key, if it is large enough."""
    if algorithm in MIN_SECRET_BYTES and len(key) < MIN_SECRET_BYTES[algorithm]:
        raise Unusable(f"a key for {algorithm} has less than {MIN_SECRET_BYTES[algorithm]} bytes")
    if algorithm in RSA and key.key_size < MIN_RSA_BITS:
        raise Unusable(f"an RSA key has less than {MIN_RSA_BITS} bits")
    return key


def _keys_of_pem(data: bytes, algorithm: str) -> Iterator[Key]:
    if b"PRIVATE KEY-----" in data:
        raise Unusable("it has a private key, which only the issuer needs: write the public one, openssl pkey -pubout")
    blocks = data.split(b"-----BEGIN ")[1:]
    for block in blocks[:MAX_KEYS]:
        yield _key_of_pem(b"-----BEGIN " + block, algorithm)


def _key_of_pem(data: bytes, algorithm: str) -> Key:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(data)
    except Exception:
        raise Unusable("it is not a public key in PEM") from None
    if isinstance(key, RSAPublicKey):
        return Key(None, algorithm, _strong(key, algorithm))
    if isinstance(key, Ed25519PublicKey):
        return Key(None, "EdDSA", key)
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in OF_PEM_CURVES:
        return Key(None, OF_PEM_CURVES[key.curve.name], key)
    raise Unusable("its kind of key is not supported")
