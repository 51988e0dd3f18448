"""The tables of a gateway: in which order they are built, which of them knows which, and one look-up in them.

It has no input: those are in `gateway.py`. A new table is built here, and its `drop` is added here.
"""

from __future__ import annotations

from posthouse.core.calls.calls import Calls
from posthouse.core.calls.followers import Followers
from posthouse.core.calls.idempotency import Idempotency
from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.calls.outgoing import OutgoingRequests
from posthouse.core.calls.replies import Replies
from posthouse.core.closing.closing import Closing
from posthouse.core.closing.drain import Drain
from posthouse.core.closing.limits import Limits
from posthouse.core.closing.revocation import Revocation
from posthouse.core.connections.connections import Connections
from posthouse.core.connections.delivery import Delivery
from posthouse.core.connections.flow import Flow
from posthouse.core.connections.liveness import Liveness
from posthouse.core.connections.openings import Openings
from posthouse.core.dispatch.accounts import Accounts
from posthouse.core.dispatch.builtin.builtins import Builtins
from posthouse.core.dispatch.builtin.part import Tables
from posthouse.core.dispatch.dispatch import Dispatch
from posthouse.core.dispatch.logins import Logins
from posthouse.core.dispatch.own_sessions import OwnSessions
from posthouse.core.dispatch.procedures import Procedures
from posthouse.core.dispatch.renewals import Renewals
from posthouse.core.dispatch.resumptions import Resumptions
from posthouse.core.dispatch.session_calls import SessionCalls
from posthouse.core.dispatch.tokens import Tokens
from posthouse.core.dispatch.users import Users
from posthouse.core.identity.arrivals import Arrivals
from posthouse.core.identity.cookies import Cookies
from posthouse.core.identity.demands import Demands
from posthouse.core.identity.expiry import Expiry
from posthouse.core.identity.hashes.hashing import beside_hashes
from posthouse.core.identity.session_keys import SessionKeys
from posthouse.core.identity.verifications import Verifications
from posthouse.core.jsonrpc.messages import encode_notification
from posthouse.core.operations.operations import Operations
from posthouse.core.service.hooks import wanted_events
from posthouse.core.service.service import Service
from posthouse.core.sessions.chores import Chores
from posthouse.core.sessions.requests import SessionRequests
from posthouse.core.sessions.sessions import Sessions
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.storage import Storage
from posthouse.core.topics.broker import LocalBroker
from posthouse.core.topics.delivery import TopicDelivery
from posthouse.core.topics.subscriptions import Subscriptions
from posthouse.core.topics.topics import Topics
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Effect
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import ConnectionClosed, ConnectionOpened, EventNames
from posthouse.core.values.peers import ConnectionId, Identity
from posthouse.core.values.shared import Entropy, Shared


