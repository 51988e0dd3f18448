"""The command as a whole: help, wrong command lines, exit codes, and what each subcommand imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from posthouse.adapters.command.main import SUBCOMMANDS, main, posthouse

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
FOLDER = Path(__file__).resolve().parents[3] / "adapters" / "posthouse" / "adapters" / "command" / "subcommands"
COMMAND = [sys.executable, "-m", "posthouse"]


# Help


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["stdio"],
        ["call"],
        ["check"],
        ["token"],
        ["token", "hash"],
        ["password"],
        ["password", "hash"],
        ["replay"],
    ],
)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_has_help_with_examples(
    command: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, option]) == 0
    said = capsys.readouterr().out
    assert said.startswith(" ".join(["Usage: posthouse", *command]))
    assert "Example" in said


def test_the_subcommands_are_the_files_of_their_folder() -> None:
    files = {path.stem.replace("_", "-") for path in FOLDER.glob("[!_]*.py")}
    assert set(SUBCOMMANDS) == files
    with posthouse.make_context("posthouse", ["serve"]) as context:
        for name, summary in SUBCOMMANDS.items():
            command = posthouse.get_command(context, name)
            assert command is not None and command.help is not None
            assert command.help.splitlines()[0] == summary


def test_the_help_lists_the_subcommands_with_their_summaries(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for line in (
        "serve     Serve a service over WebSocket and HTTP.",
        "stdio     Serve a service over standard input and output.",
        "call      Call one method and print its result as JSON.",
        "check     List the methods of a service, or report what is wrong with it.",
        "user      Make, list, change and remove users of a store.",
        "session   List and end sessions of a store.",
        "password  Make entries for a file of passwords.",
        "replay    Replay a recorded journal, offline.",
    ):
        assert line in lines


def test_the_options_of_serve_stand_under_headings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = ["Positional arguments:", "Listening:", "Callers:", "Running:", "Options:", "Examples:"]
    assert [line for line in lines if line in headings] == headings


def test_the_help_says_that_allowed_host_names_replace_the_default_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "in place of localhost, 127.0.0.1 and [::1]" in said
    assert "docs/deploy.md" in said and "docs/limits.md" in said


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "posthouse 0.1.0\n"


# Wrong command lines


COMMANDS = ("serve", "stdio", "call", "check", "user", "token", "session", "password", "replay")


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["token", "hsh"], ["no such command 'hsh'", "  did you mean hash?"]),
        (
            ["fly"],
            [
                "no such command 'fly'",
                "  the commands are serve, stdio, call, check, user, token, session, password, replay",
            ],
        ),
        (["srve"], ["no such command 'srve'", "  did you mean serve?"]),
        (["--versoin"], ["no such option '--versoin'. Did you mean '--version'?"]),
        (["serve", "--prot", "1"], ["no such option '--prot'. (Did you mean one of: '--host', '--port'?)"]),
        (["serve", "--zzz"], ["no such option '--zzz'"]),
        (["serve", "--port"], ["option '--port' requires an argument"]),
        (["serve", "--port", "65536"], ["invalid value for '--port': '65536' is not a whole number from 0 to 65535"]),
        (["serve", "--port", "-1"], ["invalid value for '--port': '-1' is not a whole number from 0 to 65535"]),
        (["serve", "--port", "²"], ["invalid value for '--port': '²' is not a whole number from 0 to 65535"]),
        (
            ["serve", "--backend", "curio"],
            ["invalid value for '--backend': 'curio' is not one of 'asyncio', 'uvloop', 'trio'"],
        ),
        (["serve", "a:b", "c:\x1b[2Jd"], ["got unexpected extra argument (c:\\x1b[2Jd)"]),
        (["stdio"], ["missing argument 'MODULE:SERVICE'"]),
        (["call", "http://localhost"], ["missing argument 'METHOD'"]),
        (["replay", "--until", "x", "f"], ["invalid value for '--until': 'x' is not a whole number of at least 0"]),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong_and_is_exit_code_2(
    words: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    *said, usage, help = capsys.readouterr().err.splitlines()
    assert said == [f"posthouse: {lines[0]}", *lines[1:]]
    command = f"posthouse {words[0]}" if words[0] in SUBCOMMANDS else "posthouse"
    assert usage.startswith(f"  usage: {command} [OPTIONS]")
    assert help == f"  for help: {command} --help"


def test_no_command_prints_the_help_on_stderr_and_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Usage: posthouse [OPTIONS] COMMAND")


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--por", "x"]) == 2
    assert "no such option '--por'. (Did you mean one of: '--port', '--store'?)" in capsys.readouterr().err


# Imports


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], ["msgspec", "anyio", "posthouse.core", "posthouse.transports"]),
        (
            ["call", "stdio:true", "m"],
            ["anyio", "asyncio", "posthouse.adapters.server", "posthouse.adapters.simulation"],
        ),
        (["check", "calculator:service"], ["posthouse.adapters.server", "posthouse.adapters.simulation"]),
        (["serve", "--help"], ["posthouse.adapters.simulation", "posthouse.adapters.command.client"]),
        (["replay", "none"], ["posthouse.adapters.simulation", "posthouse.adapters.server"]),
    ],
)
def test_a_command_imports_only_what_it_needs(words: list[str], absent: list[str]) -> None:
    program = (
        "import sys\nfrom posthouse.adapters.command.main import main\n"
        f"main({words!r})\nprint(*sys.modules, sep='\\n', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=EXAMPLES, capture_output=True, text=True)
    loaded = set(done.stderr.splitlines())
    assert "posthouse.adapters.command.main" in loaded
    assert not loaded.intersection(absent)


# Output


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_exits_early_is_not_an_error(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    for words in (["check", "calculator:service"], ["--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([*COMMAND, *words], cwd=EXAMPLES, env=environment, stdout=writing, stderr=subprocess.PIPE)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")
