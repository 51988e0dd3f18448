"""Keys, documents with them, and tokens that they have signed, for the tests of this folder."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW: Final = 1_800_000_000.0
ISSUER, AUDIENCE = "https://id.example.org", "my-service"
SECRET: Final = b"a secret of thirty-two bytes, so"


@cache
def private(name: str = "rsa") -> Any:
    """A private key. Names that begin alike are of one kind."""
    kinds = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "small": lambda: rsa.generate_private_key(65537, 1024),
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "k256": lambda: ec.generate_private_key(ec.SECP256K1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    return kinds[name.split(" ", maxsplit=1)[0]]()


def pem(name: str = "rsa") -> bytes:
    """The public key."""
    data: bytes = private(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return data


def private_pem(name: str = "rsa") -> bytes:
    data: bytes = private(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return data


def jwk(name: str = "rsa", **members: Any) -> dict[str, Any]:
    """The public key as a JWK."""
    key = private(name).public_key()
    kind: Any = RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else OKPAlgorithm
    if isinstance(key, ec.EllipticCurvePublicKey):
        kind = ECAlgorithm
    return {**json.loads(kind.to_jwk(key)), **members}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def claims(**others: Any) -> dict[str, Any]:
    """Those of a token that is right. None removes one."""
    right = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": NOW + 60, "iat": NOW - 5, "scope": "read write"}
    return {name: value for name, value in (right | others).items() if value is not None}


def signed(name: str = "rsa", algorithm: str = "RS256", *, head: dict[str, Any] | None = None, **others: Any) -> str:
    """A token that is right, but for these claims and members of its head."""
    payload = json.dumps(claims(**others)).encode()
    return jwt.PyJWS().encode(payload, SECRET if name == "secret" else private(name), algorithm, head)
