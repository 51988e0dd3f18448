"""An authenticator: a function that turns the credentials of a caller into an identity, declared and checked here.

Nothing here runs it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Final, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import replace
from posthouse.core.values.errors import UsageError

from .context import AuthContext
from .declarations import check_function, is_coroutine_function
from .lifespan import Lifespan
from .signature import POSITIONAL, is_required, underlying


class Bearer(Struct, frozen=True):
    """The token of an `Authorization: Bearer` header (RFC 6750). Its repr does not show the token."""

    token: str

    def __repr__(self) -> str:
        return "Bearer(token=<hidden>)"


class Basic(Struct, frozen=True):
    """User and password of an `Authorization: Basic` header (RFC 7617). Its repr shows neither."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Basic(user=<hidden>, password=<hidden>)"


class Cookie(Struct, frozen=True):
    """The cookie of a browser, which a log-in has set. Its repr does not show the secret."""

    secret: str

    def __repr__(self) -> str:
        return "Cookie(secret=<hidden>)"


class SessionToken(Struct, frozen=True):
    """The header `Posthouse-Session: <id>.<secret>` of a request or handshake. Its repr does not show the secret."""

    key: str

    def __repr__(self) -> str:
        return "SessionToken(key=<hidden>)"


class UnreadableCredentials(Struct, frozen=True, gc=False):
    """Credentials that cannot be read, or of a scheme that nothing reads: they are refused."""


class CrossSiteCredentials(Struct, frozen=True, gc=False):
    """Credentials that a browser has added to the request of a page of another site: they are refused."""


OWN: Final = re.compile(r"[a-z][a-z0-9_.-]*")
"""The name of a method of `auth.login`."""

SCHEMES: Final[dict[str, type]] = {"bearer": Bearer, "basic": Basic}
"""The schemes of `Authorization`, and what an authenticator of each takes."""

SCHEME_OF: Final = {takes: scheme for scheme, takes in SCHEMES.items()}
"""The schemes by what their authenticators take."""


class Authenticator(Struct, frozen=True, eq=False):
    """One authenticator. `scheme` says which credentials it takes, instances of `takes`. Its users are in `namespace`.

    `takes_context`: it is called with the credentials and an AuthContext. `blocking`: it runs in a worker thread, which
    is one of the `hashing_workers` if it is `hashing`. `lifespan` opens the state that it sees. `stored`: the gateway
    asks its store instead of the function.
    """

    name: str
    scheme: str
    function: Callable[..., Any]
    namespace: str
    blocking: bool
    takes: type
    takes_context: bool
    hashing: bool = False
    lifespan: Lifespan | None = None
    stored: bool = False

    @classmethod
    def of(
        cls, function: Callable[..., Any], *, name: str, scheme: str, namespace: str, blocking: bool, hashing: bool
    ) -> Authenticator:
        """Check a declaration. Raises UsageError if it is invalid."""
        where = f"authenticator {name!r}"
        check_function(function, where)
        if (blocking or hashing) and is_coroutine_function(function):
            option = "hashing" if hashing else "blocking"
            raise UsageError(f"{where} is an `async def`: `{option}=True` is for plain functions, run in a thread")
        takes = SCHEMES.get(scheme) or _own_credentials(function, where)
        takes_context = _takes_context(function, takes, where)
        return cls(name, scheme, function, namespace, blocking or hashing, takes, takes_context, hashing)

    @property
    def in_turns(self) -> bool:
        """May only few of its runs go on at once for an address and for a user? Those for `basic` and those that block
        may hash a password."""
        return self.scheme == "basic" or self.blocking

    def within(self, lifespan: Lifespan) -> Authenticator:
        """This authenticator, which sees the state of this lifespan."""
        return replace(self, lifespan=lifespan)


TAKEN: Final = ("method", "cookie", "session")
"""The parameters of `auth.login` itself."""


def check_scheme(scheme: object) -> str:
    """Raise UsageError unless this can name the credentials that an authenticator takes."""
    if callable(scheme):
        raise UsageError('service.authenticator needs a scheme: write `@service.authenticator("bearer")`')
    if scheme == "password":
        raise UsageError("scheme 'password': write 'basic', which also reads the method password of auth.login")
    if not isinstance(scheme, str) or not OWN.fullmatch(scheme):
        known = " or ".join(map(repr, SCHEMES))
        raise UsageError(f"scheme {scheme!r}: it must be {known}, or a name of your own in lower case, for auth.login")
    return scheme


def _own_credentials(function: Callable[..., Any], where: str) -> type:
    """The Struct that a function takes which reads a method of its own of `auth.login`."""
    try:
        hints = get_type_hints(underlying(function))
        first = next(iter(inspect.signature(function).parameters), "")
    except (TypeError, ValueError, SyntaxError, AttributeError, NameError) as error:
        raise UsageError(f"{where}: its annotations cannot be read: {error}") from None
    takes = hints.get(first)
    if isinstance(takes, type) and issubclass(takes, Struct):
        for name in takes.__struct_encode_fields__:
            if name in TAKEN:
                raise UsageError(f"{where} takes a Struct with the member {name!r}, which auth.login takes: rename it")
        return takes
    raise UsageError(f"{where} takes {first}: {takes!r}: annotate it with a Struct of the members of auth.login")


def check_label(value: object, what: str) -> str:
    """Raise UsageError unless this can be the name or the namespace of an authenticator."""
    if isinstance(value, str) and (value or what == "namespace"):
        return value
    raise UsageError(f"the {what} of an authenticator is {value!r}, but must be a string")


def _takes_context(function: Callable[..., Any], takes: type, where: str) -> bool:
    """Does it take an AuthContext behind the credentials? Raises UsageError for parameters that cannot be given."""
    form = f"write `(credentials: {takes.__name__})` or `(credentials: {takes.__name__}, context: AuthContext)`"
    try:
        declared = list(inspect.signature(function).parameters.values())
        hints = get_type_hints(underlying(function))
    except NameError as error:
        raise UsageError(f"{where}: the annotation {error.name!r} is not known in the module of its function") from None
    except (TypeError, ValueError, SyntaxError, AttributeError):
        raise UsageError(f"{where}: the signature of {function!r} cannot be read") from None
    given = [parameter for parameter in declared if parameter.kind in POSITIONAL]
    others = [parameter for parameter in declared if parameter.kind not in POSITIONAL]
    if not 1 <= len(given) <= 2 or any(map(is_required, others)):
        raise UsageError(f"{where} takes ({', '.join(parameter.name for parameter in declared)}): {form}")
    credentials, *context = given
    if hints.get(credentials.name, takes) is not takes:
        raise UsageError(f"{where} takes {credentials.name}: {hints[credentials.name]!r}: {form}")
    for parameter in context:
        annotation = hints.get(parameter.name, AuthContext)
        if (get_origin(annotation) or annotation) is not AuthContext:
            raise UsageError(f"{where} takes {parameter.name}: {annotation!r}: {form}")
    return bool(context)
