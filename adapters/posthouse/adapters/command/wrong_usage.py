"""A wrong command line, in our words: the error, what to write instead, and where the help is.

click detects the error; its texts are replaced where ours say more.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

import click
from posthouse.adapters.terminal import complain, printable, say


def report_usage(error: click.UsageError) -> None:
    """Print a wrong command line's error on stderr."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return
    text, hint = _explain(error)
    complain(printable(text), [hint, *_usage(error.ctx)])


def _explain(error: click.UsageError) -> tuple[str, str]:
    if isinstance(error, click.NoSuchOption):
        return f"unknown option {error.option_name}", _did_you_mean(error.possibilities or [])
    if isinstance(error, click.NoSuchCommand):
        assert error.ctx is not None
        assert isinstance(error.ctx.command, click.Group)
        names = error.ctx.command.list_commands(error.ctx)
        near = get_close_matches(error.command_name, names)
        hint = _did_you_mean(near) or f"the commands are {', '.join(names)}"
        return f"unknown command {error.command_name}", hint
    if isinstance(error, click.BadParameter) and error.param is not None:
        name = error.param.opts[0] if isinstance(error.param, click.Option) else error.param.human_readable_name
        if isinstance(error, click.MissingParameter):
            return f"missing argument {name}", ""
        return f"{name}: {error.message.rstrip('.')}", ""
    text = error.format_message().rstrip(".")
    return f"{text[:1].lower()}{text[1:]}", ""


def _did_you_mean(names: list[str]) -> str:
    return f"did you mean {' or '.join(names)}?" if names else ""


def _usage(context: click.Context | None) -> Iterator[str]:
    if context is not None:
        usage = context.get_usage()
        yield f"{usage[:1].lower()}{usage[1:]}"
        yield f"for help: {context.command_path} --help"
