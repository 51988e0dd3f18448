"""The users, tokens and sessions of a store: a file, which this process opens, or a server, which is called.

A file is opened by a server in this process that nobody else can call. So both ways have the same methods and rules.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import anyio
import click
from msgspec import Raw, Struct, json
from msgspec.structs import replace
from posthouse.adapters.command.client.address import connect
from posthouse.adapters.command.client.http import Options
from posthouse.adapters.command.client.streams import Deadline
from posthouse.adapters.command.loading import load_config
from posthouse.adapters.command.secret import token_to_send
from posthouse.adapters.embedded import running
from posthouse.adapters.store import SqliteStore, Store
from posthouse.adapters.terminal import Failure, Misuse, printable
from posthouse.core.operations.operations import Refused
from posthouse.core.service.service import Service
from posthouse.core.store.outcomes import Done
from posthouse.core.store.requests import Request
from posthouse.core.values.config import Config
from posthouse.core.values.errors import ErrorObject, RpcError, UsageError
from posthouse.core.values.peers import ALL_SCOPES, Identity

R = TypeVar("R")

OPERATOR: Final = Identity("operator", (ALL_SCOPES,), namespace="command")
"""The caller of a server in this process. A user who can open the file may do everything."""

SECONDS: Final = 30.0

EPILOG: Final = """\
The store is a file (--store), which no server may have open, or that of a server (--url), which is called with a token
that has the scope `users`: from --token-file, or from the environment variable POSTHOUSE_TOKEN.
"""


class Answer(Struct):
    """The answer of a server."""

    result: Raw = Raw(b"null")
    error: ErrorObject | None = None


class Where(Struct, frozen=True):
    """The store that a command is about: the path of a file, or the address of a server with the file of a token,
    and the PEM file of the authorities that are trusted."""

    store: str | None
    url: str | None
    token_file: str | None
    config: Config
    authority: str | None = None

    def call(self, method: str, **params: Any) -> Any:
        """The result of a method of the gateway. Raises Failure."""
        if self.store is not None:
            return _run(self._call_in_process, method, params)
        assert self.url is not None
        return self._call_server(self.url, method, params)

    def perform(self, *requests: Request) -> list[Any]:
        """The values of requests to the file. Raises Failure."""
        assert self.store is not None
        return _run(self._perform, requests)

    async def _call_in_process(self, method: str, params: dict[str, Any]) -> Any:
        service = Service("store", users=True)
        store = SqliteStore(str(self.store))
        async with running(service, host=(), config=self.config, store=store) as server:
            return await server.call(method, params, identity=OPERATOR)

    async def _perform(self, requests: Sequence[Request]) -> list[Any]:
        store: Store = SqliteStore(str(self.store))
        await store.open()
        try:
            outcomes = [await store.perform(request) for request in requests]
        finally:
            await store.close()
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                raise Failure(f"the store refused: {outcome.why}")
            if not isinstance(outcome, Done):
                raise Failure("the store could not do it: try again")
        return [outcome.value for outcome in outcomes if isinstance(outcome, Done)]

    def _call_server(self, url: str, method: str, params: dict[str, Any]) -> Any:
        token = token_to_send(self.token_file)
        options = Options(authority=self.authority)
        if token is not None:
            options = replace(options, headers=((b"Authorization", b"Bearer " + token.encode()),))
        connection = connect(url, options, Deadline(SECONDS))
        try:
            connection.send(json.encode({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}))
            answer = json.decode(connection.receive(), type=Answer)
            connection.finish()
        finally:
            connection.close()
        if answer.error is not None:
            raise failure(RpcError.of(answer.error))
        return json.decode(answer.result)


def store_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options that say which store a command is about: the arguments of `find`."""
    for option in (
        click.option("--config", metavar="FILE.toml", help="The limits of the server: argon2_memory, max_users, …"),
        click.option("--ca", metavar="FILE", help="For --url: trust only the authorities in this PEM file."),
        click.option("--token-file", metavar="FILE", help="The token for --url.  [default: $POSTHOUSE_TOKEN]"),
        click.option("--url", metavar="URL", help="The address of a server whose store this is."),
        click.option("--store", metavar="PATH", help="The file of the store. No server may have it open."),
    ):
        command = option(command)
    return command


def find(*, store: str | None, url: str | None, token_file: str | None, ca: str | None, config: str | None) -> Where:
    """The store that these options name. Raises Misuse."""
    if (store is None) == (url is None):
        raise Misuse("give the store: --store PATH, or --url URL of a server")
    if token_file is not None and url is None:
        raise Misuse("--token-file is for --url")
    if ca is not None and url is None:
        raise Misuse("--ca is for --url")
    return Where(store, url, token_file, Config() if config is None else load_config(config), ca)


def failure(error: RpcError) -> Failure:
    """The text of an error, for a person."""
    data = error.data if isinstance(error.data, dict) else {}
    reason = data.get("reason") or data.get("limit") or ""
    scopes = data.get("scopes")
    hint = f"needs the scope {', '.join(map(str, scopes))}" if scopes else printable(str(reason))
    return Failure(f"error {error.code}: {printable(error.message)}", hint=hint)


def show(value: Any) -> None:
    """Print a value as JSON, on one line."""
    click.echo(json.encode(value).decode())


def pages(where: Where, method: str, member: str, **params: Any) -> None:
    """Print the rows of all pages, each on a line."""
    after = ""
    while True:
        page = where.call(method, after=after, **params)
        for row in page[member]:
            show(row)
        after = page.get("next", "")
        if not after:
            return


def _run(function: Callable[..., Awaitable[R]], *arguments: Any) -> R:
    logging.getLogger("posthouse").setLevel(logging.ERROR)
    try:
        return anyio.run(function, *arguments)
    except RpcError as error:
        raise failure(error) from None
    except UsageError as error:
        raise Failure(str(error)) from None
