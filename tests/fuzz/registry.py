"""Every target by its name."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    headers,
    http_head,
    jsonrpc,
    lines,
)

TARGETS: dict[str, Target] = {module.TARGET.name: module.TARGET for module in (http_head, lines, headers, jsonrpc)}
