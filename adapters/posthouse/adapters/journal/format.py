"""The format of a journal: every input of a machine, in order, so that another machine can be given the same.

One JSON text per line: a header, an entry for each input, and an end if recording ended by itself. Credentials have
been replaced before they come here (`redaction.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from msgspec import DecodeError, Struct, field, json, structs
from posthouse.adapters.version import installed_version
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import EventName
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.switchboard import Switchboard

FORMAT: Final = 1
"""The version of the format; a reader refuses any other. Raise it if an input or an argument is renamed or removed."""

T = TypeVar("T")

Machine = Literal["switchboard", "gateway"]

APPLICATION: Final = (
    "complete",
    "fail",
    "conclude",
    "revoke",
    "progress",
    "notify",
    "broadcast",
    "request",
    "abandon",
    "ask_session",
    "publish",
    "unsubscribe",
)
LIFETIME: Final = ("shut_down", "set_wall", "handle_timeout")

INPUTS: Final[dict[Machine, tuple[str, ...]]] = {
    "switchboard": (
        *("opened", "received", "received_eof", "held", "sent", "closed"),
        *("call", "hang_up", *APPLICATION, *LIFETIME),
    ),
    "gateway": (
        *("accepted", "head_read", "arrived", "released", "connect", "receive", "heard", "disconnected"),
        *("report_held", "report_sent", "report_buffered", *APPLICATION, *LIFETIME),
    ),
}
"""The inputs of each machine: the methods that change it. All other methods are look-ups."""

CLASSES: Final[dict[Machine, type]] = {"switchboard": Switchboard, "gateway": Gateway}


@cache
def parameters(machine: Machine, input: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The required parameters of an input, and all its parameters."""
    _, *found = signature(getattr(CLASSES[machine], input)).parameters.values()
    needed = tuple(parameter.name for parameter in found if parameter.default is Parameter.empty)
    return needed, tuple(parameter.name for parameter in found)


class Header(Struct, frozen=True, kw_only=True):
    """The first line of a journal: everything that is needed to build the same machine.

    `config` holds the values that differ from the defaults. `wall` is Unix time at monotonic 0. `openrpc` is the
    SHA-256 of the service's answer to `rpc.discover`. `events` are those that the host listened to. `direct` is
    as for a Switchboard, `tell_exchanges` as for a Gateway. `store` is the durability of a store outside. `left_out` is
    the number of entries that shrinking has removed.
    """

    journal: int = FORMAT
    posthouse: str
    machine: Machine
    service: str
    openrpc: str
    config: dict[str, Any]
    wall: float
    policy: Policy | None = None
    events: tuple[EventName, ...] = ()
    direct: bool = True
    tell_exchanges: bool = True
    store: str | None = None
    left_out: int = 0

    @classmethod
    def of(
        cls,
        service: Service,
        config: Config,
        *,
        wall: float,
        policy: Policy | None = None,
        events: tuple[EventName, ...] = (),
        direct: bool = True,
        tell_exchanges: bool = True,
        store: str | None = None,
    ) -> Header:
        """The header for a switchboard with this policy. None: for a gateway without a switchboard."""
        usual = Config()
        return cls(
            posthouse=installed_version(),
            machine="gateway" if policy is None else "switchboard",
            service=service.name,
            openrpc=fingerprint(service),
            config={
                name: list(value) if isinstance(value, tuple) else value
                for name, value in structs.asdict(config).items()
                if value != getattr(usual, name)
            },
            wall=wall,
            policy=policy,
            events=events,
            direct=direct,
            tell_exchanges=tell_exchanges,
            store=store,
        )


class Version(Struct, frozen=True):
    """The part of a header that tells whether the rest can be read."""

    journal: int


