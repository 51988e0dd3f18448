"""What a storm is made of, drawn from its seed: which limits are shrunk, and how often which fault occurs.

Most of it is left out of most storms. A fault that is always there hides what happens without it, and a limit that is
always met hides what lies behind it: storms that differ find more than storms that are all alike (Groce and others,
"Swarm Testing", ISSTA 2012).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.clients.speech import Transport
from posthouse.adapters.simulation.handlers.manners import HandlerFaults
from posthouse.adapters.simulation.network import LinkConditions
from posthouse.core.values.config import OBSERVABLE, Config

SHRUNK: Final[dict[str, tuple[Any, ...]]] = {
    "max_connections": (3, 8, 20),
    "max_in_head": (2, 5),
    "max_connections_per_address": (1, 2),
    "max_connections_per_user": (1, 2),
    "accept_rate_per_address": (0.5, 2.0),
    "memory_budget": (20_000, 200_000),
    "head_timeout": (0.3, 2.0),
    "max_head_bytes": (400, 2_000),
    "max_headers": (8, 20),
    "max_target_bytes": (10, 100),
    "max_body_bytes": (600, 5_000),
    "body_timeout": (0.5, 5.0),
    "min_body_rate": (0.0, 100_000.0),
    "allow_chunked": (True,),
    "keep_alive_timeout": (0.5, 5.0),
    "idle_timeout": (1.0, 5.0),
    "max_message_bytes": (600, 5_000),
    "max_inflate_ratio": (2, 10),
    "min_compress_bytes": (0, 100),
    "max_fragments": (1, 4),
    "message_timeout": (0.2, 2.0),
    "control_rate": (0.5,),
    "control_burst": (1, 3),
    "read_bytes": (16, 100, 1_000),
    "frames_per_turn": (1, 2, 5),
    "max_depth": (4, 8),
    "max_method_bytes": (24, 64),
    "max_id_bytes": (24, 64),
    "max_batch": (4, 8),
    "max_batch_reply_bytes": (300, 2_000),
    "max_response_bytes": (300, 2_000),
    "max_bad_messages": (1, 3, None),
    "max_calls_per_connection": (1, 2, 4),
    "max_waiting_calls": (0, 1, 3),
    "max_waiting_bytes": (0, 50, 300),
    "max_calls": (1, 3, 10),
    "call_timeout": (0.3, 1.0, 5.0),
    "call_rate": (0.5, 3.0),
    "write_ahead": (20, 200, 2_000),
    "max_queued_replies_bytes": (200, 3_000),
    "max_queued_pushes_bytes": (100, 2_000),
    "max_queued_pushes": (1, 4),
    "max_push_age": (0.2, 2.0),
    "write_timeout": (0.5, 3.0),
    "close_timeout": (0.2, 1.0),
    "heartbeat_interval": (0.5, 3.0, None),
    "heartbeat_timeout": (0.3, 2.0),
    "drain_notice": (0.5, 2.0),
    "drain_grace": (0.0, 0.5, 3.0),
    "drain_timeout": (1.0, 5.0),
    "drain_spread": (0.0, 1.0),
    "stdio_grace": (0.0, 0.5),
}
"""What each limit may be shrunk to. An honest client must still be able to say something."""

THEMES: Final[tuple[tuple[str, ...], ...]] = (
    (),
    (
        "write_ahead",
        "max_queued_replies_bytes",
        "max_queued_pushes_bytes",
        "max_queued_pushes",
        "max_push_age",
        "write_timeout",
        "dawdle",
        "clog",
    ),
    (
        "max_batch",
        "max_batch_reply_bytes",
        "max_response_bytes",
        "max_calls_per_connection",
        "max_waiting_calls",
        "max_waiting_bytes",
        "call_timeout",
        "flood",
        "stall",
    ),
    ("read_bytes", "frames_per_turn", "max_fragments", "message_timeout", "min_compress_bytes", "max_head_bytes"),
    ("idle_timeout", "heartbeat_interval", "heartbeat_timeout", "write_timeout", "dawdle", "clog"),
    ("drain_notice", "drain_grace", "drain_spread", "max_calls_per_connection", "flood", "shut_down"),
    ("drain_notice", "drain_timeout", "max_waiting_calls", "max_calls", "clog", "flood", "shut_down"),
    ("max_bad_messages", "control_rate", "control_burst", "heartbeat_interval", "call_rate", "lie", "misuse"),
)
"""Limits and faults that have to do with one another: what happens between them is seen where several of them are there
at once."""

IN_THEME: Final = 600
"""How much more often, in a thousand, something occurs in a storm whose theme it is."""

HARMLESS: Final[dict[str, tuple[Any, ...]]] = {
    "idle_timeout": (60.0,),
    "message_timeout": (5.0,),
    "write_timeout": (5.0,),
    "heartbeat_interval": (0.5, 3.0),
    "frames_per_turn": (1, 2, 5),
    "min_compress_bytes": (0, 100),
    "read_bytes": (100, 1_000),
    "write_ahead": (20, 200, 2_000),
    "max_calls_per_connection": (1, 2, 4),
    "max_head_bytes": (400,),
}
"""What limits may be shrunk to without harm to anybody."""

CAPACITIES: Final = (256 * 1024, 4_000, 500)
NARROW: Final = (4_000, 500)
"""Bytes that a link has room for. Where clients dawdle it is to be full of what they do not read."""

TRANSPORTS: Final[tuple[Transport, ...]] = ("websocket", "lines", "lines", "http", "websocket", "headers")
"""All of them, as often as they are to be."""

MIXES: Final[tuple[tuple[Transport, ...], ...]] = (
    TRANSPORTS,
    TRANSPORTS,
    ("http",),
    ("websocket",),
    ("lines", "headers"),
    ("websocket", "http"),
)
"""What clients may speak: where there is no choice, more happens between those who speak alike."""


class Faults(Struct, frozen=True):
    """How often, in a thousand, each befalls a client when its turn comes, or (from `stall` on) the server."""

    cut: int = 0
    half_close: int = 0
    clog: int = 0
    dawdle: int = 0
    flood: int = 0
    lie: int = 0
    stall: int = 0
    spurious: int = 0
    kill: int = 0
    shut_down: int = 0
    wall: int = 0
    misuse: int = 0


class Swarm(Struct, frozen=True):
    """One storm's make-up. `fair`: nothing befalls anybody and no limit is near, so that nobody may lose anything."""

    config: Config
    faults: Faults
    manners: HandlerFaults
    weather: LinkConditions
    clients: int
    transports: tuple[Transport, ...]
    pause: float
    fair: bool

    def __str__(self) -> str:
        """What is not as usual, in one line."""
        usual = asdict(Config())
        limits = {name: value for name, value in asdict(self.config).items() if value != usual[name]}
        parts = {
            "limits": limits,
            "faults": {name: weight for name, weight in asdict(self.faults).items() if weight},
            "handlers": {name: value for name, value in asdict(self.manners).items() if value},
            "links": asdict(self.weather),
            "clients": self.clients,
            "transports": sorted(set(self.transports)),
            "pause": self.pause,
            "fair": self.fair,
        }
        return ", ".join(f"{name} {value}" for name, value in parts.items())


