"""The paths of a server, and what each of them is for: calls, WebSockets, and the probes of operators.

Paths are compared byte by byte, as they were sent. This module knows no request.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import force_setattr
from posthouse.core.values.errors import UsageError

ProbePath = Literal["/health", "/stats", "/metrics"]

PROBES: Final[tuple[ProbePath, ...]] = ("/health", "/stats", "/metrics")

PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
"""A path that everybody writes in one way only: there is nothing to escape in it (RFC 3986 section 2.3)."""

CALL_METHODS: Final = (b"POST",)
OPEN_METHODS: Final = (b"GET",)
PROBE_METHODS: Final = (b"GET", b"HEAD")


class Paths(Struct, frozen=True, dict=True):
    """The paths of a server. Raises UsageError for one that no request can match, or that means two things.

    `rpc` takes calls with POST, `ws` opens WebSockets. Both may be `/`, or the same. `root` is put before every path,
    those of probes too, for a proxy that passes on whole paths: such as "/api". With `probes_only` there are no others.
    """

    rpc: str = "/rpc"
    ws: str = "/ws"
    root: str = ""
    probes_only: bool = False

    def __post_init__(self) -> None:
        for name, path in (("rpc_path", self.rpc), ("ws_path", self.ws), ("root_path", self.root)):
            if not isinstance(path, str):
                raise UsageError(f"{name} is {path!r}, but must be a string, such as '/rpc'")
            if path != "/" and not (name == "root_path" and not path):
                _check(name, path)
            if name != "root_path" and path in PROBES:
                raise UsageError(f"{name} {path!r}: the server answers probes there; use another path")
        if self.root == "/":
            force_setattr(self, "root", "")

    @cached_property
    def calls(self) -> tuple[bytes, ...]:
        """The paths that take calls, the usual spelling first."""
        return self._spelled(self.rpc)

    @cached_property
    def opens(self) -> tuple[bytes, ...]:
        """The paths that open WebSockets, the usual spelling first."""
        return self._spelled(self.ws)

    @cached_property
    def probes(self) -> dict[bytes, ProbePath]:
        """The probes by their paths."""
        return {f"{self.root}{probe}".encode(): probe for probe in PROBES}

    @cached_property
    def methods(self) -> dict[bytes, tuple[bytes, ...]]:
        """The methods of HTTP by path."""
        found = dict.fromkeys(self.calls, CALL_METHODS)
        for path in self.opens:
            found[path] = (*found.get(path, ()), *OPEN_METHODS)
        return found | dict.fromkeys(self.probes, PROBE_METHODS)

    @cached_property
    def texts(self) -> dict[bytes, str]:
        """The paths as text: a WebSocket keeps its path for its handlers, and all keep the same."""
        return {path: path.decode() for path in self.methods}

    @cached_property
    def not_found(self) -> str:
        """What to say of any other path."""
        used = [f"{methods[0].decode()} {self.texts[path]}" for path, methods in self.methods.items()]
        if not self.probes_only:
            del used[-1]  # who reads /metrics knows it
        return f"Not found. Use {', '.join(used[:-1])} or {used[-1]}."

    @cached_property
    def no_websocket(self) -> str:
        """What to say of a WebSocket at any other path."""
        return f"No WebSocket opens here. Use {self.opens[0].decode()}."

    def _spelled(self, path: str) -> tuple[bytes, ...]:
        """The spellings of a path. The root path may be written with a slash at its end, or without."""
        if self.probes_only:
            return ()
        if path == "/" and self.root:
            return f"{self.root}/".encode(), self.root.encode()
        return (f"{self.root}{path}".encode(),)


def _check(name: str, path: str) -> None:
    """Raise UsageError for a path that cannot be served, with one that can."""
    if PATH.fullmatch(path):
        return
    segments = [segment for segment in path.split("/") if segment]
    better = "/" + "/".join(segments)
    if "://" not in path and PATH.fullmatch(better):
        raise UsageError(f"{name} {path!r}: write it as {better!r}, with single slashes and none at its end")
    raise UsageError(f"{name} {path!r}: a path has letters, digits and -._~ between slashes, such as '/rpc'")
