"""Secrets that a person or a file gives to the command: never on the command line, and never printed.

A command line can be read by every user of the machine, and shells keep it.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from getpass import getpass
from typing import Final

from posthouse.adapters.terminal import Misuse, paint, say

TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""A bearer token (RFC 6750 section 2.1)."""

VARIABLE: Final = "POSTHOUSE_TOKEN"

MAX_BYTES: Final = 64 * 1024
"""The most bytes that are read for a secret."""


def ask(name: str, *, twice: bool = False) -> str:
    """A secret from standard input: typed without echo, or the first line of what is piped. Raises Misuse."""
    if sys.stdin.isatty():
        secret = getpass(f"{name}: ")
        if twice and getpass(f"{name}, once more: ") != secret:
            raise Misuse(f"the two are not the same {name}")
    else:
        line = sys.stdin.buffer.readline(MAX_BYTES + 1)
        if len(line) > MAX_BYTES:
            raise Misuse(f"the {name} has more than {MAX_BYTES} bytes")
        try:
            secret = line.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise Misuse(f"the {name} is not UTF-8") from None
    if not secret:
        raise Misuse(f"there is no {name}", hint="type it, or pipe it to standard input")
    return secret


def token_to_send(file: str | None) -> str | None:
    """The token of this file, or that of the environment variable POSTHOUSE_TOKEN, or None. Raises Misuse."""
    if file is None:
        found = os.environ.get(VARIABLE, "").strip()
        return _checked(found, VARIABLE) if found else None
    try:
        with open(file, "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            data = opened.read(MAX_BYTES)
    except (OSError, ValueError) as error:
        raise Misuse(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        say(f"{paint('warning:', 'yellow', sys.stderr)} other users may read {file}: run chmod 600 {file}")
    return _checked(data.decode("latin-1").strip(), file)


def _checked(token: str, where: str) -> str:
    if not TOKEN.fullmatch(token):
        raise Misuse(f"{where} holds no token", hint="it must hold one token and nothing else")
    return token
