"""The recorder: it stands between an adapter and its machine, and writes every input of the machine.

It does not change inputs, results or exceptions. Results of handlers are written as the JSON that they became. A server
that does not record has none of this in its path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from hashlib import shake_256
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace
from posthouse.core.gateway import Gateway
from posthouse.core.service.results import Encoding, ResultError
from posthouse.core.service.service import Service
from posthouse.core.sessions.keys import read_secret, text_of
from posthouse.core.values.config import Config
from posthouse.core.values.effects import ASKS, Emit, Invoke
from posthouse.core.values.lifecycle import ConnectionOpened, EventName
from posthouse.core.values.peers import Address, SocketId
from posthouse.transports.forwarding import Networks
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.switchboard import Switchboard
from posthouse.transports.websocket.server import WebSocket

from .arguments import NOTATIONS, InvalidResult, as_json, encodable, hide_credentials, write_argument
from .format import INPUTS, Entry, Header, encode_line, parameters
from .logins import Hide, hide_logins
from .redaction import Redactor
from .stored import without_passwords

Write = Callable[[bytes], object]
"""Takes one line. Returning False (and only that) ends the recording."""


class Recorder:
    """Records one machine from its construction on.

    Build the gateway with the recorder's `service` and `entropy`, then call `watch` before the first input:

        recorder = Recorder(service, header, write, entropy)
        gateway = Gateway(recorder.service, config, wall=wall, entropy=recorder.entropy)
        recorder.watch(Switchboard(gateway, policy))
    """

    def __init__(self, service: Service, header: Header, write: Write, entropy: Callable[[int], bytes]) -> None:
        self.service: Final = copy(service)
        self.service.methods = {
            name: replace(method, encode_result=self._noting(method.encode_result))
            for name, method in service.methods.items()
        }
        self._write: Final = write
        self._entropy: Final = entropy
        self._hiding: bytes | None = None
        self._drawn: list[bytes] = []
        self._result: Raw | InvalidResult | None = None
        self._redactors: Final[dict[int, Redactor]] = {}
        self._inside = False
        self._machine: Switchboard | Gateway | None = None
        self._kind: Final = header.machine
        self._proxies: Final = Networks(header.config.get("trust_proxies", ()))
        write(encode_line(header))

    def entropy(self, size: int) -> bytes:
        """The entropy of the machine."""
        piece = self._entropy(size)
        self._drawn.append(piece)
        return piece

    def secrets(self, size: int) -> bytes:
        """The secrets of the machine. Others are recorded in their places, which a replay draws as entropy."""
        piece = self._entropy(size)
        self._drawn.append(self._stand_in(piece))
        return piece

    def watch(self, machine: Switchboard | Gateway) -> None:
        """Record every input of this machine from now on."""
        self._machine = machine
        for name in INPUTS[self._kind]:
            setattr(machine, name, self._recorded(machine, name))

    def stop(self) -> None:
        """Stop recording. The machine's methods are its own again."""
        machine, self._machine = self._machine, None
        if machine is not None:
            for name in INPUTS[self._kind]:
                delattr(machine, name)

    def _noting(self, encode: Encoding) -> Encoding:
        def encode_result(result: object) -> bytes:
            try:
                data = encode(result)
            except ResultError as error:
                self._result = InvalidResult(error.reason)
                raise
            self._result = Raw(data)
            return data

        return encode_result

    def _recorded(self, machine: Switchboard | Gateway, name: str) -> Callable[..., Any]:
        """The input, recorded after it has run: only then are its entropy, and the calls that began, known."""
        original: Callable[..., Any] = getattr(machine, name)
        needed, known = parameters(self._kind, name)
        all_needed, all_known = frozenset(needed), frozenset(known)
        settled = {parameter: settle for parameter in known if (settle := NOTATIONS[parameter].settle) is not None}
        outbox: list[Any] = machine.outbox

        def record(*positional: Any, **named: Any) -> Any:
            arguments = dict(zip(known, positional, strict=False))
            arguments.update(named)
            fits = len(positional) <= len(known) and all_needed <= arguments.keys() <= all_known
            if self._inside or self._machine is None or not fits:
                return original(*positional, **named)
            if settled:
                for parameter, settle in settled.items():
                    if parameter in arguments:
                        arguments[parameter] = settle(arguments[parameter])
                positional = tuple(arguments[parameter] for parameter in known[: len(positional)])
                named = {parameter: arguments[parameter] for parameter in named}
            before = len(outbox)
            self._inside = True
            self._result = returned = raised = None
            try:
                returned = original(*positional, **named)
            except BaseException as error:
                raised = type(error).__name__
                raise
            finally:
                self._inside = False
                self._note(name, arguments, outbox[before:], returned, raised)
            return returned

        return record

    def _note(
        self, name: str, arguments: dict[str, Any], actions: list[Any], returned: Any, raised: str | None
    ) -> None:
        if name == "complete":
            unseen = self._result is None and raised is not None  # it raised before the result was encoded
            arguments["result"] = as_json(arguments.get("result")) if unseen else self._result
        elif name == "conclude":
            arguments["outcome"] = without_passwords(arguments.get("outcome"))
        elif name == "receive" and has_secrets(self.service) and type(arguments.get("data")) is bytes:
            arguments["data"] = hide_logins(arguments["data"], Hide(self._placeholder, self._session_secret))
        elif name == "connect" and "credentials" in arguments:
            arguments["credentials"] = hide_credentials(arguments["credentials"], self._placeholder, self._stand_in)
        elif name in ("opened", "received", "closed"):
            self._keep_secrets(arguments, returned)
        opened = [a.event for a in actions if type(a) is Emit and type(a.event) is ConnectionOpened]
        if name != "received" and any(event.kind == "websocket" for event in opened):
            # Its handshake came earlier, and waited for the response to the request before it.
            for socket in filter(self._upgraded, list(self._redactors)):
                del self._redactors[socket]
        drawn, self._drawn = self._drawn, []
        entry = Entry(
            name,
            {parameter: write_argument(parameter, argument) for parameter, argument in arguments.items()},
            tuple(drawn),
            returned,
            tuple(event.connection for event in opened),
            tuple(action.call for action in actions if type(action) is Invoke),
            raised,
            tuple(action.operation for action in actions if isinstance(action, ASKS)),
        )
        try:
            line = encode_line(entry)
        except Exception:  # a lone surrogate, or NaN
            kept = {parameter: encodable(argument) for parameter, argument in entry.arguments.items()}
            line = encode_line(replace(entry, arguments=kept))
        if self._write(line) is False:
            self.stop()

    def _placeholder(self, secret: str) -> str:
        """A text in place of a secret, of its length. Equal secrets have equal texts. It does not help to guess one."""
        minted = read_secret(secret)
        if minted is not None:  # it may be a token of the store: a replay makes this one
            return text_of(self._stand_in(minted))
        data = secret.encode("utf-8", "surrogatepass")
        return self._stand_in(data).hex()[: len(data)]

    def _session_secret(self, secret: str) -> str:
        """The secret that a replay mints in place of this one."""
        minted = read_secret(secret)
        return self._placeholder(secret) if minted is None else text_of(self._stand_in(minted))

    def _stand_in(self, data: bytes) -> bytes:
        if self._hiding is None:
            self._hiding = self._entropy(32)
        return shake_256(self._hiding + data).digest(len(data))

    def _keep_secrets(self, arguments: dict[str, Any], returned: Any) -> None:
        """Redact the bytes of each socket that may speak HTTP, until the socket closes or becomes a WebSocket."""
        address, socket, data = (arguments.get(name) for name in ("address", "socket", "data"))
        if isinstance(address, Address):
            if returned is not None and address.transport == "stream":
                self._redactors[returned] = Redactor(proxy=self._proxies.trust(address))
        elif type(socket) is int and socket in self._redactors:
            upgraded = self._upgraded(socket)
            if isinstance(data, bytes | bytearray | memoryview):
                arguments["data"] = self._redactors[socket].redact(bytes(data), upgraded=upgraded)
            if data is None or upgraded:
                del self._redactors[socket]

    def _upgraded(self, socket: int) -> bool:
        """Has the machine made a WebSocket of it? The peer's own claim does not count."""
        assert isinstance(self._machine, Switchboard)
        line = self._machine._sockets.records.get(SocketId(socket))
        return line is not None and type(line.codec) is WebSocket


