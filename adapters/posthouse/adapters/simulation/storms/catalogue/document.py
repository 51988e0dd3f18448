"""The OpenRPC document of the sample service, as it must be. If you change the service, change `document.json`.

`logins.json` is what the document has besides if the service has authenticators.
"""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from msgspec.json import decode
from posthouse.adapters.invariants import must
from posthouse.core.values.errors import ErrorObject

DOCUMENT: Final[dict[str, Any]] = decode(Path(__file__).with_name("document.json").read_bytes())

LOGINS: Final[dict[str, Any]] = decode(Path(__file__).with_name("logins.json").read_bytes())

COMPONENTS: Final[dict[str, Any]] = DOCUMENT["components"]

GUARDED_DOCUMENT: Final[dict[str, Any]] = DOCUMENT | {
    "methods": sorted([*DOCUMENT["methods"], *LOGINS["methods"]], key=itemgetter("name")),
    "components": COMPONENTS | {"schemas": COMPONENTS["schemas"] | LOGINS["schemas"]},
}


def check_document(outcome: bytes | ErrorObject, *, guarded: bool = False) -> None:
    """The result of `rpc.discover` is this document, unless the call has failed. `guarded`: the service has
    authenticators. Raises Violation."""
    if isinstance(outcome, bytes):
        found, right = decode(outcome), GUARDED_DOCUMENT if guarded else DOCUMENT
        wrong = [name for name in {**right, **found} if right.get(name) != found.get(name)]
        must(not wrong, "documented: rpc.discover describes the service in another way", *wrong)
