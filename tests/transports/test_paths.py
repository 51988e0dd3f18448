"""The paths of a server, and those that it refuses to have."""

from __future__ import annotations

import re
from typing import Any

import pytest
from posthouse.core.values.errors import UsageError
from posthouse.transports.paths import Paths


def test_usually_calls_are_posted_to_rpc_and_websockets_open_at_ws() -> None:
    assert Paths().methods == {
        b"/rpc": (b"POST",),
        b"/ws": (b"GET",),
        b"/health": (b"GET", b"HEAD"),
        b"/stats": (b"GET", b"HEAD"),
        b"/metrics": (b"GET", b"HEAD"),
    }
    assert Paths().probes == {b"/health": "/health", b"/stats": "/stats", b"/metrics": "/metrics"}
    assert Paths().texts[b"/ws"] == "/ws"


def test_calls_and_websockets_may_have_the_root_or_share_a_path() -> None:
    assert Paths(rpc="/", ws="/").methods == {
        b"/": (b"POST", b"GET"),
        b"/health": (b"GET", b"HEAD"),
        b"/stats": (b"GET", b"HEAD"),
        b"/metrics": (b"GET", b"HEAD"),
    }
    assert (Paths(rpc="/v1/call").calls, Paths(ws="/").opens) == ((b"/v1/call",), (b"/",))


def test_the_root_path_is_before_every_path() -> None:
    paths = Paths(root="/api")
    assert list(paths.methods) == [b"/api/rpc", b"/api/ws", b"/api/health", b"/api/stats", b"/api/metrics"]
    assert paths.probes == {b"/api/health": "/health", b"/api/stats": "/stats", b"/api/metrics": "/metrics"}
    assert paths.not_found == "Not found. Use POST /api/rpc, GET /api/ws, GET /api/health or GET /api/stats."
    assert paths.no_websocket == "No WebSocket opens here. Use /api/ws."


def test_below_a_root_path_the_root_is_written_with_a_slash_or_without() -> None:
    assert Paths("/", "/ws", "/api").calls == (b"/api/", b"/api")
    assert Paths("/", "/", "/api").methods[b"/api"] == (b"POST", b"GET")


def test_a_port_for_probes_has_no_other_paths() -> None:
    paths = Paths(probes_only=True)
    assert (list(paths.methods), paths.calls, paths.opens) == ([b"/health", b"/stats", b"/metrics"], (), ())
    assert paths.not_found == "Not found. Use GET /health, GET /stats or GET /metrics."


@pytest.mark.parametrize("root", ["", "/"])
def test_a_root_path_may_be_the_root(root: str) -> None:
    assert Paths(root=root) == Paths()


@pytest.mark.parametrize(
    ("paths", "advice"),
    [
        ({"rpc": "rpc"}, "rpc_path 'rpc': write it as '/rpc'"),
        ({"ws": "/ws/"}, "ws_path '/ws/': write it as '/ws'"),
        ({"root": "api//v1/"}, "root_path 'api//v1/': write it as '/api/v1'"),
        ({"rpc": ""}, "rpc_path '': a path has letters"),
        ({"rpc": "/a b"}, "rpc_path '/a b': a path has letters"),
        ({"ws": "/%72pc"}, "ws_path '/%72pc': a path has letters"),
        ({"ws": "/ws?x=1"}, "ws_path '/ws?x=1': a path has letters"),
        ({"root": "https://example.org"}, "root_path 'https://example.org': a path has letters"),
        ({"rpc": "/health"}, "rpc_path '/health': the server answers probes there"),
        ({"ws": "/stats"}, "ws_path '/stats': the server answers probes there"),
        ({"ws": "/metrics"}, "ws_path '/metrics': the server answers probes there"),
        ({"rpc": None}, "rpc_path is None, but must be a string"),
    ],
)
def test_a_path_that_cannot_be_served_is_a_mistake_with_a_remedy(paths: dict[str, Any], advice: str) -> None:
    with pytest.raises(UsageError, match=re.escape(advice)):
        Paths(**paths)
