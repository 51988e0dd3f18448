"""The keys of sessions: does a client have the secret of a session, and does its user still count?

The store knows secrets and expiry; who was revoked meanwhile is known here.
"""

from __future__ import annotations

from posthouse.core.identity.revocations import Revocations
from posthouse.core.operations.operations import Refused
from posthouse.core.sessions.chores import Chores
from posthouse.core.sessions.requests import SessionRequests
from posthouse.core.sessions.sessions import Sessions
from posthouse.core.store.outcomes import STOLEN, Done, Full, StoreOutcome
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.peers import Identity


class SessionKeys:
    """Judges what the store says about keys. `asked`: the generation of revocations in which each question that has no
    answer was asked, by its number."""

    def __init__(self, sessions: Sessions, requests: SessionRequests, chores: Chores, revocations: Revocations) -> None:
        self.sessions = sessions
        self.requests = requests
        self._chores = chores
        self._revocations = revocations
        self._last = 0
        self.asked: dict[int, int] = {}
        revocations.asks.append(self.asked)

    def begin(self) -> int:
        """The store is asked about a key. Returns the number of the question."""
        self._last += 1
        self.asked[self._last] = self._revocations.generation
        return self._last

    def withdraw(self, number: int) -> None:
        """Nobody waits for the answer to this question any more. A second call changes nothing."""
        self.asked.pop(number, None)
        self._revocations.forget_recent()

    def judge(self, number: int, session: str, outcome: StoreOutcome | Full, now: float) -> SessionRow | None:
        """The session, if the key fits and its user counts. A session whose secret was stolen has ended."""
        row: SessionRow | None = None
        if isinstance(outcome, Done):
            if self._counts(outcome.value.identity, self.asked[number]):
                row = outcome.value
        elif outcome == STOLEN:
            self.sessions.end(session, "stolen", now)
        self.withdraw(number)
        return row

    def _counts(self, identity: Identity, generation: int) -> bool:
        user = identity.key
        if user is None:
            return True
        return user not in self._chores.ending and not self._revocations.refuses(identity, generation)


def is_unavailable(outcome: StoreOutcome | Full) -> bool:
    """Could the store not say anything?"""
    return not isinstance(outcome, Done | Refused)
