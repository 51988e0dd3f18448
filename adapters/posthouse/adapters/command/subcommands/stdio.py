"""`posthouse stdio`: a service over standard input and output."""

from __future__ import annotations

from typing import Final

import click
from posthouse.adapters.command.loading import load_service
from posthouse.adapters.command.options import Command, service_argument
from posthouse.adapters.command.running import Running, prepare, run_service, running_options
from posthouse.adapters.server.entrances.stdio import take_pipes
from posthouse.adapters.terminal import Failure
from posthouse.core.values.lifecycle import ConnectionClosed

EPILOG: Final = """\
Examples:
  echo '{"jsonrpc": "2.0", "method": "add", "params": [1, 2], "id": 1}' \\
      | posthouse stdio calculator:service
  posthouse call stdio:'posthouse stdio calculator:service' add '[1, 2]'
"""

NORMAL_CODES: Final = (None, 1000, 1012)
"""The close codes of a connection that ended as it should: the peer left, it was idle, or the server shut down."""


@click.command(cls=Command, epilog=EPILOG)
@service_argument(required=True, help="The Service: an importable module, and a name in it.")
@click.option("--dev", is_flag=True, help="Development: the peer has every scope.")
@running_options
def command(target: str, dev: bool, running: Running) -> int:
    """Serve a service over standard input and output.

    Requests come in on standard input, and answers go to standard output: one JSON text per line, or with
    Content-Length headers as in the Language Server Protocol. The first message decides which. What the service
    prints goes to standard error.

    The exit code is 0 when the input has ended and running calls have finished. It is 1 when the server closed the
    connection because of a limit or invalid input.
    """
    pipes = take_pipes()  # before the service is imported: what it prints must not go between our messages
    config = prepare(running)
    service = load_service(target)
    closed: list[int] = []

    @service.on("connection.closed")
    def note(event: ConnectionClosed) -> None:
        if event.kind == "cli" and event.code not in NORMAL_CODES:
            closed.append(event.code)

    run_service(running, service, pipes=[pipes], config=config, dev=dev)
    if closed:
        hint = "the log names the limit; docs/limits.md explains the close codes"
        raise Failure(f"the server closed the connection with code {closed[0]}", hint=hint)
    return 0