class Entry(Struct, frozen=True, omit_defaults=True):
    """One input. `arguments` has its arguments by name, as `arguments.py` writes them.

    `drawn` is the entropy that it drew. `returned` is the id, number or bool that it returned. `opened` and `invoked`
    are the connections and calls that began with it, `asked` the external operations; later entries name them.
    `raised` is the type of the exception that it raised.
    """

    input: str
    arguments: dict[str, Any]
    drawn: tuple[bytes, ...] = ()
    returned: int | bool | None = None
    opened: tuple[int, ...] = ()
    invoked: tuple[int, ...] = ()
    raised: str | None = None
    asked: tuple[int, ...] = ()


class End(Struct, frozen=True):
    """The last line of a journal: why recording ended."""

    end: str


class Journal(Struct, frozen=True):
    """A journal that was read. `end` says why recording ended. None: the process ended while it recorded.
    `torn`: the last line was incomplete and is left out."""

    header: Header
    entries: list[Entry] = field(default_factory=list)
    end: str | None = None
    torn: bool = False

    def lines(self) -> Iterator[bytes]:
        """The lines of the file."""
        yield encode_line(self.header)
        yield from map(encode_line, self.entries)
        if self.end is not None:
            yield encode_line(End(self.end))


_encoder = json.Encoder()
_version_decoder = json.Decoder(Version)
_header_decoder = json.Decoder(Header)
_entry_decoder = json.Decoder(Entry)
_end_decoder = json.Decoder(End)


def encode_line(value: Header | Entry | End) -> bytes:
    """One line of a journal."""
    return _encoder.encode(value) + b"\n"


def read(source: str | os.PathLike[str] | Iterable[bytes]) -> Journal:
    """Read a journal, from a file or from its lines. An incomplete last line is left out, and `torn` is set.

    Raises UsageError if it is not a journal, with the number of the first line that is wrong; OSError for a file that
    cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        lines = Path(source).read_bytes().splitlines(keepends=True)
    else:
        lines = list(source)
    torn = bool(lines) and not lines[-1].endswith(b"\n")
    if torn:
        del lines[-1]
    if not lines:
        raise UsageError("it is empty" if not torn else "its first line is cut off")
    header = _read_header(lines[0])
    end = None
    if len(lines) > 1 and lines[-1].startswith(b'{"end":'):
        end = _read(_end_decoder, lines.pop(), f"line {len(lines) + 1} is not the end").end
    return Journal(header, list(_read_entries(header, lines)), end, torn)


def _read(decoder: json.Decoder[T], line: bytes, otherwise: str) -> T:
    try:
        return decoder.decode(line)
    except (DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{otherwise} of a journal: {error}") from None
    except RecursionError:
        raise UsageError(f"{otherwise} of a journal: it is nested too deeply") from None


def _read_header(line: bytes) -> Header:
    version = _read(_version_decoder, line, "its first line is not the header").journal
    if version != FORMAT:
        raise UsageError(f"it is a journal of format {version}: this version reads format {FORMAT}")
    return _read(_header_decoder, line, "its first line is not the header")


def _read_entries(header: Header, lines: list[bytes]) -> Iterator[Entry]:
    for number, line in enumerate(lines[1:], start=2):
        entry = _read(_entry_decoder, line, f"line {number} is not an entry")
        if entry.input not in INPUTS[header.machine]:
            raise UsageError(f"line {number}: a {header.machine} has no input {entry.input!r}")
        needed, known = parameters(header.machine, entry.input)
        if (wrong := next((name for name in entry.arguments if name not in known), None)) is not None:
            raise UsageError(f"line {number}: {entry.input} has no argument {wrong!r}")
        if (missing := next((name for name in needed if name not in entry.arguments), None)) is not None:
            raise UsageError(f"line {number}: {entry.input} lacks its argument {missing!r}")
        yield entry


def fingerprint(service: Service) -> str:
    """The SHA-256 of the service's OpenRPC document. It freezes the service. Raises UsageError if there is no valid
    one."""
    Gateway(service, wall=0.0, entropy=bytes)
    return sha256(json.encode(service.document)).hexdigest()
