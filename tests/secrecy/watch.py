"""What went into servers as a secret while a test ran, what came out of them, and where one is in the other.

A watch may not know who tells it: `hooks.py` does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict
from posthouse.core.values.effects import Effect, Emit, Invoke

from .search import Search

SHORTEST: Final = 10
"""Characters. A shorter credential is not looked for: other words have it, too."""

TOLD: Final = re.compile(rb'"(?:secret|token)":"[\w-]{43}"')
"""The answer that tells its owner a new session or token. A gateway with fixed entropy makes the same ones again."""

SET_COOKIE: Final = re.compile(rb"\r\nSet-Cookie: __Host-posthouse=((?:[\w-]{22}\.)?[\w-]{43});")


class Outbox(list[Effect]):
    """The outbox of a gateway. It is cleared when its effects were taken, and tells them before."""

    def __init__(self, taken: Callable[[list[Effect]], None]) -> None:
        self._taken = taken

    def clear(self) -> None:
        self._taken(self)
        super().clear()


class Watch:
    """The `secrets` that went in, and what came out, by place."""

    def __init__(self) -> None:
        self.secrets: Final[dict[str | bytes, None]] = {}
        self._untold: Final[Counter[bytes]] = Counter()
        self._out: Final[dict[tuple[str, bytes], None]] = {}
        self._effects: Final[list[Effect]] = []
        self._outboxes: Final[list[Outbox]] = []

    # In

    def credentials(self, credentials: object) -> None:
        """Credentials of a peer: Bearer, Basic, Cookie, a Struct of a service, or a tuple of several. Their member
        `user` is no secret."""
        for each in credentials if isinstance(credentials, tuple) else (credentials,):
            if isinstance(each, Struct):
                for name, value in asdict(each).items():
                    if name != "user" and isinstance(value, str):
                        self.secret(value)

    def secret(self, secret: str | bytes) -> None:
        """A secret of any kind. The signature of a JWT is one, too."""
        if len(secret) >= SHORTEST:
            self.secrets[secret] = None
            if isinstance(secret, str) and secret.count(".") == 2:
                self.secret(secret.rpartition(".")[2])

    def cookie(self, secret: str) -> None:
        """The secret of a new cookie. One answer may tell it, once."""
        self.secret(secret)
        self._untold[secret.encode()] += 1

    # Out

    def out(self, place: str, *texts: str | bytes) -> None:
        """Something came out. What came out before the first secret went in has none."""
        if self.secrets:
            for text in texts:
                self._out[place, text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)] = None

    def frame(self, frame: bytes) -> None:
        """Bytes were written to a socket."""
        self.out("the bytes for a peer", SET_COOKIE.sub(self._without_new_cookie, TOLD.sub(b"", frame)))

    def _without_new_cookie(self, found: re.Match[bytes]) -> bytes:
        if not self._untold[found[1]]:
            return found[0]
        self._untold[found[1]] -= 1
        return b""

    def outbox(self, outbox: Outbox) -> Outbox:
        """The outbox of a new gateway."""
        self._outboxes.append(outbox)
        return outbox

    def effects(self, effects: list[Effect]) -> None:
        """Effects were taken."""
        if self.secrets:
            self._effects.extend(effects)

    # Both

    def leaks(self) -> list[str]:
        """Each place in which a secret is, with what came out there."""
        for outbox in self._outboxes:
            self.effects(outbox)
        for effect in self._effects:
            self._look_at(effect)
        search = Search(self.secrets)
        if not search.finds_in_one(data for _, data in self._out):
            return []
        found = [(place, data) for place, data in self._out if search.finds(data)]
        return [f"{self._named(data)} is in {place}: {data[:500]!r}" for place, data in found]

    def _named(self, data: bytes) -> str:
        return " or ".join(repr(secret) for secret in self.secrets if Search([secret]).finds(data))

    def _look_at(self, effect: Effect) -> None:
        """Everything that an effect tells. `Verify` has credentials for those who judge them, and `Answer` a cookie."""
        data = getattr(effect, "data", None)
        if data is not None:
            self.out("a message to a peer", TOLD.sub(b"", data))
        elif isinstance(effect, Emit):
            self.out("an event", repr(effect.event))
        elif isinstance(effect, Invoke):
            self.out("what a handler knows", repr((effect.caller, effect.args, effect.kwargs, effect.meta)))
