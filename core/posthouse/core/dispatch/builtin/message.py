"""`message.*`: connections send each other any JSON value, as the notification `message.received`."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType
from posthouse.core.connections.delivery import sender_of
from posthouse.core.jsonrpc.messages import encode_notification
from posthouse.core.values.peers import Kind

from .part import Declared, Part

RECEIVED: Final = "message.received"
"""The notification that carries the data of `message.send` and `message.broadcast`."""


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """The receivers: one connection by its id, every connection of a user, or of a session by its id. Give exactly one
    of the three. `namespace` is that of the user."""

    connection: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    namespace: str = ""
    session: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if sum(each is not UNSET for each in (self.connection, self.user, self.session)) != 1:
            raise ValueError("expected exactly one of `connection`, `user` and `session`")
        if self.namespace and self.user is UNSET:
            raise ValueError("expected `namespace` only with `user`")


class Delivered(Struct, frozen=True):
    """The number of connections that it was sent to."""

    delivered: int


class MessageMethods(Part):
    """The methods of `message.*`."""

    prefix = "message."
    declared: ClassVar[dict[str, Declared]] = {
        "send": Declared(public=False),
        "broadcast": Declared(public=False, scopes=("broadcast",)),
    }

    def send(self, to: Target, data: Any) -> Delivered:
        """Send any JSON value to one connection, to every connection of a user, or of a session, as
        `message.received`."""
        connections, delivery = self.tables.connections, self.tables.delivery
        payload = encode_notification(RECEIVED, self._message(data))
        if to.connection is not UNSET:
            found = connections.by_public_id.get(to.connection)
            targets = [] if found is None else [found]
        elif to.session is not UNSET:
            targets = self.tables.sessions.sessions.connections_of(to.session)
        else:
            assert to.user is not UNSET
            targets = list(connections.by_user.get((to.namespace, to.user), {}).values())
        return Delivered(sum(delivery.push(target, payload, self.now) for target in targets))

    def broadcast(
        self,
        data: Any,
        kinds: list[Kind] | None = None,
        users: list[str] | None = None,
        namespace: str = "",
        sessions: list[str] | None = None,
    ) -> Delivered:
        """Send any JSON value to all connections, or to those of some kinds, users and sessions, as `message.received`.
        This may include the caller. `namespace` is that of the users."""
        payload = encode_notification(RECEIVED, self._message(data))
        delivery = self.tables.delivery
        if sessions is None:
            return Delivered(delivery.multicast(payload, self.now, kinds=kinds, users=users, namespace=namespace))
        targets = self.tables.sessions.sessions.among(sessions, kinds, users, namespace)
        return Delivered(sum(delivery.push(target, payload, self.now) for target in targets))

    def _message(self, data: object) -> dict[str, object]:
        return {"from": sender_of(self.caller), "data": data}
