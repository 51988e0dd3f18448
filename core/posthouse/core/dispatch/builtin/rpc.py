"""`rpc.*`: methods about calls and about methods."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import Raw, Struct
from posthouse.core.values.peers import WireId

from .part import Declared, Part

CANCEL: Final = "rpc.cancel"


class Cancelled(Struct, frozen=True):
    """Whether a call with this id was in flight."""

    cancelled: bool


class RpcMethods(Part):
    """The methods of `rpc.*`."""

    prefix = "rpc."
    declared: ClassVar[dict[str, Declared]] = {
        "cancel": Declared(public=True),
        "discover": Declared(public=True),
    }

    def cancel(self, id: Raw) -> Cancelled:
        """Cancel a call of this connection by its id. The cancelled call is answered with -32800."""
        return Cancelled(self.tables.outcomes.cancel(self.caller, WireId(bytes(id)), self.now))

    def discover(self) -> dict[str, Any]:
        """Describe this service as an OpenRPC document."""
        return self.tables.document
