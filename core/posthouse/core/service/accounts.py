"""Accounts: what a service declares about the users and the sessions that its store keeps. Nothing here keeps one."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict, get_args

from msgspec import Struct
from posthouse.core.encoding.compiler import reading
from posthouse.core.values.errors import UsageError

from .authenticators import SCHEMES, Authenticator

Registration = Literal["off", "open"]
"""Who may make an account: nobody but a caller with the scope `users`, or anyone."""

SessionsOption = Literal["off", "on", "login"]
"""Whether clients may have sessions, and whether each log-in makes one."""

PASSWORDS: Final = "users"
ADMIN: Final = "users"
"""The scope of those who may change other users of the store."""

TOKENS: Final = "tokens"
"""The names of the authenticators that know the passwords and the tokens of the store."""


class DeclaredAccounts(TypedDict, total=False):
    """The arguments of a Service about accounts."""

    users: bool
    registration: Registration
    profile: Any
    sessions: SessionsOption


class Accounts(Struct, frozen=True):
    """What a service declares. `users`: the store has users, who log in with passwords and tokens. `profile`: the type
    of what a user says of itself, None if there is nothing to say. `sessions`: "on" gives clients the methods
    `session.*`; "login" makes a session at each log-in, too."""

    users: bool = False
    registration: Registration = "off"
    profile: Any = None
    sessions: SessionsOption = "off"

    @property
    def stored(self) -> bool:
        """Does the service keep anything in a store?"""
        return self.users or self.sessions != "off"

    @classmethod
    def of(
        cls,
        *,
        users: object = False,
        registration: object = "off",
        profile: object = None,
        sessions: object = "off",
    ) -> Accounts:
        """Check a declaration. Raises UsageError if it is invalid."""
        if not isinstance(users, bool):
            raise UsageError(f"users is {users!r}, but must be True or False")
        registers: Registration = _choice("registration", registration, Registration)
        kept: SessionsOption = _choice("sessions", sessions, SessionsOption)
        declared = cls(users or registers == "open", registers, profile, kept)
        if profile is not None:
            if not declared.users:
                raise UsageError("profile needs users: declare the service with users=True")
            reading(profile, "profile")
        return declared

    def authenticators(self) -> dict[str, Authenticator]:
        """The authenticators of the users in the store, by name."""
        if not self.users:
            return {}
        return {
            name: Authenticator(name, scheme, _asks_the_store, "", hashes, SCHEMES[scheme], False, hashes, stored=True)
            for name, scheme, hashes in ((PASSWORDS, "basic", True), (TOKENS, "bearer", False))
        }


def _choice(name: str, given: object, choices: Any) -> Any:
    """One of these texts. Raises UsageError for anything else."""
    names = get_args(choices)
    if given not in names:
        raise UsageError(f"{name} is {given!r}, but must be {', '.join(map(repr, names[:-1]))} or {names[-1]!r}")
    return given


def _asks_the_store(credentials: object) -> object:
    raise UsageError("the gateway asks its store about these credentials: this function is not called")
