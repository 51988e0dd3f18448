"""`posthouse user`: the users of a store."""

from __future__ import annotations

from typing import Any, Final

import click
from posthouse.adapters.command.accounts.where import EPILOG, find, pages, show, store_options
from posthouse.adapters.command.options import Command, CommandGroup
from posthouse.adapters.command.secret import ask

SCOPES: Final = click.option(
    "--scope", multiple=True, metavar="SCOPE", help="A scope of the user; repeatable. * stands for every scope."
)
NAME: Final = click.argument("name", metavar="NAME", help="The name of the user.")

EXAMPLES: Final = f"""\
{EPILOG}
Examples:
  posthouse user add ada --scope write --store users.sqlite
  posthouse user password ada --store users.sqlite < password.txt
  posthouse user list --url https://api.example.org --token-file token
"""


@click.group(cls=CommandGroup, epilog=EXAMPLES)
def command() -> None:
    """Make, list, change and remove users of a store."""


@command.command("add", cls=Command, epilog=EXAMPLES)
@NAME
@SCOPES
@store_options
def add(name: str, scope: tuple[str, ...], **store: Any) -> int:
    """Make a user. The password is read from standard input, or typed twice without echo."""
    where = find(**store)
    made = where.call("user.register", user=name, password=ask("password", twice=True))
    if scope:
        made = where.call("user.scopes", user=name, scopes=scope)
    show(made)
    return 0


@command.command("list", cls=Command, epilog=EXAMPLES)
@store_options
def list_users(**store: Any) -> int:
    """Print the users, each as JSON on a line."""
    pages(find(**store), "user.list", "users")
    return 0


@command.command("password", cls=Command, epilog=EXAMPLES)
@NAME
@store_options
def password(name: str, **store: Any) -> int:
    """Set the password of a user. It is read from standard input, or typed twice without echo. The user's connections
    and sessions end."""
    where = find(**store)
    show(where.call("user.password", user=name, old=None, new=ask("password", twice=True)))
    return 0


@command.command("scopes", cls=Command, epilog=EXAMPLES)
@NAME
@SCOPES
@store_options
def scopes(name: str, scope: tuple[str, ...], **store: Any) -> int:
    """Give a user these scopes, and no others."""
    show(find(**store).call("user.scopes", user=name, scopes=scope))
    return 0


@command.command("disable", cls=Command, epilog=EXAMPLES)
@NAME
@store_options
def disable(name: str, **store: Any) -> int:
    """Disable a user: its connections and sessions end, and it cannot log in."""
    show(find(**store).call("user.disable", user=name))
    return 0


@command.command("enable", cls=Command, epilog=EXAMPLES)
@NAME
@store_options
def enable(name: str, **store: Any) -> int:
    """Enable a user again."""
    show(find(**store).call("user.disable", user=name, disabled=False))
    return 0


@command.command("remove", cls=Command, epilog=EXAMPLES)
@NAME
@store_options
def remove(name: str, **store: Any) -> int:
    """Remove a user, with its tokens and sessions."""
    find(**store).call("user.remove", user=name)
    return 0
