"""The identities that callers of a server can have, and the methods that none of them may call.

A way to authenticate adds its identities to `possible_callers`; everything that warns follows from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct
from posthouse.adapters.authenticators.ready_made import ReadyMade
from posthouse.core.dispatch.admission import uncallable
from posthouse.core.service.authenticators import Authenticator
from posthouse.core.service.method import Method
from posthouse.core.service.service import Service
from posthouse.core.values.peers import ALL_SCOPES, ANONYMOUS, Identity

MAX_NAMED: Final = 5
"""The number of methods that a warning names."""

REMEDY: Final = (
    "this server cannot authenticate callers. To identify them, use --tokens FILE or declare an authenticator "
    "(@service.authenticator); to open the methods to everyone, declare public=True on the service or on each method, "
    "without scopes; for development, use --dev (in code, dev=True)"
)

REMEDY_OF_USERS: Final = (
    "no user in the files of its authenticators may: add an entry for one, or scopes to an entry, such as "
    'scopes = ["write"]'
)
"""The remedy if every user is known: they stand in files."""

AUTHENTICATED: Final = Identity("anybody", (ALL_SCOPES,))
"""Stands for all callers that an authenticator can identify: they may have any scope."""


def possible_callers(
    service: Service,
    *,
    sockets: bool = True,
    identity: Identity = ANONYMOUS,
    pipes: bool = False,
    pipe_identity: Identity = ANONYMOUS,
) -> tuple[Identity, ...]:
    """Every identity that a caller of this service can have: over sockets, and at the other end of pipes."""
    identities = [identity, *_authenticated(service.authenticators.values())]
    return (*(identities if sockets else []), *([pipe_identity] if pipes else []))


def _authenticated(authenticators: Iterable[Authenticator]) -> Iterator[Identity]:
    """Those that an authenticator can give: some have a list of their users."""
    for authenticator in authenticators:
        function = authenticator.function
        known = function.identities() if isinstance(function, ReadyMade) else None
        yield from (AUTHENTICATED,) if known is None else known


class Uncallable(Struct, frozen=True):
    """A warning about methods that no caller can call. `text` names its two facts, as for `report`. `methods` is None
    for all methods of the service."""

    text: str
    service: str
    methods: str | None

    def __str__(self) -> str:
        return self.text.format(service=self.service, methods=self.methods)


def warning(service: Service, callers: Sequence[Identity]) -> Uncallable | None:
    """A warning if there are methods of this service that none of these callers may call, with the remedy."""
    refused = uncallable(service.methods.values(), callers)
    if not refused:
        return None
    remedy = REMEDY_OF_USERS if service.authenticators else REMEDY
    if len(refused) == len(service.methods):
        needs = _needs(refused).replace("{", "{{").replace("}", "}}")  # a scope may have them in its name
        text = f"no caller can call any method of service {{service}}: {needs}, and {remedy}"
        return Uncallable(text, service.name, None)
    text = f"no caller can call {{methods}} of service {{service}}: {remedy}"
    return Uncallable(text, service.name, _named(refused))


def _needs(methods: Iterable[Method]) -> str:
    needs = list(dict.fromkeys(map(need, methods)))
    return f"they need {needs[0]}" if len(needs) == 1 else "they need an authenticated caller or scopes"


def _named(methods: Sequence[Method]) -> str:
    named = [f"{method.name} (needs {need(method)})" for method in islice(methods, MAX_NAMED)]
    more = len(methods) - len(named)
    return f"{', '.join(named)}{f' and {more} more' if more else ''}"


def need(method: Method) -> str:
    """The scopes or the identity that this method requires."""
    if method.scopes:
        return f"the scope {' and '.join(method.scopes)}"
    return "an authenticated caller"