class Assembly:
    """The tables of one gateway, and what all of its inputs share. `outbox` has the effects that are not performed.
    `authenticates`: the service has authenticators or sessions, so that credentials count. `schemes`: those which
    authenticators read. `sessions`: "off", "on" or "login". `subprotocols` are those that the service names."""

    def __init__(
        self,
        service: Service,
        config: Config = Config(),
        *,
        wall: float,
        entropy: Entropy,
        events: EventNames = (),
        tell_exchanges: bool = True,
    ) -> None:
        config = beside_hashes(config, service.authenticators.values())
        wanted = wanted_events(service.hooks, events)
        told = tell_exchanges or ConnectionOpened in wanted or ConnectionClosed in wanted
        self._shared = shared = Shared(config, wall, entropy, wanted, told)
        self.config = config
        self.outbox: list[Effect] = shared.outbox
        self._busy = False
        self._buffered = 0
        self.sessions = service.accounts.sessions
        self.authenticates = bool(service.authenticators) or self.sessions != "off"
        self._connections = connections = Connections(shared)
        self._flow = Flow(shared)
        self._liveness = Liveness(shared, connections, self._flow)
        self._openings = Openings(shared, connections, self._liveness)
        self._delivery = Delivery(shared, connections, self._flow)
        self._demands = Demands(shared, connections)
        self._expiry = Expiry(shared, connections, self._delivery, self._demands)
        self._calls = Calls(shared)
        self._replies = Replies(shared, self._flow)
        self._followers = Followers(shared, self._calls, self._delivery)
        self._idempotency = keys = Idempotency(shared, connections, self._calls)
        self._outcomes = Outcomes(shared, connections, self._calls, self._replies, self._followers, keys)
        self._requests = OutgoingRequests(shared, self._delivery)
        self._operations = Operations(shared)
        self._counted = shared, connections, self._calls, self._requests, self._operations
        self._storage = Storage(shared, self._operations)
        self._chores = Chores(shared, self._storage)
        self._sessions = Sessions(shared, connections, self._chores)
        self._session_requests = SessionRequests(shared, self._storage)
        self._cookies = Cookies(shared)
        known = service.authenticators.values()
        self._verifications = verifications = Verifications(
            shared, self._operations, self._storage, known, self._cookies
        )
        self._session_keys = SessionKeys(
            self._sessions, self._session_requests, self._chores, self._storage, verifications.revocations
        )
        self._session_keys.in_cookies = self.sessions != "off"
        self._procedures = procedures = Procedures(connections, self._calls, self._outcomes, self._storage)
        self._session_calls = SessionCalls(shared, self._session_keys, verifications.budgets)
        self._resumptions = Resumptions(shared, connections, self._calls, procedures, self._session_keys)
        self._session_calls.of_users = service.accounts.users
        every_log_in = self.sessions == "login"
        self._renewals = Renewals(procedures, self._session_calls, self._session_keys, every_log_in=every_log_in)
        self._logins = logins = Logins(shared, connections, verifications, self._calls, self._outcomes, self._renewals)
        self._broker = LocalBroker(shared)
        topic_delivery = TopicDelivery(shared, self._flow, Subscriptions(shared))
        self._followers.answered = topic_delivery.answered
        self._topics = topics = Topics(
            shared, service.topics, self._calls, self._requests, self._broker, topic_delivery
        )
        self.has_topics = len(service.topics) > 0
        if self.has_topics:
            connections.identified.append(topics.identified)
        self._accounts = accounts = Accounts(shared, self._storage, verifications, procedures, logins, service.accounts)
        self._own_sessions = OwnSessions(
            shared, connections, self._calls, self._requests, self._storage, self._session_calls
        )
        self.subprotocols = service.subprotocols
        self.schemes = schemes = {each.scheme: each.takes for each in service.authenticators.values()}
        tables = Tables(
            *(shared, connections, self._delivery, self._calls, self._outcomes, logins, self._session_calls),
            *(self._resumptions, procedures, Users(accounts), Tokens(accounts), topics, schemes),
        )
        tables.has_sessions = self.sessions != "off"
        builtins = Builtins(service, tables)
        self._dispatch = Dispatch(shared, service, self._calls, self._requests, self._replies, builtins)
        texts = self._dispatch.receive, self._dispatch.logs_in
        self._arrivals = Arrivals(shared, connections, self._openings, self._verifications, self._session_keys, texts)
        self._drain = Drain(shared, connections, self._delivery, self._dispatch, self._outcomes, self._arrivals)
        # When a connection ends, each table that holds facts about it forgets them.
        drops = (
            connections.drop,
            self._openings.drop,
            self._arrivals.drop,
            self._sessions.drop,
            self._liveness.drop,
            self._expiry.drop,
            self._demands.drop,
            self._drain.drop,
            *((topics.drop,) if self.has_topics else ()),
            self._outcomes.drop,
            self._replies.drop,
            self._requests.drop,
            self._flow.drop,
        )
        # An exchange that was answered has left facts in these alone.
        drops_answered = (connections.drop, self._flow.drop)
        self._closing = Closing(shared, connections, drops, drops_answered, self._flow.drop)
        self._revocation = revocation = Revocation(
            shared, connections, verifications, self._sessions, self._calls, self._outcomes
        )
        accounts.revoke = lambda user, but, now: revocation.end(user, None, now, but=but)
        accounts.narrow = revocation.narrow
        accounts.end_token = lambda token, user, ended, but, now: revocation.end_token(token, user, ended, now, but=but)
        self._limits = Limits(shared, connections, self._calls, self._operations, self._closing, self._drain)
        self._limits.shed = self._broker.shed

    def identity(self, connection: ConnectionId) -> Identity:
        """The caller of this connection, which must not be gone."""
        return self._connections.records[connection].identity

    def draw_secrets_from(self, secrets: Entropy) -> None:
        """Draw the secrets of cookies, sessions and tokens, and salts, from here, and not from `entropy`: a host that
        records what it draws must not record them."""
        self._cookies.secrets = self._session_requests.secrets = secrets
        self._accounts.secrets = self._verifications.passwords.secrets = secrets

    @property
    def store(self) -> MemoryStore | None:
        """The store of this gateway, in memory. None: it is outside."""
        return self._storage.memory

    def use_external_store(self, durability: str) -> None:
        """Ask a store outside, with `AskStore`. Before the first input. `durability` names what keeps its rows."""
        self._storage.memory = None
        self._storage.durability = durability

    def _check_not_reentrant(self) -> None:
        if self._busy:
            raise UsageError("an input was called from inside another input: call it after the other one returns")

    def _encode(self, method: str, params: object) -> bytes:
        """Encode a notification. This may run a user's conversion, which must not call the gateway."""
        self._busy = True
        try:
            return encode_notification(method, params)
        finally:
            self._busy = False