def draw(stream: Stream) -> Swarm:
    """A storm's make-up, from the stream of nobody else."""
    fair = stream.happens(150)
    theme = stream.pick(THEMES)
    return Swarm(
        config=draw_fair_config(stream) if fair else draw_config(stream, theme),
        faults=Faults() if fair else draw_faults(stream, theme),
        manners=draw_manners(stream),
        weather=LinkConditions(
            latency=stream.pick((0.001, 0.0, 0.05) if fair else (0.001, 0.0, 0.05, 0.5)),
            jitter=stream.pick((0.0, 0.01) if fair else (0.0, 0.01, 0.3)),
            capacity=stream.pick((256 * 1024, 64 * 1024) if fair else NARROW if "dawdle" in theme else CAPACITIES),
            fragment=stream.pick((0, 100, 700)),
        ),
        clients=stream.pick((4, 1, 2, 8, 16)),
        transports=stream.pick(MIXES),
        pause=stream.pick((0.5, 0.1, 2.0)),
        fair=fair,
    )


def draw_fair_config(stream: Stream) -> Config:
    """Limits that nobody meets who does as is expected, though some are met by who is only slow to take a turn."""
    values = {name: stream.pick(options) for name, options in HARMLESS.items() if stream.happens(200)}
    return Config(**values)


def draw_config(stream: Stream, theme: tuple[str, ...] = ()) -> Config:
    """Limits, of which some are shrunk."""
    often = stream.pick((0, 30, 100, 300))
    values = {
        name: stream.pick(options)
        for name, options in SHRUNK.items()
        if stream.happens(often + IN_THEME * (name in theme))
    }
    observed = tuple(name for name in OBSERVABLE if stream.happens(often // 3))
    return Config(**values, observe=observed)


def draw_faults(stream: Stream, theme: tuple[str, ...]) -> Faults:
    """Weights, many of them zero."""
    often = stream.pick((0, 200, 400))
    weights = {
        name: stream.pick((100, 20) if name in theme else (20, 5, 100))
        if stream.happens(often + IN_THEME * (name in theme))
        else 0
        for name in Faults.__struct_fields__
    }
    return Faults(**weights)


def draw_manners(stream: Stream) -> HandlerFaults:
    """How handlers end, most of them as they should."""
    often = stream.pick((0, 200, 500))
    weights = {
        name: stream.pick((50, 10, 500)) if stream.happens(often) else 0
        for name in ("late", "never", "twice", "raising", "stubborn")
    }
    return HandlerFaults(**weights, lateness=stream.pick((0.3, 2.0, 20.0)))
