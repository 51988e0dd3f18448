"""Tokens that are wrong, each in one way, and the reason for the log. They are made when a test asks for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Final

import jwt

from .signed import ISSUER, NOW, claims, jwk, pem, private, signed


def part(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def by_hand(head: dict[str, Any], payload: dict[str, Any], secret: bytes | None = None) -> str:
    """A token as an attacker makes one."""
    text = part(json.dumps(head).encode()) + b"." + part(json.dumps(payload).encode())
    signature = b"" if secret is None else hmac.digest(secret, text, hashlib.sha256)
    return (text + b"." + part(signature)).decode()


def tampered() -> str:
    head, payload, signature = signed().split(".")
    other = part(json.dumps(claims(sub="eve")).encode()).decode()
    assert other != payload
    return f"{head}.{other}.{signature}"


WRONG: Final[dict[str, tuple[Callable[[], str], str]]] = {
    "not valid yet": (lambda: signed(nbf=NOW + 31), "it is not valid yet (nbf)"),
    "of the future": (lambda: signed(iat=NOW + 31), "it was issued in the future (iat)"),
    "no exp": (lambda: signed(exp=None), "it has no exp"),
    "exp is a text": (lambda: signed(exp="tomorrow"), "its exp is not a time"),
    "exp is endless": (lambda: signed(exp=float("inf")), "its claims are not a JSON object"),
    "exp is huge": (lambda: signed(exp=10**400), "its exp is not a time"),
    "exp is before 1970": (lambda: signed(exp=-1), "its exp is not a time"),
    "exp is true": (lambda: signed(exp=True), "its exp is not a time"),
    "wrong aud": (lambda: signed(aud="other"), "its aud is missing or of another audience"),
    "wrong auds": (lambda: signed(aud=["other", "my-service "]), "its aud is missing or of another audience"),
    "no aud": (lambda: signed(aud=None), "its aud is missing or of another audience"),
    "aud is a number": (lambda: signed(aud=7), "its aud is neither a text nor a list of texts"),
    "aud has a number": (lambda: signed(aud=["my-service", 7]), "its aud is neither a text nor a list of texts"),
    "wrong iss": (lambda: signed(iss=f"{ISSUER}/"), "its iss is missing or of another issuer"),
    "iss is a list": (lambda: signed(iss=[ISSUER]), "its iss is missing or of another issuer"),
    "no iss": (lambda: signed(iss=None), "its iss is missing or of another issuer"),
    "no sub": (lambda: signed(sub=None), "its sub is missing or not a text"),
    "empty sub": (lambda: signed(sub=""), "its sub is missing or not a text"),
    "sub is a number": (lambda: signed(sub=7), "its sub is missing or not a text"),
    "scopes are a number": (lambda: signed(scope=7), "its scope is neither a text nor a list of texts"),
    "not signed": (lambda: by_hand({"alg": "none"}, claims()), "it is not signed"),
    "not signed, in capitals": (lambda: by_hand({"alg": "nOnE"}, claims()), "it is not signed"),
    "no algorithm": (lambda: by_hand({"typ": "JWT"}, claims()), "it names no algorithm"),
    "another algorithm": (lambda: signed("rsa", "RS512"), "its algorithm is not that of the key"),
    "an unknown algorithm": (lambda: by_hand({"alg": "XS1"}, claims()), "its algorithm is not that of the key"),
    "the public key as a secret": (
        lambda: by_hand({"alg": "HS256"}, claims(), pem()),
        "its algorithm is not that of the key",
    ),
    "the public key as a secret, as RSA": (
        lambda: by_hand({"alg": "RS256"}, claims(), pem()),
        "its signature is wrong",
    ),
    "another key": (lambda: signed("rsa other"), "its signature is wrong"),
    "a key of its own": (
        lambda: signed("rsa other", head={"jwk": jwk("rsa other"), "x5u": "https://evil.example.org"}),
        "its signature is wrong",
    ),
    "tampered": (tampered, "its signature is wrong"),
    "no signature": (lambda: signed().rpartition(".")[0] + ".", "its signature is wrong"),
    "critical extensions": (
        lambda: by_hand({"alg": "RS256", "crit": ["b64"], "b64": True}, claims()),
        "it has critical extensions",
    ),
    "unknown critical extensions": (lambda: signed(head={"crit": ["x"], "x": 1}), "it is not a JWT"),
    "a long kid": (lambda: signed(head={"kid": "x" * 257}), "its kid is not a short text"),
    "claims are a list": (
        lambda: jwt.PyJWS().encode(b"[1]", private("rsa"), "RS256"),
        "its claims are not a JSON object",
    ),
    "claims are too deep": (
        lambda: jwt.PyJWS().encode(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", private("rsa"), "RS256"),
        "its claims are not a JSON object",
    ),
    "not a JWT": (lambda: "canary", "it is not a JWT"),
    "nothing": (lambda: "", "it is not a JWT"),
    "dots": (lambda: "..", "it is not a JWT"),
    "encrypted": (lambda: "eyJhbGciOiJSU0EifQ.a.b.c.d", "it is not a JWT"),
    "not Unicode": (lambda: "\ud800.a.b", "it is not a JWT"),
    "huge": (lambda: signed(sub="x" * 8000) + "x" * 100_001, "it is not a JWT"),
    "a deep head": (lambda: f"{part(b'[' * 5000).decode()}.e30.x", "it is not a JWT"),
}
