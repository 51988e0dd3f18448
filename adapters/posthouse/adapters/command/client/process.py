"""A stream over the standard input and output of a process that is started for one call."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import time
from typing import Final

from posthouse.adapters.terminal import Misuse

from .deadline import READ_BYTES, Deadline, NoConnection

EXIT_GRACE: Final = 5.0
"""Seconds that the process has to exit after its input ends, and again after it was told to terminate."""


class ProcessStream:
    """The standard input and output of a process. Its standard error is ours."""

    def __init__(self, command: list[str], deadline: Deadline) -> None:
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise NoConnection(f"cannot run {command[0]}: {error.strerror}") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input: Final = self._process.stdin
        self._output: Final = self._process.stdout
        self.deadline = deadline
        os.set_blocking(self._input.fileno(), False)  # this changes our end of the pipe alone

    def send(self, data: bytes) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            if not select.select([], [self._input], [], self.deadline.left())[1]:
                raise self.deadline.expired()
            try:
                rest = rest[os.write(self._input.fileno(), rest) :]
            except BrokenPipeError:
                return  # the process may have answered before it exited: `receive` reports the end

    def receive(self) -> bytes:
        """Some bytes, or none at the end."""
        if not select.select([self._output], [], [], self.deadline.left())[0]:
            raise self.deadline.expired()
        return os.read(self._output.fileno(), READ_BYTES)

    def close(self) -> None:
        """End the input of the process and wait for its exit. If it does not exit, terminate it, then kill it."""
        self._input.close()
        for end in (self._process.terminate, self._process.kill):
            if self._exits():
                break
            end()
        self._process.wait()
        self._output.close()

    def _exits(self) -> bool:
        """Wait for the exit, at most `EXIT_GRACE`. Discard the output, so that the process is not blocked by it."""
        until = time.monotonic() + EXIT_GRACE
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._output], [], [], left)[0]:
                return False
            if not os.read(self._output.fileno(), READ_BYTES):
                break
        try:
            self._process.wait(max(left, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


def start_process(command: str, deadline: Deadline) -> ProcessStream:
    """Start a process. The command is split as a shell splits it. Raises NoConnection, or Misuse for a bad command."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Misuse(f"cannot parse the command {command!r}: {error}") from None
    if not words:
        raise Misuse("stdio: has no command", hint="example: stdio:'posthouse stdio calculator:service'")
    return ProcessStream(words, deadline)
