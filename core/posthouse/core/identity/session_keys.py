"""The keys of sessions: does a client have the secret of a session, and does its user still count?

The store knows secrets and expiry; who was revoked meanwhile is known here.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.operations.operations import Refused
from posthouse.core.sessions.chores import Chores
from posthouse.core.sessions.keys import SessionKey
from posthouse.core.sessions.requests import SessionRequests
from posthouse.core.sessions.sessions import Sessions
from posthouse.core.store.outcomes import STOLEN, Done, Full, StoreOutcome
from posthouse.core.store.rows import SessionRow
from posthouse.core.store.storage import Ended, Storage
from posthouse.core.values.peers import Identity, OperationId

from .revocations import Revocations

LEFT: Final = "left_key"
"""The purpose of questions for whose answers nobody waits any more."""


class SessionKeys:
    """Judges what the store says about keys. `asked`: the generation of revocations in which each question that has no
    answer was asked, by its number. `left`: the sessions of questions for whose answers nobody waits any more: theft
    ends a session all the same. `in_cookies`: cookies have keys, too."""

    def __init__(
        self,
        sessions: Sessions,
        requests: SessionRequests,
        chores: Chores,
        storage: Storage,
        revocations: Revocations,
    ) -> None:
        self.in_cookies = False
        self.sessions = sessions
        self.requests = requests
        self._chores = chores
        self._storage = storage
        self._revocations = revocations
        self._last = 0
        self.asked: dict[int, int] = {}
        self.left: dict[int, str] = {}
        revocations.asks.append(self.asked)
        storage.on(LEFT, self._answered_alone)

    def begin(self) -> int:
        """The store is asked about a key. Returns the number of the question."""
        self._last += 1
        self.asked[self._last] = self._revocations.generation
        return self._last

    def on(self, purpose: str, used: Ended) -> None:
        """Call `used` with the outcome of each question for this purpose that the store has not answered at once."""
        self._storage.on(purpose, used)

    def ask(self, purpose: str, subject: int, key: SessionKey, now: float) -> StoreOutcome | Full | OperationId:
        """Ask the store for a session, without another secret. Returns the outcome, or the operation."""
        return self._storage.begin(purpose, subject, self.requests.use(key.session, key.secret, now), now)

    def withdraw(self, number: int) -> None:
        """Nobody waits for the answer to this question any more. A second call changes nothing."""
        self.asked.pop(number, None)
        self._revocations.forget_recent()

    def leave(self, number: int, session: str, operation: OperationId) -> None:
        """Nobody waits any more for the answer to this question, which was asked with `ask`."""
        self.withdraw(number)
        self.left[number] = session
        self._storage.redirect(operation, LEFT, number)

    def _answered_alone(self, number: int, outcome: StoreOutcome, now: float) -> None:
        session = self.left.pop(number)
        if outcome == STOLEN:
            self.sessions.end(session, "stolen", now)

    def judge(self, number: int, session: str, outcome: StoreOutcome | Full, now: float) -> SessionRow | None:
        """The session, if the key fits and its user counts. A session whose secret was stolen has ended."""
        row: SessionRow | None = None
        if isinstance(outcome, Done):
            replaced = session in self._chores.replaced
            if not replaced and self._counts(outcome.value.identity, self.asked[number]):
                row = outcome.value
        elif outcome == STOLEN:
            self.sessions.end(session, "stolen", now)
        self.withdraw(number)
        return row

    def counts(self, number: int, identity: Identity) -> bool:
        """Does this identity, which had been verified when this question was asked, still count? It is answered now.
        False for one that was withdrawn."""
        counts = number in self.asked and self._counts(identity, self.asked[number])
        self.withdraw(number)
        return counts

    def shed(self, excess: int, budget: int, now: float) -> int:
        """So many bytes are held over this budget. If the sessions of nobody take more than half of it, some end: those
        that were used the longest time ago. Returns the bytes that are still over it."""
        memory = self._storage.memory
        while memory is not None and excess > 0 and 2 * memory.of_nobody.size > budget:
            id = memory.of_nobody.first()
            assert id is not None
            excess -= memory.sessions[id].size
            memory.perform(self.requests.end(id))
            self.sessions.end(id, "crowded_out", now)
        return excess

    def _counts(self, identity: Identity, generation: int) -> bool:
        user = identity.key
        if user is None:
            return True
        return user not in self._chores.ending and not self._revocations.refuses(identity, generation)


def is_unavailable(outcome: StoreOutcome | Full) -> bool:
    """Could the store not say anything?"""
    return not isinstance(outcome, Done | Refused)
