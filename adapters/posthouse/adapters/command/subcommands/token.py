"""`posthouse token`: the tokens of users in a store; and the entries of a file of tokens, for `StaticTokens` and
`posthouse serve --tokens`."""

from __future__ import annotations

import os
import secrets
import sys
from datetime import UTC, datetime
from typing import Any, Final

import click
from msgspec import json
from posthouse.adapters.authenticators.static_tokens import token_digest
from posthouse.adapters.command.accounts.where import EPILOG as STORES
from posthouse.adapters.command.accounts.where import find, pages, store_options
from posthouse.adapters.command.options import Command, CommandGroup, seconds
from posthouse.adapters.command.secret import TOKEN, ask
from posthouse.adapters.terminal import Failure, Misuse, say

OF_A_STORE: Final = f"""\
{STORES}
Examples:
  posthouse token create ada --scope write --expires 86400 --store users.sqlite > token
  posthouse token list ada --url https://api.example.org --token-file token
"""

EPILOG: Final = """\
Examples:
  Make a token for ada, and add its entry to a file. The token is shown once, on standard error:
    posthouse token hash --new --user ada --scope write >> tokens.toml
  The same, with the token in a file that only this user may read:
    posthouse token hash --new --user ada --token-file token >> tokens.toml
  An entry for a token that you have, which is typed without echo:
    posthouse token hash --user ada >> tokens.toml
  Serve with this file:
    posthouse serve calculator:service --tokens tokens.toml
"""

MIN_CHARACTERS: Final = 20
"""The shortest token: a hash without a salt protects only a token that cannot be guessed."""


def moment(text: str) -> str:
    """The type of `--expires`: a date or a time, as TOML writes a time in UTC."""
    try:
        value = datetime.fromisoformat(text)
        zoned = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is not a date or a time: write 2027-01-31 or 2027-01-31T12:00:00Z"
        ) from None
    return zoned.strftime("%Y-%m-%dT%H:%M:%SZ")


@click.group(cls=CommandGroup, epilog=EPILOG)
def command() -> None:
    """Make, list and revoke tokens of a store; make entries for a file of tokens."""


@command.command("create", cls=Command, epilog=OF_A_STORE)
@click.argument("user", metavar="USER", help="The name of the user.")
@click.option("--scope", multiple=True, metavar="SCOPE", help="A scope of the token; repeatable.  [default: all]")
@click.option("--expires", type=seconds, metavar="SECONDS", help="After so many seconds the token expires.")
@click.option("--label", default="", metavar="TEXT", help="A note, such as the place where the token is used.")
@store_options
def create(user: str, scope: tuple[str, ...], expires: float | None, label: str, **store: Any) -> int:
    """Make a token of a user in a store, and print it alone on standard output. It is shown this once."""
    params = {"user": user, "scopes": scope or None, "expires_in": expires, "label": label}
    click.echo(find(**store).call("token.create", **params)["token"])
    return 0


@command.command("list", cls=Command, epilog=OF_A_STORE)
@click.argument("user", metavar="USER", help="The name of the user.")
@store_options
def list_tokens(user: str, **store: Any) -> int:
    """Print the tokens of a user in a store, without their secrets, each as JSON on a line."""
    pages(find(**store), "token.list", "tokens", user=user)
    return 0


@command.command("revoke", cls=Command, epilog=OF_A_STORE)
@click.argument("token", metavar="ID", help="The id of the token, as posthouse token list prints it.")
@store_options
def revoke(token: str, **store: Any) -> int:
    """Remove a token from a store."""
    find(**store).call("token.revoke", token=token)
    return 0


@command.command("hash", cls=Command, epilog=EPILOG)
@click.option("--new", is_flag=True, help="Make a new token, of 256 random bits, and show it on standard error.")
@click.option("--token-file", metavar="FILE", help="Write the new token to this new file, instead of showing it.")
@click.option("--user", default="me", show_default=True, metavar="NAME", help="The user that the token stands for.")
@click.option(
    "--scope", multiple=True, metavar="SCOPE", help="A scope of the user; repeatable. * stands for every scope."
)
@click.option("--expires", type=moment, metavar="TIME", help="When the token expires, in UTC.  [default: never]")
@click.option("--label", default="", metavar="TEXT", help="A note, such as the place where the token is used.")
def hash_token(
    new: bool, token_file: str | None, user: str, scope: tuple[str, ...], expires: str | None, label: str
) -> int:
    """Print the entry of a token for a file of tokens.

    The entry has the SHA-256 hash of the token, and goes to standard output. Without --new, the token is read from
    standard input, or typed without echo.
    """
    for option, texts in (("--user", (user,)), ("--scope", scope)):
        if not all(texts):
            raise Misuse(f"{option} is empty")
    if token_file is not None and not new:
        raise Misuse("--token-file is for a new token", hint="add --new")
    token = secrets.token_urlsafe(32) if new else _given()
    if token_file is not None:
        _keep(token, token_file)
    sys.stdout.write("".join(f"{line}\n" for line in entry(token, user, scope, expires, label)))
    sys.stdout.flush()
    if new and token_file is None:
        say(f"the token, which is shown this once: {token}")
    return 0


def _keep(token: str, file: str) -> None:
    """Write the token to a new file that only this user may read."""
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(f"{token}\n")
    except (OSError, ValueError) as error:
        raise Failure(f"cannot write {file}: {getattr(error, 'strerror', None) or error}") from None


def _given() -> str:
    token = ask("token").strip()
    if not TOKEN.fullmatch(token):
        raise Misuse("this cannot be a bearer token", hint="a token has letters, digits and -._~+/, and = at its end")
    if len(token) < MIN_CHARACTERS:
        hint = f"it must have at least {MIN_CHARACTERS} random characters: to make one, use --new"
        raise Misuse("this token is too short: it could be guessed", hint=hint)
    return token


def entry(token: str, user: str, scopes: tuple[str, ...], expires: str | None, label: str) -> list[str]:
    """The lines of an entry in TOML, whose basic strings and arrays look like those of JSON."""
    lines = ["[[token]]", f'sha256 = "{token_digest(token).hex()}"', f"user = {_text(user)}"]
    if scopes:
        lines.append(f"scopes = [{', '.join(map(_text, scopes))}]")
    if expires is not None:
        lines.append(f"expires = {expires}")
    if label:
        lines.append(f"label = {_text(label)}")
    return lines


def _text(text: str) -> str:
    # JSON leaves U+007F as it is, which TOML does not allow. An argument that is not UTF-8 has surrogates.
    return json.encode(text.encode(errors="replace").decode()).decode().replace("\x7f", "\\u007f")
