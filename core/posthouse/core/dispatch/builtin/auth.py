"""`auth.*`: a connection gets another identity, without a new handshake. Only if the service has authenticators."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import ValidationError, convert
from msgspec.structs import fields
from posthouse.core.dispatch.logins import LoggedIn, LoggedOut, Wishes
from posthouse.core.service.authenticators import SCHEMES, Basic, Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.errors import INVALID_PARAMS, RpcError

from .part import Declared, Part, Tables

LOGIN: Final = "auth.login"

METHODS: Final[dict[str, tuple[str, Any]]] = {"bearer": ("bearer", Bearer), "password": ("basic", Basic)}
"""The ready-made values of `method`: the scheme of each, and its credentials."""


class AuthMethods(Part):
    """The methods of `auth.*`."""

    prefix = "auth."
    declared: ClassVar[dict[str, Declared]] = {
        "login": Declared(public=True, changes=True),
        "refresh": Declared(public=False, changes=True),
        "logout": Declared(public=False, changes=True),
    }

    @classmethod
    def enabled(cls, service: Service) -> bool:
        return bool(service.authenticators)

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._methods = {
            name: (scheme, takes) for name, (scheme, takes) in METHODS.items() if scheme in tables.schemes
        } | {scheme: (scheme, takes) for scheme, takes in tables.schemes.items() if scheme not in SCHEMES}

    def login(self, method: str, cookie: bool = False, session: bool = False, **credentials: Any) -> LoggedIn:
        """Log in with credentials: the caller of this connection is then another. `method` is "bearer" with `token`,
        "password" with `user` and `password`, or one of the service's own. `cookie`: over HTTP, the answer sets a
        cookie with which later requests have the same caller. `session`: the answer has a new session."""
        return self._begin(method, credentials, Wishes(cookie=cookie, session=session))

    def refresh(self, method: str, cookie: bool = False, session: bool = False, **credentials: Any) -> LoggedIn:
        """Log in anew as the same user, for other scopes or a later expiry. The state of the connection stays."""
        return self._begin(method, credentials, Wishes(refresh=True, cookie=cookie, session=session))

    def logout(self) -> LoggedOut:
        """Log out: the caller of this connection is then who it was when it opened. Its cookie and its
        session end."""
        return self.tables.logins.log_out(self.caller, self.call, self.now)

    def _begin(self, method: str, given: dict[str, Any], wishes: Wishes) -> LoggedIn:
        if wishes.session and not self.tables.has_sessions:
            reason = "the service has no sessions"
            raise RpcError(INVALID_PARAMS, data={"parameter": "session", "reason": reason})
        scheme, credentials = self._read(method, given)
        return self.tables.logins.begin(self.caller, self.call, scheme, credentials, wishes, self.now)

    def _read(self, method: str, given: dict[str, Any]) -> tuple[str, object]:
        if method not in self._methods:
            known = f"expected one of {', '.join(self._methods)}"
            raise RpcError(INVALID_PARAMS, data={"parameter": "method", "reason": known})
        scheme, takes = self._methods[method]
        names = [field.encode_name for field in fields(takes)]
        for name in given:
            if name not in names:
                raise RpcError(INVALID_PARAMS, data={"parameter": name[:128], "reason": "unknown parameter"})
        try:
            return scheme, convert(given, takes)
        except ValidationError as error:
            raise RpcError(INVALID_PARAMS, data={"reason": str(error).replace("`", "")}) from None
        except Exception:  # of user code: a type of the service has refused the values in its own way
            raise RpcError(INVALID_PARAMS, data={"reason": "the credentials are not valid"}) from None
