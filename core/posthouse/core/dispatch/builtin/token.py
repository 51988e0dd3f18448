"""`token.*`: the bearer tokens of the users that the store keeps. Only if the service declares users."""

from __future__ import annotations

from typing import ClassVar

from posthouse.core.dispatch.tokens import NewToken, Revoked, TokenList
from posthouse.core.service.service import Service

from .part import Declared, Part


class TokenMethods(Part):
    """The methods of `token.*`."""

    prefix = "token."
    declared: ClassVar[dict[str, Declared]] = {
        "create": Declared(public=False, later=True),
        "list": Declared(public=False, later=True),
        "revoke": Declared(public=False, changes=True),
    }

    @classmethod
    def enabled(cls, service: Service) -> bool:
        return service.accounts.users

    def create(
        self,
        user: str | None = None,
        scopes: tuple[str, ...] | None = None,
        expires_in: float | None = None,
        label: str = "",
    ) -> NewToken:
        """Make a token of the caller, or with the scope `users` of another `user`. It has these `scopes` (by default
        all of the caller's, or of the user's) as long as its user has them, and lasts for `expires_in` seconds."""
        steps = self.tables.tokens.create(self.caller, user, scopes, expires_in, label, self.now)
        token: NewToken = self.begin(steps)
        return token

    def list(self, user: str | None = None, after: str = "") -> TokenList:
        """A page of the caller's tokens, or with the scope `users` of those of another `user`, by id: those `after` an
        id."""
        page: TokenList = self.begin(self.tables.tokens.page(self.caller, user, after, self.now))
        return page

    def revoke(self, token: str) -> Revoked:
        """Remove a token by its id: one of the caller's, or with the scope `users` anybody's. The connections and
        sessions that were made with it end."""
        revoked: Revoked = self.begin(self.tables.tokens.revoke(self.caller, self.call, token, self.now))
        return revoked
