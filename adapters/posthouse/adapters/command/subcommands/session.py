"""`posthouse session`: the sessions of the users of a store."""

from __future__ import annotations

import time
from secrets import token_hex
from typing import Any, Final

import click
from posthouse.adapters.command.accounts.where import EPILOG, find, pages, show, store_options
from posthouse.adapters.command.options import Command, CommandGroup
from posthouse.adapters.store import EndSession, ListSessions, SessionRow
from posthouse.adapters.terminal import Failure, Misuse

EXAMPLES: Final = f"""\
{EPILOG}
Without that scope, a server tells a caller about its own sessions alone.

Examples:
  posthouse session list ada --store users.sqlite
  posthouse session list ada --url https://api.example.org --token-file token
  posthouse session end SESSION --store users.sqlite
"""


@click.group(cls=CommandGroup, epilog=EXAMPLES)
def command() -> None:
    """List and end sessions of a store."""


@command.command("list", cls=Command, epilog=EXAMPLES)
@click.argument("user", required=False, metavar="[USER]", help="The user; with --url by default that of the token.")
@store_options
def list_sessions(user: str | None, **store: Any) -> int:
    """Print the sessions of a user, each as JSON on a line."""
    where = find(**store)
    if where.store is None:
        pages(where, "session.list", "sessions", **({} if user is None else {"user": user}))
        return 0
    if user is None:
        raise Misuse("USER is missing")
    after = ""
    while True:
        request = ListSessions(("", user), time.time(), where.config.session_idle, after)
        rows: tuple[SessionRow, ...] = where.perform(request)[0]
        for row in rows:
            shown = {"id": row.id, "created_at": row.created_at, "used_at": row.used_at, "ends_at": row.ends_at}
            show(shown)
        if len(rows) < request.limit:
            return 0
        after = rows[-1].id


@command.command("end", cls=Command, epilog=EXAMPLES)
@click.argument("session", metavar="SESSION", help="The id of the session.")
@store_options
def end_session(session: str, **store: Any) -> int:
    """End a session."""
    where = find(**store)
    if where.store is None:
        where.call("session.end", session=session)
    elif not where.perform(EndSession(token_hex(16), session))[0]:
        raise Failure("there is no such session")
    return 0