def has_secrets(service: Service) -> bool:
    """Do clients of this service send secrets in their texts?"""
    return bool(service.authenticators) or service.accounts.sessions != "off"


def record(
    service: Service,
    config: Config,
    policy: Policy,
    write: Write,
    *,
    wall: float,
    entropy: Callable[[int], bytes],
    events: tuple[EventName, ...] = (),
    about: Mapping[str, str | float] = {},
    gateway: type[Gateway] = Gateway,
    board: type[Switchboard] = Switchboard,
    direct: bool = True,
    store: str | None = None,
) -> Switchboard:
    """A switchboard of this service that is recorded from its first input on. `write` takes each line; `wall`,
    `entropy` and `events` are as for a Gateway, `about` and `direct` as for a Switchboard; `gateway` is the class to
    build, and so is `board`; `store` is the durability of a store outside. If clients send secrets, the gateway alone
    is recorded: bytes of sockets would be credentials. So it is if the class of the board has inputs of its own."""
    recorded = None if has_secrets(service) or board is not Switchboard else policy
    header = Header.of(service, config, wall=wall, policy=recorded, events=events, direct=direct, store=store)
    recorder = Recorder(service, header, write, entropy)
    core = gateway(recorder.service, config, wall=wall, entropy=recorder.entropy, events=events)
    core.draw_secrets_from(recorder.secrets)
    if store is not None:
        core.use_external_store(store)
    made = board(core, policy, about, direct=direct)
    recorder.watch(core if recorded is None else made)
    return made
