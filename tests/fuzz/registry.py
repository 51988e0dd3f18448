"""Every target by its name."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    deflate,
    frames,
    handshake,
    headers,
    http,
    http_client,
    http_head,
    jsonrpc,
    lines,
    switchboard,
    websocket_client,
)

MODULES = (
    http_head,
    http,
    handshake,
    frames,
    deflate,
    lines,
    headers,
    jsonrpc,
    websocket_client,
    http_client,
    switchboard,
)

TARGETS: dict[str, Target] = {module.TARGET.name: module.TARGET for module in MODULES}
