"""A reader who does what a page says, in a folder of their own.

- A `python` block with a title is a file: ```` ```python notes.py ````. With `+` in front of the name, it is added to
  the end of that file. Without a title, the block is run as a program. So is a `js` block, where node is installed.
- An `sh` block is run line by line. `posthouse serve` runs in the background until the next one or `posthouse replay`,
  on a free port: wherever the page says 127.0.0.1:8000, that port is meant. With options for other machines it is only
  parsed.
- A `toml` block is a configuration file.
- A `json` block behind an `sh` block is what the last command of that block prints.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import IO, Final

import click
from posthouse.adapters.command.loading import load_config
from posthouse.adapters.command.main import posthouse

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, ROOT

from .pages import Block

ADDRESS: Final = re.compile(r"(?:127\.0\.0\.1|localhost):8000")

ELSEWHERE: Final = {"--host", "--unix", "--tls-cert", "--tls-key", "--allow-host", "--config"}
"""Options of `posthouse serve` with which a page serves other machines, or with files that the reader does not have."""

FOR_PEOPLE: Final = {
    *("make", "mkdir", "pip", "git", "python", "python3", "source", ".", "export", "uv", "cd"),
    *("sudo", "systemctl", "journalctl", "docker", "nginx", "chgrp", "pyright", "mypy", "ruff", "kill"),
}
"""Commands that change the reader's machine, or take minutes. They are not run."""

RUN: Final = {"posthouse", "curl", "pytest"}

CALCULATOR: Final = "posthouse serve calculator:service --dev"
"""What `make serve` runs."""

TYPED: Final = "the password of a reader\n"
"""What the reader types if a command asks."""

IMPORTED: Final = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)


class Reader:
    """Does what the blocks of one page say."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.printed = ""
        self.port: int | None = None
        self._server: subprocess.Popen[str] | None = None
        self._log: Thread | None = None
        tools = folder / ".bin"
        tools.mkdir()
        for tool, module in (("posthouse", "posthouse"), ("pytest", "pytest")):
            script = tools / tool
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
            script.chmod(0o755)
        rings = ENVIRONMENT["PYTHONPATH"]
        self.environment: Final = {
            **ENVIRONMENT,
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join((str(folder), rings, str(ROOT / "examples"))),
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
        }

    def close(self) -> None:
        """Shut down the server that runs."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(PATIENCE)
            self._server = None
        if self._log is not None:
            self._log.join()
            self._log = None

    def do(self, block: Block) -> None:
        """Do what a block says. AssertionError if it does not work."""
        if block.language == "python":
            self._python(block)
        elif block.language == "js" and (node := shutil.which("node")):
            self._run([node, "--input-type=module", "-e", self._here(block.text)])
        elif block.language == "sh":
            for line in commands(block.text):
                self._command(line)
        elif block.language == "toml":
            (self.folder / "limits.toml").write_text(block.text)
            load_config(str(self.folder / "limits.toml"))
        elif block.language == "json" and self.printed:
            assert json.loads(self.printed) == json.loads(block.text)
        if block.language != "sh":
            self.printed = ""

    def _python(self, block: Block) -> None:
        compile(block.text, "block", "exec", dont_inherit=True)
        if block.title:
            added = block.title.startswith("+")
            file = self.folder / block.title.removeprefix("+").strip()
            file.write_text((file.read_text() + "\n\n" if added else "") + self._here(block.text))
        elif all(find_spec(name) or (self.folder / f"{name}.py").exists() for name in IMPORTED.findall(block.text)):
            self._run([sys.executable, "-W", "error", "-c", self._here(block.text)])

    def _command(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        tool = Path(words[0]).name or words[0]
        if line.startswith("make serve"):
            self._serve(CALCULATOR, ROOT / "examples")
        elif tool == "posthouse" and words[1] == "serve":
            if ELSEWHERE & {word.partition("=")[0] for word in words}:
                parse(words[1:])
            else:
                self._serve(line, self.folder)
        elif tool == "posthouse" and words[1] == "replay":
            self.close()  # so that its journal is whole
            self.printed = self._run(["sh", "-c", line])
        elif tool in RUN and shutil.which(tool, path=self.environment["PATH"]):
            self.printed = self._run(["sh", "-c", self._here(line.replace(".venv/bin/", ""))])
        else:
            known = tool in RUN | FOR_PEOPLE or line.startswith("tests/") or "=" in words[0]
            assert known, f"nobody has said whether {tool} is to be run"

    def _here(self, text: str) -> str:
        """The text with the address of the server that runs."""
        if not ADDRESS.search(text) or self.port is None:
            return text
        return ADDRESS.sub(f"127.0.0.1:{self.port}", text)

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            input=TYPED,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _serve(self, line: str, folder: Path) -> None:
        self.close()
        command = shlex.split(line, comments=True)
        parse(command[1:])
        self._server = subprocess.Popen(
            [sys.executable, "-m", "posthouse", *command[1:], "--port", "0"],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._server.stderr is not None
        said: list[str] = []
        for text in self._server.stderr:
            said.append(text)
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", text):
                self.port = int(found[1])
                self._log = Thread(target=drop, args=(self._server.stderr,))
                self._log.start()
                return
        self._server.stderr.close()
        raise AssertionError("".join(said))


def drop(stream: IO[str]) -> None:
    """Read what a server logs, so that it never waits for a reader."""
    with stream:
        for _ in stream:
            pass


def commands(text: str) -> Iterator[str]:
    """The commands of an `sh` block. Lines that end with a backslash are joined, comments are left out."""
    for line in text.replace("\\\n", " ").splitlines():
        command = line.strip()
        if command and not command.startswith("#"):
            yield command


def parse(words: list[str]) -> None:
    """Parse a command line of `posthouse` without running it. AssertionError if it is wrong."""
    # A command remembers its option --help, whose names come from the context of the group.
    group = click.Context(posthouse, help_option_names=["-h", "--help"])
    command = posthouse.get_command(group, words[0])
    assert command is not None, words
    try:
        command.make_context(words[0], words[1:], parent=group)
    except click.ClickException as error:
        raise AssertionError(f"posthouse {shlex.join(words)}: {error.format_message()}") from None
