"""The scenario of a storm, drawn from its seed: its limits, its faults, its links and its clients.

Most limits and faults are left out of most scenarios. A fault that always occurs hides what happens without it, and a
limit that is always reached hides what lies behind it: storms that differ find more defects than storms that are alike
(Groce and others, "Swarm Testing", ISSTA 2012).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict, replace
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.adapters.simulation.machine.faults import BACKLOG, DESCRIPTORS, WEIGHTS, MachineFaults
from posthouse.adapters.simulation.network import LinkConditions
from posthouse.adapters.simulation.served.faults import HandlerFaults
from posthouse.adapters.simulation.world import Conditions
from posthouse.core.values.config import OBSERVABLE, Config

from .guards import GUESSING, HASHING_LIMITS, beside_hashes, draw_limits

SMALL_LIMITS: Final[dict[str, tuple[Any, ...]]] = {
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
    "allow_chunked": (False,),
    "keep_alive_timeout": (0.5, 5.0),
    "half_close_timeout": (0.2, 1.0),
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
    "max_message_bytes_unauthenticated": (300,),
    "authentication_timeout": (0.1, 1.0),
    "max_external_operations": (1, 3),
    "max_token_bytes": (18,),
    "credential_cache": (0.0, 1.0),
    "max_cached_credentials": (1,),
    "auth_notice": (0.0, 0.5),
    "auth_grace": (0.0, 0.3, 1.0),
    "max_auth_failures": (1, 2, None),
    "max_auth_failures_per_address": (1, 3, None),
    "max_auth_failures_per_user": (1, 3, None),
    "max_hashes_per_address": (1,),
    "max_hashes_per_user": (2,),
    "max_remembered_callers": (1, 3),
    "max_revocations": (1, 2),
}
"""The small values of each limit. A client that keeps the protocol can still make calls with them."""

THEMES: Final[tuple[tuple[str, ...], ...]] = (
    (),
    (
        *("write_ahead", "max_queued_replies_bytes", "max_queued_pushes_bytes", "max_queued_pushes"),
        *("max_push_age", "write_timeout", "slow_reader", "block"),
    ),
    (
        *("max_batch", "max_batch_reply_bytes", "max_response_bytes", "max_calls_per_connection"),
        *("max_waiting_calls", "max_waiting_bytes", "call_timeout", "flood", "stall"),
    ),
    ("read_bytes", "frames_per_turn", "max_fragments", "message_timeout", "min_compress_bytes", "max_head_bytes"),
    ("idle_timeout", "heartbeat_interval", "heartbeat_timeout", "write_timeout", "slow_reader", "block"),
    ("half_close_timeout", "call_timeout", "write_ahead", "half_close", "slow_reader", "block"),
    ("half_close", "cut", "max_calls_per_connection", "frames_per_turn"),
    ("drain_notice", "drain_grace", "drain_spread", "max_calls_per_connection", "flood", "shut_down"),
    ("drain_notice", "drain_timeout", "max_waiting_calls", "max_calls", "block", "flood", "shut_down"),
    ("max_auth_failures", "max_auth_failures_per_user", "max_hashes_per_address", "authentication_timeout", "cut"),
    ("authentication_timeout", "credential_cache", "auth_notice", "auth_grace", "wall_clock", "revoke"),
    ("max_bad_messages", "control_rate", "control_burst", "heartbeat_interval", "call_rate", "malformed", "misuse"),
)
"""Limits and faults that interact, which is tested only if several of them occur in one storm."""

IN_THEME: Final = 600
"""How much more often, in a thousand, the limits and faults of its theme occur in a storm."""

HARMLESS_LIMITS: Final[dict[str, tuple[Any, ...]]] = {
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
"""Small values of limits that let no call of a well-behaved client fail."""

CAPACITIES: Final = (256 * 1024, 4_000, 500)
NARROW_CAPACITIES: Final = (4_000, 500)
"""Capacities of links in bytes. In a storm of slow readers they are narrow, so that they fill up."""

TRANSPORTS: Final[tuple[Transport, ...]] = ("websocket", "lines", "lines", "http", "websocket", "headers")
"""Every transport, as often as it should occur."""
TRANSPORT_MIXES: Final[tuple[tuple[Transport, ...], ...]] = (
    TRANSPORTS,
    TRANSPORTS,
    ("http",),
    ("websocket",),
    ("lines", "headers"),
    ("websocket", "http"),
)
"""The transports of the clients of a storm. With only one of them, its clients interact more."""

BOTH_WAYS: Final = 100
"""In how many storms, in a thousand, the journals are given to both ways. Those storms take twice as long."""
GUARDED: Final = 300
"""In how many storms, in a thousand, and with this theme, the service has authenticators. They take one way."""

KEEPS: Final = 200
"""In how many of the other storms, in a thousand, the service has sessions. They take one way, too."""


class StormFaults(Struct, frozen=True):
    """How often each fault occurs, in a thousand turns: those up to `malformed` in turns of a client, the others in
    turns of the server."""

    cut: int = 0
    half_close: int = 0
    block: int = 0
    slow_reader: int = 0
    flood: int = 0
    malformed: int = 0
    stall: int = 0
    spurious_timeout: int = 0
    kill: int = 0
    shut_down: int = 0
    wall_clock: int = 0
    revoke: int = 0
    misuse: int = 0


class ClientMix(Struct, frozen=True):
    """The clients of a storm: how many, which transports they use, and the average seconds between their turns. Of the
    connections over HTTP, `foreign` in a thousand are those of a page that may not call."""

    count: int
    transports: tuple[Transport, ...]
    pause: float
    foreign: int = 0


MACHINE_LIMITS: Final[dict[str, tuple[Any, ...]]] = {
    "blocking_workers": (1, 2),
    "max_blocking_queue": (0, 1, 3),
    **HASHING_LIMITS,
    "cleanup_grace": (0.1, 1.0),
    "tls_timeout": (0.2, 2.0),
    "descriptor_reserve": (0, 2, 8),
    "log_lines": (1,),
    "log_interval": (0.3,),
}
"""Limits of the part of a server that runs handlers and accepts clients."""

HARMLESS_FAULTS: Final = ("spurious", "partial", "unix", "handshake_writing", "reordered")
"""Faults of the machine that let no call of a well-behaved client fail."""

OFTEN: Final[dict[str, tuple[int, ...]]] = {"unix": (500, 1000), "options": (1000,), "signals": (20, 5, 100)}
"""How often a fault occurs, if not as often as the others."""


class Scenario(Struct, frozen=True):
    """Everything that is drawn for a storm. `fair`: there are no faults and no small limits, so that no call of a
    well-behaved client may fail. `both_ways`: the journals are also given to a server that takes the other way.
    `guarded`: the service has authenticators, and clients log in, in so many of a thousand turns as `log_ins` says.
    `keeps`: it has sessions."""

    config: Config
    faults: StormFaults
    conditions: Conditions
    clients: ClientMix
    fair: bool
    both_ways: bool = False
    guarded: bool = False
    keeps: bool = False
    log_ins: int = 150

    def __str__(self) -> str:
        """What differs from the defaults, in one line."""
        usual = asdict(Config())
        clients, machine = self.clients, asdict(self.conditions.machine)
        parts = {
            "limits": {name: value for name, value in asdict(self.config).items() if value != usual[name]},
            "faults": {name: weight for name, weight in asdict(self.faults).items() if weight},
            "handlers": {name: value for name, value in asdict(self.conditions.handlers).items() if value},
            "machine": {name: value for name, value in machine.items() if value != asdict(MachineFaults())[name]},
            "links": asdict(self.conditions.links),
            "clients": clients.count,
            "transports": sorted(set(clients.transports)),
            "pause": clients.pause,
            "foreign": clients.foreign,
            "fair": self.fair,
            "direct": self.conditions.direct,
            "tell_exchanges": self.conditions.tell_exchanges,
            "both_ways": self.both_ways,
            "guarded": self.guarded,
            "keeps": self.keeps,
            "log_ins": self.log_ins,
        }
        return ", ".join(f"{name} {value}" for name, value in parts.items())


def draw_scenario(stream: Stream) -> Scenario:
    """Draw a scenario from a stream that is used for nothing else."""
    fair = stream.happens(150)
    theme = stream.pick(THEMES)
    config = draw_fair_config(stream) if fair else draw_config(stream, theme)
    faults = StormFaults() if fair else draw_faults(stream, theme)
    handlers = draw_handler_faults(stream)
    capacities = (256 * 1024, 64 * 1024) if fair else NARROW_CAPACITIES if "slow_reader" in theme else CAPACITIES
    links = LinkConditions(
        latency=stream.pick((0.001, 0.0, 0.05) if fair else (0.001, 0.0, 0.05, 0.5)),
        jitter=stream.pick((0.0, 0.01) if fair else (0.0, 0.01, 0.3)),
        capacity=stream.pick(capacities),
        fragment=stream.pick((0, 100, 700)),
    )
    clients = ClientMix(
        count=stream.pick((4, 1, 2, 8, 16)),
        transports=stream.pick(TRANSPORT_MIXES),
        pause=stream.pick((0.5, 0.1, 2.0)),
        foreign=0 if fair else stream.pick((0, 0, 100)),
    )
    direct = not stream.happens(250)
    told, both_ways = not stream.happens(500), stream.happens(BOTH_WAYS)
    conditions = Conditions(links, handlers, direct=direct, tell_exchanges=told)
    guarded = (stream.happens(GUARDED) or "revoke" in theme) and not fair
    log_ins = stream.pick((150, GUESSING))
    if guarded:
        config, log_ins = draw_limits(stream, config, log_ins)
    keeps = not (fair or guarded) and stream.happens(KEEPS)
    both_ways = both_ways and not (guarded or keeps)
    return Scenario(config, faults, conditions, clients, fair, both_ways, guarded, keeps, log_ins)


def draw_fair_config(stream: Stream) -> Config:
    """Limits that no well-behaved client reaches. A client that is only slow may reach some."""
    values = {name: stream.pick(options) for name, options in HARMLESS_LIMITS.items() if stream.happens(200)}
    return Config(**values)


def draw_config(stream: Stream, theme: tuple[str, ...] = ()) -> Config:
    """Limits, some of them small, and some of those only observed."""
    often = stream.pick((0, 30, 100, 300))
    values = {
        name: stream.pick(options)
        for name, options in SMALL_LIMITS.items()
        if stream.happens(often + IN_THEME * (name in theme))
    }
    observed = tuple(name for name in OBSERVABLE if stream.happens(often // 3))
    return Config(**values, observe=observed)


def draw_faults(stream: Stream, theme: tuple[str, ...]) -> StormFaults:
    """How often each fault occurs. Many do not occur at all."""
    often = stream.pick((0, 200, 400))
    weights = {
        name: stream.pick((100, 20) if name in theme else (20, 5, 100))
        if stream.happens(often + IN_THEME * (name in theme))
        else 0
        for name in StormFaults.__struct_fields__
    }
    return StormFaults(**weights)


def draw_machine_faults(stream: Stream, *, fair: bool) -> MachineFaults:
    """What goes wrong in the machine. Most faults do not occur in most storms. In a fair one, none lets a call fail."""
    likely = stream.pick((0, 200, 400, 600))
    weights: dict[str, Any] = {
        name: stream.pick(OFTEN.get(name, (20, 100, 500))) if stream.happens(likely) else 0
        for name in WEIGHTS
        if not fair or name in HARMLESS_FAULTS
    }
    secure = stream.happens(250)
    if fair:
        return MachineFaults(**weights, secure=secure)
    descriptors = stream.pick((14, 24, 60)) if stream.happens(250) else DESCRIPTORS
    backlog = stream.pick((1, 2, 5)) if stream.happens(200) else BACKLOG
    return MachineFaults(**weights, secure=secure, descriptors=descriptors, backlog=backlog)


def draw_machine(stream: Stream, scenario: Scenario) -> Scenario:
    """The scenario on a machine that fails, with limits that only a machine reaches. The stream is used for nothing
    else. A fair machine refuses no call for its limits."""
    machine = draw_machine_faults(stream, fair=scenario.fair)
    limits = {name: stream.pick(options) for name, options in MACHINE_LIMITS.items() if stream.happens(300)}
    refusing = ("max_blocking_queue", "tls_timeout") if scenario.fair else ()
    limits = {name: value for name, value in limits.items() if name not in refusing}
    return replace(
        scenario,
        config=beside_hashes(replace(scenario.config, **limits), guarded=scenario.guarded),
        conditions=replace(scenario.conditions, machine=machine),
    )


def draw_handler_faults(stream: Stream) -> HandlerFaults:
    """How often handlers fail. Most of them do not."""
    often = stream.pick((0, 200, 500))
    weights = {
        name: stream.pick((50, 10, 500)) if stream.happens(often) else 0
        for name in ("late", "never", "twice", "raises", "ignores_cancel")
    }
    return HandlerFaults(**weights, max_delay=stream.pick((0.3, 2.0, 20.0)))
