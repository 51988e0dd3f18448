"""A group that imports a subcommand only when that subcommand runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click

from .options import write_epilog


class LazyGroup(click.Group):
    """A group whose subcommands are modules of `package`. `summaries` has one line for each, in the order of the help.

    The module of `token-hash` is `token_hash`; it holds a click command named `command`.
    """

    def __init__(self, *args: Any, package: str, summaries: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._package: Final = package
        self._summaries: Final = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the subcommands."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand of this name, or return None if there is none."""
        if cmd_name not in self._summaries:
            return None
        module = import_module(f"{self._package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries, without an import."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the epilog without wrapping it."""
        write_epilog(self.epilog, formatter)
