"""The claims of a token whose signature holds (RFC 7519 section 4.1): judged, and turned into an identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import DecodeError, Struct, ValidationError, json
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ALL_SCOPES, Identity

from .signature import NotVerified

MAX_LEEWAY: Final = 3600

LATEST: Final = 2**53
"""The last time that a token may name."""


class Claims(Struct, frozen=True, kw_only=True):
    """The rules for the claims of a token, and their meaning. Raises UsageError for an invalid rule.

    `issuer`: its `iss` must be this one. `audience`: its `aud` must contain one of these. None: they are not looked at.
    `sub` is the user, and must be there. `required`: further claims that must be. `scopes`: the name of the claim with
    the scopes, a text with spaces or a list; the scope `*` is left out. `leeway`: seconds by which clocks may differ.
    """

    issuer: str | None
    audience: str | Sequence[str] | None
    required: Sequence[str] = ("exp",)
    scopes: str = "scope"
    leeway: float = 30.0

    def __post_init__(self) -> None:
        given = self.audience
        audiences = (given,) if given is None or isinstance(given, str) else tuple(given) or ("",)
        if self.issuer == "" or not all(each is None or _is_text(each) for each in audiences):
            raise UsageError("issuer and audience of Claims must not be empty: None accepts tokens of any")
        if isinstance(self.required, str):
            raise UsageError(f"required of Claims is a single string: give a list, [{self.required!r}]")
        if not _is_text(self.scopes):
            raise UsageError(f"scopes of Claims is {self.scopes!r}: it must be the name of a claim")
        if not 0 <= self.leeway <= MAX_LEEWAY:
            raise UsageError(f"leeway of Claims is {self.leeway}: it must be from 0 to {MAX_LEEWAY} seconds")

    def identity(self, payload: bytes, now: float) -> Identity:
        """The identity of a token with this payload. `now` is Unix seconds. Raises NotVerified.

        That of an expired token has expired: the gateway says so to its caller, who needs a new one (-32022).
        """
        claims = _claims(payload)
        for name in self.required:
            if claims.get(name) is None:
                raise NotVerified(f"it has no {name}")
        expires_at, issued_at = self._judge_times(claims, now)
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise NotVerified("its iss is missing or of another issuer")
        allowed = (self.audience,) if isinstance(self.audience, str) else self.audience
        if allowed is not None and not any(each in allowed for each in _texts(claims, "aud")):
            raise NotVerified("its aud is missing or of another audience")
        user = claims.get("sub")
        if not _is_text(user):
            raise NotVerified("its sub is missing or not a text")
        return Identity(user, self._scopes(claims), expires_at, issued_at=issued_at)

    def _judge_times(self, claims: dict[str, Any], now: float) -> tuple[float | None, float | None]:
        """The time of expiry, as the leeway moves it, and that of issue."""
        expiry, begin, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
        if begin is not None and now < begin - self.leeway:
            raise NotVerified("it is not valid yet (nbf)")
        if issued is not None and now < issued - self.leeway:
            raise NotVerified("it was issued in the future (iat)")
        return None if expiry is None else expiry + self.leeway, issued

    def _scopes(self, claims: dict[str, Any]) -> tuple[str, ...]:
        found = _texts(claims, self.scopes)
        words = [word for text in found for word in text.split(" ")] if _is_text(claims.get(self.scopes)) else found
        return tuple(word for word in words if word and word != ALL_SCOPES)


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        return json.decode(payload, type=dict[str, Any])
    except (DecodeError, ValidationError, RecursionError, UnicodeDecodeError):
        raise NotVerified("its claims are not a JSON object") from None


def _time(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2), or None if the claim is missing."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise NotVerified(f"its {name} is not a time")
    return float(value)


def _texts(claims: dict[str, Any], name: str) -> list[str]:
    """The claim as a list: one text counts as a list of it. RFC 7519 section 4.1.3: "an array of case-sensitive
    strings", or in the "special case" of one, "a single case-sensitive string"."""
    value = claims.get(name)
    if value is None:
        return []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise NotVerified(f"its {name} is neither a text nor a list of texts")
    return values


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
