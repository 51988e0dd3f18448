"""What clients do with sessions in a storm: they make them, come back to them with right and wrong secrets, change
their data, and end them. What they are told must agree with what anybody was told before.

This module does not know which faults links, server and store have. An answer may come late: what counts is when it was
asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec import Struct, field
from posthouse.adapters.invariants import must
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.clients.client import Client
from posthouse.adapters.simulation.clients.pending import PendingCall
from posthouse.adapters.simulation.clients.protocols.http import HttpProtocol
from posthouse.adapters.simulation.clients.protocols.pages import Credentials
from posthouse.adapters.simulation.storms.episodes.sessions.facts import GONE, Facts
from posthouse.adapters.simulation.storms.workload import SampleWorkload

from .service import CART

OFTEN: Final = 600
"""How often, in a thousand turns, a client does something with sessions."""

HEADERS: Final = 400
"""How many connections in a thousand come with the header of a session."""

INVENTED: Final = (("x" * 22, "y" * 43), ("A" * 22, "A" * 43), ("short", "z"), ("", ""))
"""Sessions that nobody has made, with secrets."""


class Here(Struct, eq=False):
    """What a client knows of one link: the session that its connection has, if any; those that it may have had; the
    members that it has set; how many calls without an answer may change its session."""

    link: int
    session: str | None
    tried: dict[str, None] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    changing: int = 0


class KeepingWorkload:
    """The clients of one storm. Everything that was told to them is in `facts`, in the order of its `step`."""

    def __init__(self, sample: SampleWorkload, raging: Callable[[], bool]) -> None:
        self._sample: Final = sample
        self._raging: Final = raging
        self.facts: Final = Facts()
        self.step = 0
        self._came: Final[dict[str, tuple[str, str] | None]] = {}
        self._here: Final[dict[str, Here]] = {}
        self._members = 0

    def draw(self, name: str, stream: Stream) -> Credentials:
        """The credentials with which a client opens its next connection. In the second phase there are none: the server
        must answer everybody."""
        self._came[name] = None
        if not (self._raging() and stream.happens(HEADERS) and self.facts.sessions):
            return Credentials()
        key = self._came[name] = self._key(stream)
        return Credentials(headers=((b"Posthouse-Session", ".".join(key).encode()),))

    def act(self, client: Client) -> None:
        """The turn of a client."""
        if not client.stream.happens(OFTEN):
            self._sample.act(client)
            return
        client.connect()
        if client.protocol is not None:
            self._do(client, self._knows(client))

    def _knows(self, client: Client) -> Here:
        here = self._here.get(client.name)
        if here is None or here.link != client.connections:
            came = self._came.get(client.name)
            session = None if came is None else came[0]
            here = self._here[client.name] = Here(client.connections, session)
            if session is not None:
                here.tried[session] = None
        return here

    def _key(self, stream: Stream) -> tuple[str, str]:
        """A session with a secret: the newest one, most of the time."""
        known = list(self.facts.sessions.values())
        if not known or stream.happens(100):
            return stream.pick(INVENTED)
        session = stream.pick((known[-1], stream.pick(known)))
        secrets = session.secrets
        return session.id, stream.pick((secrets[-1], secrets[-1], secrets[-2:][0], stream.pick(secrets), "y" * 43))

    def _do(self, client: Client, here: Here) -> None:
        stream = client.stream
        self.step += 1
        known = here.session is not None or bool(here.changing)
        match stream.choose(9) if known or stream.happens(500) else 0:
            case 0:
                name = self._member()
                self._change(client, here, "session.create", {"data": {name: 1}})
            case 1 | 2:
                session, secret = self._key(stream)
                given: dict[str, Any] = {"session": session, "secret": secret}
                here.tried[session] = None
                if stream.happens(200):
                    given["replaces"] = stream.pick(("nobody", "x" * 22))
                for _ in range(stream.pick((1, 1, 2))):
                    self._change(client, here, "session.resume", given)
            case 3 | 4:
                self._update(client, here)
            case 5:
                call = client.call("session.get")
                call.then(partial(self._got, client, here, self.step))
            case 6:
                client.call("session.list").then(partial(self._check, client, "session.list"))
            case 7 if stream.happens(400):
                other = stream.pick((None, stream.pick(list(self.facts.sessions) or ["x" * 22])))
                certain = here.session if not here.changing else None
                call = client.call("session.end", params={} if other is None else {"session": other})
                call.then(partial(self._ended, client, other or certain))
            case _:
                name = self._member()
                self._sets(here, name)
                client.call(CART, name).then(partial(self._carted, client, name))

    def _sets(self, here: Here, name: str) -> None:
        """A member is set in one of the sessions that the connection may have."""
        here.members[name] = 1
        for session in here.tried:
            self.facts.asked(session, {name: 1})

    def _member(self) -> str:
        self._members += 1
        return f"m{self._members}"

    def _change(self, client: Client, here: Here, method: str, params: dict[str, Any]) -> None:
        """Make a call after which the connection may have another session."""
        here.changing += 1
        call = client.call(method, params=params)
        call.then(partial(self._opened, client, here, self.step, params))
        if client.stream.happens(50):
            client.cancel(call)

    def _update(self, client: Client, here: Here) -> None:
        stream, name = client.stream, self._member()
        members, unset = {name: 1}, [f"m{stream.choose(self._members)}"] if stream.happens(300) else []
        params: dict[str, Any] = {"set": members, "unset": unset}
        if stream.happens(300):
            params["version"] = 1 + stream.choose(4)
        self._sets(here, name)
        for session in here.tried:
            self.facts.removes(session, unset)
        certain = here.session if not here.changing else None
        call = client.call("session.update", params=params)
        call.then(partial(self._updated, client, certain, params))

    # What clients are told

    def _check(self, client: Client, method: str, call: PendingCall) -> bool:
        """Has this call a result that counts? Raises Violation for an error that it cannot have."""
        self.step += 1
        if client.broke_protocol:
            return False
        if call.error is not None:
            self._sample.check_error(method, call, call.error)
            if call.error.code == GONE["code"]:
                told = {"code": call.error.code, "message": call.error.message}
                must(told == GONE and call.error.data is None, "sessions: a refusal tells more than another one", told)
        return call.status == "result"

    def _opened(self, client: Client, here: Here, since: int, params: dict[str, Any], call: PendingCall) -> None:
        here.changing -= 1
        if not self._check(client, call.method, call):
            return
        told = call.value
        if "secret" in params:
            must(told["id"] == params["session"], "sessions: another session was resumed", told["id"])
            self.facts.used(told["id"], params["secret"], since, self.step)
        self.facts.told(told["id"], told["secret"], None, since, self.step)
        self.facts.asked(told["id"], params.get("data", {}))
        self.facts.asked(told["id"], here.members)
        self.facts.seen(told["id"], told["data"], told["version"], since)
        here.tried[told["id"]] = None
        if not isinstance(client.protocol, HttpProtocol):
            here.session = told["id"]

    def _updated(self, client: Client, session: str | None, params: dict[str, Any], call: PendingCall) -> None:
        if self._check(client, "session.update", call) and session in self.facts.sessions:
            self.facts.changed(session, params, call.value["version"], self.step)

    def _got(self, client: Client, here: Here, since: int, call: PendingCall) -> None:
        if self._check(client, "session.get", call) and call.value["id"] in self.facts.sessions:
            told = call.value
            must(told["id"] in here.tried, "sessions: a caller is told another session", told["id"], *here.tried)
            self.facts.seen(told["id"], told["data"], told["version"], since)

    def _ended(self, client: Client, session: str | None, call: PendingCall) -> None:
        if self._check(client, "session.end", call):
            self.facts.end(session, self.step)

    def _carted(self, client: Client, name: str, call: PendingCall) -> None:
        if not self._check(client, CART, call):
            return
        session, version = call.value
        if session in self.facts.sessions:
            self.facts.changed(session, {"set": {name: 1}}, version, self.step)
