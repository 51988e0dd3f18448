"""Simulated clients: what they ask, over which link, and when they leave. What they hear is judged in `listener.py`.

A client speaks through a real codec, of the client's side, over a link. It connects when it has something to say, and
again when it has something to say after its link was lost. It may not know the server's gateway.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from msgspec.json import encode
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.network import Link
from posthouse.core.values.errors import UsageError

from .http_speech import HttpSpeech
from .listener import Listener, Surroundings
from .pending import PendingCall, notification, one_kind, pairs
from .speech import ClientProtocol, Event
from .speeches import WebSocketSpeech


class Host(Surroundings, Protocol):
    """What a client needs of its world."""

    def connect(self, client: Client) -> Link | None:
        """A new link to the server, or None: it does not listen, or lets nobody in."""
        ...


class Client(Listener):
    """One client, by its name. `reads` False: it takes nothing from its links; `clogged`: nothing moves on them.

    Its answers go out `answer_delay` seconds after they were asked for. `speak` begins a conversation on each new link.
    """

    def __init__(
        self, name: str, world: Host, stream: Stream, speak: Callable[[Stream, float], ClientProtocol]
    ) -> None:
        super().__init__(name, world)
        self.stream: Final = stream
        self.speak = speak
        self.answer_delay = 0.0
        self.connections = 0
        self.link: Link | None = None
        self.speech: ClientProtocol | None = None
        self.clogged = False
        self._world: Final = world
        self._unsaid: Final[deque[Callable[[], None]]] = deque()
        self._unsent = bytearray()
        self._ticking = False
        self._ending = False
        self._reads = True
        self._leaving: int | None = None

    def __repr__(self) -> str:
        return f"<client {self.name}: {'connected' if self.link is not None else 'not connected'}>"

    # What it says

    def call(
        self,
        method: str,
        /,
        *args: Any,
        timeout_ms: int | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        progress_token: str | int | None = None,
        params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> PendingCall:
        """Call a method, with parameters by position or by name. Those whose names are taken here go into `params`."""
        request = notification(method, one_kind(args, kwargs, params))
        meta = {
            "timeout_ms": timeout_ms,
            "idempotency_key": idempotency_key,
            "traceparent": traceparent,
            "progress_token": progress_token,
        }
        if given := {name: value for name, value in meta.items() if value is not None}:
            request["meta"] = given
        call = self._asked.make(request, self._schedule.now)
        self._ask(request, [call])
        return call

    def notify(self, method: str, /, *args: Any, **kwargs: Any) -> None:
        """Send a notification."""
        self._say(encode(notification(method, one_kind(args, kwargs))), ())

    def batch(self, calls: Iterable[tuple[str, Any]], told: Iterable[tuple[str, Any]] = ()) -> list[PendingCall]:
        """Call several methods in one array: pairs of a method and its parameters, a list or by name a dict. `told` are
        notifications behind them. Raises UsageError for what are no such pairs."""
        requests = [notification(method, params) for method, params in pairs(calls)]
        notifications = [notification(method, params) for method, params in pairs(told)]
        made = [self._asked.make(request, self._schedule.now) for request in requests]
        self._ask(requests + notifications, made)
        return made

    def cancel(self, call: PendingCall) -> None:
        """Ask for the end of a call. Its outcome tells whether that came in time."""
        self.notify("$/cancelRequest", id=call.id)

    def ping(self) -> PendingCall:
        """Ask for a sign of life. It has its result when its pong has come, or that of a later ping. Raises UsageError
        where there are no pings: over anything but a WebSocket."""
        self.connect()
        speech = self.speech
        if not isinstance(speech, WebSocketSpeech | None):
            raise UsageError(f"{self.name} cannot ping: only a WebSocket has pings")
        ping = self._pings.make(self._schedule.now)
        if speech is None:
            self._lose()
        else:
            self._do(partial(speech.ping, ping.id.encode()))
        return ping

    def say(self, text: bytes) -> None:
        """Send one text, whatever it is, over a link that is made if there is none. Nobody knows what it has to be
        answered: on this link the client counts as a liar."""
        self.connect()
        self.liar = True
        self._say(text, ())

    def send(self, data: bytes) -> None:
        """Send bytes, past the codec. What they do to the conversation is this client's own fault, too."""
        self.connect()
        self.liar = True
        self._give(data)

    def _ask(self, message: object, calls: Sequence[PendingCall]) -> None:
        text = encode(message)
        self._asked.add(calls)
        self._say(text, calls)

    def _say(self, text: bytes, calls: Sequence[PendingCall]) -> None:
        self.connect()
        speech = self.speech
        if speech is None:
            return  # nobody listens, and what was to be answered is lost already
        self._largest = max(self._largest, len(text))
        if not isinstance(speech, HttpSpeech):
            self._refusals.said(text, calls)
        self._do(partial(speech.say, text))

    def _do(self, say: Callable[[], None]) -> None:
        """Say it as soon as anything may be said."""
        if self.speech is not None and self.speech.ready:
            say()
            self._work()
        else:
            self._unsaid.append(say)

    # Its link

    def connect(self) -> None:
        """Make a link, if there is none."""
        if self.link is not None:
            return
        link = self._world.connect(self)
        if link is None:
            self._lose()
            return
        self.connections += 1
        self.link = link
        self.liar = False
        self.close_code = None
        self._largest = 0
        self._ending = False
        self._leaving = None
        link.down.reading = self._reads
        link.down.deliver = partial(self._received, link)
        link.down.deliver_eof = partial(self._ended, link)
        link.up.on_room = self._flush
        self.speech = self.speak(self.stream, self._schedule.now)
        self._work()

    @property
    def reads(self) -> bool:
        """Does it take what it is sent?"""
        return self._reads

    @reads.setter
    def reads(self, reads: bool) -> None:
        self._reads = reads
        if self.link is not None:
            self.link.down.reading = reads
            self.link.down.move()

    def close(self, code: int = 1000) -> None:
        """Leave in good order."""
        if self.speech is not None:
            self._leaving = code
            self._work()

    def half_close(self) -> None:
        """Say that nothing more will be said, behind what was."""
        self._ending = True
        self._flush()

    def lost(self, link: Link) -> None:
        """The network, or the other end, has cut this link."""
        if self.link is link:
            self._lose()

    def _received(self, link: Link, data: bytes) -> None:
        if self.link is link and self.speech is not None:
            self.speech.hear(data, self._schedule.now)
            self._work()

    def _ended(self, link: Link) -> None:
        if self.link is link and self.speech is not None:
            self.speech.hear_end(self._schedule.now)
            self._work()
            if self.link is link:
                link.up.end()
                self._lose()

    def _lose(self) -> None:
        """What waits for an answer will have none."""
        self.link = None
        self.speech = None
        self._unsaid.clear()
        self._unsent.clear()
        self._refusals.clear()
        self._asked.lose(self._schedule.now)
        self._pings.lose(self._schedule.now)

    def _give(self, data: bytes) -> None:
        if self.link is None or self._ending:
            return
        taken = 0 if self._unsent else self.link.up.write(data)
        self._unsent += data[taken:]

    def _flush(self) -> None:
        if self.link is None:
            return
        if self._unsent:
            taken = self.link.up.write(bytes(self._unsent[:65536]))
            del self._unsent[:taken]
        if self._ending and not self._unsent:
            self.link.up.end()

    # What it hears

    def _work(self) -> None:
        """Do what the codec says."""
        speech, link = self.speech, self.link
        if speech is None:
            return
        for event in speech.events():
            self._on(event)
        if (self._unsaid or self._leaving is not None) and self.speech is speech and speech.ready:
            while self._unsaid and speech.ready:
                self._unsaid.popleft()()
            if self._leaving is not None:
                speech.close(self._leaving, self._schedule.now)
            for event in speech.events():
                self._on(event)
        if self.link is link and link is not None and speech.over:
            self.half_close()
            if not speech.waits:
                self._leave(link)
        elif not self._ticking and (due := speech.next_timeout()) is not None:
            self._ticking = True
            self._schedule.after(max(due - self._schedule.now, 0.0), self._tick)

    def _leave(self, link: Link) -> None:
        link.up.end()
        link.down.drop()
        self._lose()

    def _tick(self) -> None:
        self._ticking = False
        if self.speech is not None:
            self.speech.handle_timeout(self._schedule.now)
            self._work()

    def _on(self, event: Event) -> None:
        if isinstance(event, bytes):
            self._give(event)
        else:
            self._hear(event)

    def _respond(self, text: bytes) -> None:
        answer = partial(self._answer, self.link, text)
        if self.answer_delay:
            self._schedule.after(self.answer_delay, answer)
        else:
            answer()

    def _answer(self, link: Link | None, text: bytes) -> None:
        if link is not None and self.link is link:  # on another nobody would know what is answered
            self._say(text, ())
