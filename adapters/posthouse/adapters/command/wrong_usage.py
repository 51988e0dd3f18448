"""A wrong command line: click's text for the error, the usage of the command, and where the help is."""

from __future__ import annotations

from difflib import get_close_matches

import click
from posthouse.adapters.terminal import complain, printable, say


def report_usage(error: click.UsageError) -> None:
    """Print a wrong command line's error on stderr."""
    text, context, hint = error.format_message(), error.ctx, ""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(text)
        return
    assert context is not None, "click sets it, and `Command` where click does not"
    if isinstance(error, click.NoSuchCommand) and isinstance(context.command, click.Group):
        names = context.command.list_commands(context)
        text = f"no such command {error.command_name!r}"  # click has a suggestion of its own in it
        near = get_close_matches(error.command_name, names)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the commands are {', '.join(names)}"
    complain(
        printable(_lower(text.rstrip("."))),
        [hint, _lower(context.get_usage()), f"for help: {context.command_path} --help"],
    )


def _lower(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}"
