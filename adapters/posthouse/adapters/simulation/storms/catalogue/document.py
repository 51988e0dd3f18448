"""The OpenRPC document of the sample service, as it must be. If you change the service, change `document.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from msgspec.json import decode
from posthouse.adapters.invariants import must
from posthouse.core.values.errors import ErrorObject

DOCUMENT: Final[dict[str, Any]] = decode(Path(__file__).with_name("document.json").read_bytes())


def check_document(outcome: bytes | ErrorObject) -> None:
    """The result of `rpc.discover` is this document, unless the call has failed. Raises Violation."""
    if isinstance(outcome, bytes):
        found = decode(outcome)
        wrong = [name for name in {**DOCUMENT, **found} if DOCUMENT.get(name) != found.get(name)]
        must(not wrong, "documented: rpc.discover describes the service in another way", *wrong)
