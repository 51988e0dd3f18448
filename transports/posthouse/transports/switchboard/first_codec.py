"""The codec that reads a new socket's first bytes.

A stream speaks HTTP, and a WebSocket begins as HTTP. The first bytes of a pipe tell which framing it speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from msgspec.structs import replace
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address, Identity
from posthouse.transports.codec import Codec
from posthouse.transports.forwarding import Networks, Proxy
from posthouse.transports.http.challenges import Challenges
from posthouse.transports.http.known_heads import NO_HEADS, KnownHeads
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.detect import PipeDetector
from posthouse.transports.policy import Policy


def first_codecs(
    config: Config, policy: Policy, *, direct: bool, schemes: Container[str] = ()
) -> Callable[[Address, Identity, float], Codec]:
    """A function that makes the codec for the first bytes of a new socket, whose peer has this identity before any
    credentials. `schemes` are those of the service's authenticators.

    With `direct`, all HTTP codecs share the heads that they know, except where heads are judged otherwise: those of
    trusted proxies do among themselves, and those of peers who need no credentials although others do.
    """
    demanding = _codecs(config, policy, direct=direct, schemes=schemes)
    if not config.require_authentication:
        return lambda address, identity, now: demanding(address, now)
    undemanding = _codecs(replace(config, require_authentication=False), policy, direct=direct, schemes=schemes)
    return lambda address, identity, now: (undemanding if identity.authenticated else demanding)(address, now)


def _codecs(
    config: Config, policy: Policy, *, direct: bool, schemes: Container[str]
) -> Callable[[Address, float], Codec]:
    known, forwarded = (KnownHeads(), KnownHeads()) if direct else (NO_HEADS, NO_HEADS)
    networks = Networks(config.trust_proxies)
    challenges = Challenges.of(schemes)

    def first_codec(address: Address, now: float) -> Codec:
        if address.transport == "pipe":
            return PipeDetector(config)
        if networks.trust(address):
            return Http1(config, policy, now, forwarded, Proxy(config, networks, address), challenges)
        return Http1(config, policy, now, known, challenges=challenges)

    return first_codec
