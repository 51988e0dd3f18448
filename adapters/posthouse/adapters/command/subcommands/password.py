"""`posthouse password`: the entries of a file of passwords, for `Passwords`."""

from __future__ import annotations

import sys
from typing import Final

import click
from msgspec import json
from posthouse.adapters.authenticators.hashes import Parameters, make_hash
from posthouse.adapters.authenticators.passwords import written_key
from posthouse.adapters.authenticators.ready_made import check_installed
from posthouse.adapters.command.loading import load_config
from posthouse.adapters.command.options import Command, CommandGroup
from posthouse.adapters.command.secret import ask
from posthouse.adapters.terminal import Failure, Misuse
from posthouse.core.identity.hashes.hashing import check_parameters
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError

EPILOG: Final = """\
Examples:
  posthouse password hash ada --scope write >> passwords.toml
  posthouse password hash ada --config limits.toml < password.txt
"""


@click.group(cls=CommandGroup, epilog=EPILOG)
def command() -> None:
    """Make entries for a file of passwords."""


@command.command("hash", cls=Command, epilog=EPILOG)
@click.argument("user", metavar="USER", help="The name of the user.")
@click.option(
    "--scope", multiple=True, metavar="SCOPE", help="A scope of the user; repeatable. * stands for every scope."
)
@click.option(
    "--config", metavar="FILE.toml", help="The limits of the server: argon2_memory, argon2_passes, argon2_lanes."
)
def hash_password(user: str, scope: tuple[str, ...], config: str | None) -> int:
    """Print the entry of a user for a file of passwords.

    The entry has an argon2id hash of the password, and goes to standard output. The password is read from standard
    input, or typed twice without echo.
    """
    if not user or not all(scope):
        raise Misuse("USER is empty" if not user else "--scope is empty")
    limits = Config() if config is None else load_config(config)
    try:
        check_installed("posthouse password", "passwords", "argon2")
    except UsageError as error:
        raise Failure(str(error)) from None
    password = ask("password", twice=True).encode()
    if len(password) > limits.max_password_bytes:
        raise Misuse(f"the password has more than max_password_bytes = {limits.max_password_bytes} bytes")
    try:
        check_parameters(limits)
    except UsageError as error:
        raise Misuse(str(error)) from None
    text = make_hash(password, Parameters.of(limits))
    value = f'"{text}"'
    if scope:
        value = f"{{ hash = {value}, scopes = {json.encode(scope).decode()} }}"
    sys.stdout.write(f"{written_key(user)} = {value}\n")
    return 0
