"""A codec on a clock that stands still: bytes in, what it says out, and the manners that every codec has.

`Conduct` is given each output as it comes and raises for what no codec may say, whatever its peer sent. `play` is the
loop of a switchboard around one codec: mutate, drain, and the work that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from posthouse.transports.codec import (
    Ended,
    Exchange,
    Finish,
    HeadRead,
    Heard,
    Pause,
    Probe,
    Resume,
    Send,
    Shut,
    Text,
    Upgrade,
)

MOST_TURNS: Final = 10_000
"""So often work is left, and no more: a codec that always has some never ends."""

MEANINGLESS: Final = (Heard, Pause, Resume)
"""What depends on where the bytes were cut, and may."""


class Conduct:
    """What one codec has said. `meaning` is all of it that must not depend on how the bytes were cut."""

    def __init__(self, most_text: int) -> None:
        self.meaning: list[object] = []
        self.paused = self.finished = self.ended = self.shut = False
        self._most_text = most_text
        self._head_read = False

    def see(self, output: object) -> None:
        """The next output."""
        assert not self.shut, f"it says {output!r} behind the end"
        if not isinstance(output, MEANINGLESS):
            self.meaning.append(output)
        if isinstance(output, Send):
            assert output.data, "it sends nothing"
            assert not self.finished, "it sends behind the half-close"
        elif isinstance(output, Text | Exchange):
            assert not self.ended, "a text follows the end"
            assert len(output.data) <= self._most_text, "a text is larger than its limit"
        elif isinstance(output, Probe | Upgrade):
            assert not self.finished, "a request is read behind the half-close"
        elif isinstance(output, HeadRead):
            assert not self._head_read, "the first head is read twice"
            self._head_read = True
        elif isinstance(output, Pause):
            assert not self.paused, "it pauses twice"
            self.paused = True
        elif isinstance(output, Resume):
            assert self.paused, "it resumes what was not paused"
            self.paused = False
        elif isinstance(output, Ended):
            assert not self.ended, "it ends twice"
            self.ended = True
        elif isinstance(output, Finish):
            assert not self.finished, "it half-closes twice"
            self.finished = True
        elif isinstance(output, Shut):
            self.shut = True


class Machine(Protocol):
    """What is played: a codec of either side."""

    output: list[Any]

    def receive_data(self, data: bytes, now: float) -> None: ...
    def receive_eof(self, now: float) -> None: ...
    def close(self, code: int, now: float) -> None: ...
    def next_timeout(self) -> float | None: ...
    def handle_timeout(self, now: float) -> None: ...
    @property
    def buffered(self) -> int: ...


class Play:
    """One codec and its conduct. `react` is told of each output behind the conduct; `most_held` is what the codec may
    hold while nothing is left to do. `may_pause`: something is left to others. `direct`: messages that the codec, that
    of a server, can hand on without its output are taken from it that way."""

    def __init__(
        self,
        codec: Machine,
        *,
        most_text: int,
        most_held: int,
        react: Callable[[Any], None] | None = None,
        direct: bool = False,
    ) -> None:
        self.codec = codec
        self.conduct = Conduct(most_text)
        self.now = 0.0
        self.may_pause = False
        self._most_held = most_held
        self.react = react
        self._direct = direct

    def feed(self, pieces: Iterable[bytes]) -> None:
        """All pieces, one after the other, until the codec is done with its socket."""
        self.drain()
        for piece in pieces:
            if self.conduct.shut:
                return
            if not (self._direct and self._handed_on(piece)):
                self.codec.receive_data(piece, self.now)
            self.drain()

    def _handed_on(self, piece: bytes) -> bool:
        """Is this piece nothing but whole messages? They are seen."""
        codec: Any = self.codec
        messages = codec.receive_whole(piece, self.now)
        for message in messages:
            self.see(message)
        return bool(messages)

    def end_input(self) -> None:
        """The peer half-closes, if the socket is still there."""
        if not self.conduct.shut:
            self.codec.receive_eof(self.now)
            self.drain()

    def drain(self) -> None:
        """Perform what was said, and the work that is left, until there is none."""
        for _ in range(MOST_TURNS):
            self._perform()
            due = self.codec.next_timeout()
            if due is None or due > self.now or self.conduct.shut:
                break
            self.codec.handle_timeout(self.now)
        else:
            raise AssertionError("there is always work left")
        assert not self.conduct.paused or self.conduct.shut or self.may_pause, (
            "nothing is left to do, and reading is paused"
        )
        assert self.codec.buffered <= self._most_held, "more is held than may be"

    def _perform(self) -> None:
        while self.codec.output:
            outputs = list(self.codec.output)
            self.codec.output.clear()
            for output in outputs:
                self.see(output)

    def see(self, output: object) -> None:
        """The codec says this, and whoever reacts is told."""
        self.conduct.see(output)
        if self.react is not None:
            self.react(output)

    def pass_deadlines(self) -> None:
        """Let time go on from deadline to deadline until there is none."""
        for _ in range(MOST_TURNS):
            due = self.codec.next_timeout()
            if due is None or self.conduct.shut:
                return
            self.now = max(self.now, due)
            self.codec.handle_timeout(self.now)
            self.drain()
        raise AssertionError("deadlines follow each other for ever")

    def leave(self, code: int = 1001) -> None:
        """Close from our side, and wait as long as the codec does. It is over then, and holds nothing."""
        self.pass_deadlines()
        if not self.conduct.shut:
            self.codec.close(code, self.now)
            self.drain()
            self.pass_deadlines()
        assert self.conduct.shut, "it was closed, all deadlines are over, and it is not shut"
        assert self.codec.buffered == 0, "it holds bytes behind the end"
        assert self.codec.next_timeout() is None, "it has a deadline behind the end"
