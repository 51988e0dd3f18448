"""`user.*`: the users that the store keeps. Only if the service declares users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from msgspec import UNSET
from msgspec.structs import replace
from posthouse.core.dispatch.users import Account, Removed, UserList
from posthouse.core.service.accounts import ADMIN
from posthouse.core.service.service import Service

from .part import Declared, Part


class UserMethods(Part):
    """The methods of `user.*`."""

    prefix = "user."
    declared: ClassVar[dict[str, Declared]] = {
        "register": Declared(public=True, later=True),
        "me": Declared(public=False, later=True),
        "update": Declared(public=False, later=True),
        "password": Declared(public=False, changes=True),
        "remove": Declared(public=False, changes=True),
        "list": Declared(public=False, scopes=(ADMIN,), later=True),
        "disable": Declared(public=False, scopes=(ADMIN,), changes=True),
        "scopes": Declared(public=False, scopes=(ADMIN,), changes=True),
    }

    @classmethod
    def enabled(cls, service: Service) -> bool:
        return service.accounts.users

    @classmethod
    def offered(cls, service: Service) -> Mapping[str, Declared]:
        offered = dict(cls.declared)
        if service.accounts.registration == "off":
            offered["register"] = replace(offered["register"], public=False, scopes=(ADMIN,))
        if service.accounts.profile is None:
            del offered["update"]
        return offered

    @classmethod
    def variant(cls, function: str, service: Service) -> tuple[str, dict[str, Any]]:
        profile = service.accounts.profile
        if profile is None or function not in ("register", "update"):
            return function, {}
        return "register_with_profile" if function == "register" else function, {"profile": profile}

    def register(self, user: str, password: str) -> Account:
        """Make a user, who logs in with this password. The user has no scopes."""
        return cast("Account", self.begin(self.tables.users.register(self.caller, user, password, UNSET, self.now)))

    def register_with_profile(self, user: str, password: str, profile: Any = UNSET) -> Account:
        """Make a user, who logs in with this password. The user has no scopes. `profile` is what the service asks."""
        return cast("Account", self.begin(self.tables.users.register(self.caller, user, password, profile, self.now)))

    def me(self) -> Account:
        """Describe the caller's user."""
        return cast("Account", self.begin(self.tables.users.me(self.caller, self.now)))

    def update(self, profile: Any) -> Account:
        """Change the caller's profile."""
        return cast("Account", self.begin(self.tables.users.update(self.caller, profile, self.now)))

    def password(self, old: str | None, new: str, user: str | None = None) -> Account:
        """Change the caller's password, if `old` is right. With the scope `users`, that of another `user`, and `old` is
        null. Other connections, log-ins and all sessions of the user end."""
        return cast("Account", self.begin(self.tables.users.password(self.caller, old, new, user, self.now)))

    def remove(self, password: str | None = None, user: str | None = None) -> Removed:
        """Remove the caller's user, if the password is right, with its tokens and sessions. With the scope `users`,
        another `user`, without a password."""
        steps = self.tables.users.remove(self.caller, self.call, password, user, self.now)
        removed: Removed = self.begin(steps)
        return removed

    def list(self, after: str = "") -> UserList:
        """A page of users, by name: those `after` a name."""
        page: UserList = self.begin(self.tables.users.page(after))
        return page

    def disable(self, user: str, disabled: bool = True) -> Account:
        """Disable a user: its log-ins are refused, its connections and sessions end. False: enable it again."""
        steps = self.tables.users.disable(self.caller, self.call, user, self.now, disabled=disabled)
        return cast("Account", self.begin(steps))

    def scopes(self, user: str, scopes: tuple[str, ...]) -> Account:
        """Give a user these scopes, and no others. Its connections lose the others, its sessions end."""
        return cast("Account", self.begin(self.tables.users.scopes(self.caller, user, scopes, self.now)))
