"""A service with authenticators, and a gateway of it, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from posthouse.core.operations.operations import Failed, Refused
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Verify
from posthouse.core.values.peers import Address, ConnectionId, Identity, Kind, OperationId, Peer

from tests.core.world import World, service

HERE = Address("192.0.2.1", 5000)
TOKEN, OTHER, LOGIN = Bearer("canary-token"), Bearer("other-token"), Basic("ada", "canary-password")
ADA, BOB = Identity("ada", ("read",)), Identity("bob")
REFUSED, FAILED = Refused(), Failed()


def authenticated(*schemes: tuple[str, str, str], **options: Any) -> Service:
    """The service of the other tests, with authenticators: scheme, name and namespace of each."""
    offered = service(**options)
    for scheme, name, namespace in schemes or (("bearer", "bearer", ""),):
        if scheme == "bearer":

            @offered.authenticator("bearer", name=name, namespace=namespace)
            def bearer(credentials: Bearer) -> Identity | None:
                raise NotImplementedError

        else:

            @offered.authenticator("basic", name=name, namespace=namespace)
            def basic(credentials: Basic) -> Identity | None:
                raise NotImplementedError

    return offered


class AuthWorld(World):
    """A gateway with authenticators. Every effect stays in the outbox."""

    def __init__(self, *schemes: tuple[str, str, str], **limits: Any) -> None:
        super().__init__(authenticated(*schemes), **limits)

    def arrive(self, credentials: object = TOKEN, kind: Kind = "websocket", **peer: Any) -> ConnectionId:
        """A peer with credentials."""
        return self.gateway.connect(Peer(kind, HERE, **peer), self.now, credentials=credentials)

    def asked(self) -> Verify:
        """The one authenticator that is asked, of the effects since they were last taken."""
        (verify,) = (effect for effect in self.take() if isinstance(effect, Verify))
        return verify

    def conclude(self, operation: OperationId, outcome: object) -> bool:
        """The authenticator has decided."""
        return self.gateway.conclude(operation, outcome, self.now)
