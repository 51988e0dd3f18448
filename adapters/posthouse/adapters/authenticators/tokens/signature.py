"""The head and the signature of a token. Nothing of its claims is read before the signature holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from posthouse.adapters.authenticators.keys.key import Key

MAX_KID: Final = 256
"""The most characters of a `kid`."""


class NotVerified(Exception):
    """A token is not accepted. The text says why, in words of our own: nothing of the token is in it."""


class WrongSignature(NotVerified):
    """No key has signed a token."""


class Head(Struct, frozen=True):
    """The head of a token, which nobody has verified: it chooses among keys, and nothing else."""

    algorithm: str
    kid: str | None


def read_head(token: str) -> Head:
    """The head of a token. Raises NotVerified."""
    from jwt import PyJWS

    try:
        head = PyJWS().get_unverified_header(token)
    except Exception:  # a library's parser, and a text of any kind: whatever it raises means the same
        raise NotVerified("it is not a JWT") from None
    algorithm, kid = head.get("alg"), head.get("kid")
    if not isinstance(algorithm, str):
        raise NotVerified("it names no algorithm")
    if algorithm.lower() == "none":
        raise NotVerified("it is not signed")
    if "crit" in head:
        raise NotVerified("it has critical extensions")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID):
        raise NotVerified("its kid is not a short text")
    return Head(algorithm, kid)


def verified_payload(token: str, keys: Iterable[Key]) -> bytes:
    """The payload of a token that one of these keys has signed. Raises NotVerified."""
    from jwt import PyJWS

    reader = PyJWS()
    for key in keys:
        try:
            found = reader.decode_complete(token, key.key, [key.algorithm])
        except Exception:
            continue
        payload: bytes = found["payload"]
        return payload
    raise WrongSignature("its signature is wrong")
