"""Scenes about the values that a service makes: identities, errors, and limits."""

from __future__ import annotations

from typing import Any

from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import WALL, Stage
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Identity


@scene("values that a service makes")
def _values(stage: Stage) -> None:
    identities: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
        *(((user,), {}) for user in ("ada", "", None, 7, "\ud800")),
        *((("ada", scopes), {}) for scopes in (("b", "a", "b"), "vault", ("",), (7,), 7, ("*", "a"), ("\ud800",))),
        *((("ada",), {"expires_at": at}) for at in (0.0, WALL, 7, True, "x", float("inf"), float("nan"), -1.0)),
        *((("ada",), {"issued_at": at}) for at in (WALL, None, "x")),
        *((("ada",), {"namespace": name}) for name in ("n", "", None, "\ud800")),
    )
    for given, named in identities:
        stage.tell(
            f"Identity{given} {named}",
            lambda g, n: (Identity(*g, **n), Identity(*g, **n).authenticated),
            given,
            named,
        )
    for code in (-32768, -32769, -32000, -31999, -32001, -32603, 0, 7, True, 1.0, "7", 2**53, 2**63):
        for reserved in (False, True):
            stage.tell(f"RpcError({code}, {reserved})", lambda c, r: str(RpcError(c, reserved=r)), code, reserved)
    stage.tell("RpcError(7, 7)", lambda text: RpcError(7, text), 7)
    networks = (
        "10.0.0.1",
        "10.0.0.0/8",
        "10.0.0.1/8",
        "::1",
        "::1/64",
        "unix",
        "",
        "host",
        "10.0.0.0/33",
        "::ffff:10.0.0.1",
    )
    for network in networks:
        stage.tell(f"proxy {network}", lambda n: Config(trust_proxies=(n,)).trust_proxies, network)
    for name in ("x-forwarded", "forwarded", "", "X-Forwarded"):
        stage.tell(f"headers {name}", lambda n: Config(proxy_headers=n).proxy_headers, name)
    for name in ("call_rate", "max_depth", ""):
        stage.tell(f"observe {name}", lambda n: Config(observe=(n,)).observe, name)
    mappings: tuple[dict[str, Any], ...] = (
        {},
        {"max_batch": 3},
        {"max_batches": 3},
        {"max_batch": "3"},
        {"max_batch": 0},
        {"head_timeout": 3},
        {"trust_proxies": ["unix"]},
        {"trust_proxies": "unix"},
        {"max_bad_messages": None},
        {"max_batch": None},
    )
    for mapping in mappings:
        stage.tell(f"{mapping}", lambda m: [getattr(Config.from_mapping(m), name) for name in m], mapping)
