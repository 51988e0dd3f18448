"""What click lacks for our help pages, and the kinds of values that options take. No subcommand is known here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

MAX_SECONDS: Final = 1_000_000
"""The longest time that an option takes. The timeouts of sockets end soon above it, at 2**31 milliseconds."""


class Option(click.Option):
    """An option that stands under the heading `section` on the help page."""

    def __init__(self, declarations: Sequence[str], section: str = "Options", **settings: Any) -> None:
        super().__init__(declarations, **settings)
        self.section: Final = section


class HelpPage(click.Command):
    """A command whose epilog is printed as it is written, after an empty line."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            formatter.write(f"\n{self.epilog}")


class CommandGroup(HelpPage, click.Group):
    """A subcommand that has subcommands of its own."""


class Command(HelpPage):
    """A subcommand. Its options stand under their headings."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse. Each error names the command: click leaves it out of some."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None and isinstance(parameter, click.Option):
                title = parameter.section if isinstance(parameter, Option) else "Options"
                sections.setdefault(title, []).append(row)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of an option that takes a whole number in this range."""

    def number(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() else -1
        if value < least or (most is not None and value > most):
            limits = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise click.BadParameter(f"{text!r} is not a whole number {limits}")
        return value

    return number


def seconds(text: str) -> float:
    """The type of an option that takes a time in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_SECONDS:
        raise click.BadParameter(f"{text!r} is not a number of seconds above 0 and up to {MAX_SECONDS}")
    return value


def service_argument(*, required: bool, help: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The argument MODULE:SERVICE, as `target`."""
    metavar = "MODULE:SERVICE" if required else "[MODULE:SERVICE]"
    return click.argument("target", required=required, metavar=metavar, help=help)
