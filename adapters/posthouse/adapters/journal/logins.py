"""Texts that log in, set passwords, or resume a session: their secrets are replaced before they are written.

A text is decoded for that: no way to write a method's name hides it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import DecodeError, Raw, Struct, json

KEPT: Final[dict[str, tuple[tuple[str, ...], tuple[int, ...]]]] = {
    "auth.login": (("method", "user"), ()),
    "auth.refresh": (("method", "user"), ()),
    "user.register": (("user", "profile"), (0, 2)),
    "user.password": (("user",), (2,)),
    "user.remove": (("user",), (1,)),
}
"""The methods whose parameters are replaced, and the parameters that are kept, by name and by position."""

RESUME: Final = "session.resume"

METHOD: Final = "method"

WORDS: Final = (b"auth", b"user.", b"session", b"\\u")
"""A text with none of these calls none of these methods."""


class Hide(Struct, frozen=True):
    """`text` gives another text for a secret of a log-in, `secret` for that of a session: one that a replay mints."""

    text: Callable[[str], str]
    secret: Callable[[str], str]


def hide_logins(data: bytes, hide: Hide) -> bytes:
    """The same text, with other strings and numbers in the parameters of log-ins, and another secret where a session is
    resumed. A text that is not valid is replaced as a whole, by another one that is not, if it may be one of these."""
    if not any(word in data for word in WORDS):
        return data
    try:
        message: Any = json.decode(data, type=dict[str, Raw] | list[Raw])
        if isinstance(message, dict):
            return json.encode(_hidden(message, hide))
        return json.encode([_hidden_entry(entry, hide) for entry in message])
    except (DecodeError, ValueError, RecursionError):  # ValueError: Python converts no longer integers
        return b"x" * len(data)


def _hidden_entry(entry: Raw, hide: Hide) -> Any:
    first = bytes(entry).lstrip()[:1]
    if first == b"{":
        return _hidden(json.decode(entry, type=dict[str, Raw]), hide)
    # it may have been meant as a log-in
    return _hide(json.decode(entry), hide.text) if first in b'"[' else entry


def _hidden(request: dict[str, Raw], hide: Hide) -> dict[str, Any]:
    method = json.decode(request[METHOD]) if METHOD in request and "params" in request else None
    if isinstance(method, str) and method in KEPT:
        return {**request, "params": _hide_but(json.decode(request["params"]), *KEPT[method], hide)}
    if method == RESUME:
        return {**request, "params": _hide_resumption(json.decode(request["params"]), hide)}
    return dict(request)


def _hide_but(params: Any, names: tuple[str, ...], places: tuple[int, ...], hide: Hide) -> Any:
    """Every string and every number but those in these members."""
    hidden = _hide(params, hide.text)
    if isinstance(params, dict):
        return hidden | {name: params[name] for name in names if name in params}
    if isinstance(params, list):
        return [params[place] if place in places else each for place, each in enumerate(hidden)]
    return hidden


def _hide_resumption(params: Any, hide: Hide) -> Any:
    """Every string but the public ids: `session` and `replaces`."""
    if isinstance(params, list):
        return [_hide_secret(item, hide) if place == 1 else item for place, item in enumerate(params)]
    if isinstance(params, dict):
        kept = ("session", "replaces")
        return {name: item if name in kept else _hide_secret(item, hide) for name, item in params.items()}
    return _hide(params, hide.text)


def _hide_secret(value: Any, hide: Hide) -> Any:
    return hide.secret(value) if isinstance(value, str) else _hide(value, hide.text)


def _hide(value: Any, hide: Callable[[str], str]) -> Any:
    """Every string and every number."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _other_number(value, hide)
    if isinstance(value, list):
        return [_hide(item, hide) for item in value]
    if isinstance(value, dict):
        return {name: _hide(item, hide) for name, item in value.items()}
    return value


def _other_number(value: int | float, hide: Callable[[str], str]) -> int | float:
    """Another number: an integer has the same sign and as many digits."""
    if isinstance(value, float):
        return int(hide(f"{value!r:0<8}")[:8], 16) / 1000
    digits = str(abs(value))
    most = int("9" * len(digits))
    least = int("1" + "0" * (len(digits) - 1)) if len(digits) > 1 else 0
    number = least + int(hide(digits), 16) % (most - least + 1)
    return -number if value < 0 else number
