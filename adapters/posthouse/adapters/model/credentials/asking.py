"""Verifications in progress: operations begin and are withdrawn as expected, and turns come in order.

It may not know what a verification is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from posthouse.adapters.invariants import must
from posthouse.adapters.model.expected import Expected
from posthouse.adapters.model.kept.sessions import Sessions
from posthouse.adapters.model.records import Call, Connection
from posthouse.adapters.model.validity import Validity
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import (
    Accept,
    Answer,
    AskStore,
    Disconnect,
    Effect,
    Emit,
    LimitMessages,
    Verify,
    Withdraw,
)
from posthouse.core.values.lifecycle import AuthFailed

from .asked import Asked
from .cookies import Cookies
from .guesses import Guesses
from .verified import Verified

TOO_MANY: Final = "too_many_failed_authentications"


class Asking:
    """`asked` are the verifications in progress, by operation; `waiting` those that wait for their turns. `outside` are
    the operations that were not concluded. `verified` are the credentials that were accepted."""

    def __init__(self, service: Service, config: Config, expected: Expected, validity: Validity) -> None:
        self._config = config
        self._expected = expected
        self._authenticators = list(service.authenticators.values())
        self.verified = Verified(config, validity)
        self.validity = validity
        self._began = 0
        self._begins: list[Verify] = []
        self._withdrawn: dict[int, None] = {}
        self._guesses = Guesses(config)
        self.cookies = Cookies(config, validity)
        self.asked: dict[int, Asked] = {}
        self.waiting: list[Asked] = []
        self.outside: dict[int, None] = {}
        self.sessions = Sessions(config, expected, validity)

    def begin(self) -> None:
        """The next input has come."""
        self._begins = list(self._effects(Verify))
        for effect in self._expected.effects:
            if isinstance(effect, Verify | AskStore):
                self._began += 1
                right = effect.operation == self._began
                must(right, "order: operations are not numbered consecutively", effect.operation)
                if isinstance(effect, AskStore):
                    self.outside[effect.operation] = None
        self.sessions.begin(self._expected.effects)
        withdrawn = [effect.operation for effect in self._effects(Withdraw)]
        self._withdrawn = {operation: None for operation in withdrawn if operation not in self.sessions.begun}

    def compare(self) -> None:
        """All operations that began or were withdrawn were expected. Raises Violation."""
        self._take_turns()
        for asked in self.waiting:
            idle = self._guesses.certain and self._guesses.may_hash(asked.attempt, asked.place)
            must(not idle, "identity: somebody waits although his turn has come", asked.connection.number)
        for answer in self._effects(Answer):
            self.cookies.answered(answer)
        self.validity.check_limits(self._expected.connections, self._effects(LimitMessages))
        must(not self._begins, "identity: an operation began that should not", *self._begins)
        must(not self._withdrawn, "identity: an operation was withdrawn that is needed", *self._withdrawn)
        self.sessions.compare()
        doubts = [asked.doubt for asked in self.asked.values()]
        self.validity.wait_for([*doubts, *(question.doubt for question in self.sessions.asked.values())])

    def _effects(self, kind: type[Effect]) -> Iterator[Any]:
        return (effect for effect in self._expected.effects if type(effect) is kind)

    def _closed(self, connection: Connection) -> int | None:
        """The code with which this input refuses the connection, or None. One that is answered was not refused: it may
        be closed behind its answer."""
        if any(effect.connection == connection.number for effect in self._effects(Answer)):
            return None
        codes = [effect.code for effect in self._effects(Disconnect) if effect.connection == connection.number]
        return codes[0] if codes else None

    def _check_accepted(self, connection: Connection) -> None:
        """A connection whose credentials were accepted is told so, if that kind is. Raises Violation."""
        accepted = any(effect.connection == connection.number for effect in self._effects(Accept))
        must(accepted is connection.accepted, "identity: a verified connection was not admitted", connection.number)

    def _told_to_wait(self, connection: Connection) -> bool:
        events = [effect.event for effect in self._effects(Emit) if type(effect.event) is AuthFailed]
        return any(event.reason == "too_many" and event.connection == connection.number for event in events)

    def _be_patient(self, connection: Connection, wait: int | None) -> None:
        """A log-in must wait. A connection that was told so before, and did not wait, is closed. If the gateway has
        forgotten failures, the model does not know this time, and judges nothing."""
        now = self._expected.now
        if not self._guesses.certain:
            return
        reasons = [each.reason.name for each in self._effects(Disconnect) if each.connection == connection.number]
        if now < connection.patient_at:
            must(reasons, "identity: a connection that goes on guessing was not closed", connection.number)
        else:
            closed = TOO_MANY in reasons
            must(not closed, "identity: a connection was closed for guessing that waits", connection.number)
        connection.patient_at = now + (wait or 0) / 1000

    def _ask(self, asked: Asked) -> None:
        """The next authenticator must be asked. If it hashes, its turn may not have come yet."""
        if self._is_asked(asked):
            return
        must(asked.in_turns, "identity: an authenticator was not asked", asked.connection.number)
        self.waiting.append(asked)

    def _is_asked(self, asked: Asked) -> bool:
        """Has this input begun the operation of this verification?"""
        for effect in self._begins:
            about = effect.caller.connection, effect.authenticator, effect.credentials
            if about == (asked.connection.number, asked.authenticator, asked.credentials):
                self._begins.remove(effect)
                asked.doubt = self.validity.asked()
                self.asked[effect.operation] = asked
                self.outside[effect.operation] = None
                if asked.in_turns:
                    may = self._guesses.may_hash(asked.attempt, asked.place) or not self._guesses.certain
                    must(may, "identity: more authenticators run for an address or a user than may", effect.operation)
                    self._guesses.hash(effect.operation, asked.attempt, asked.place, self._expected.now)
                return True
        return False

    def _take_turns(self, calls: Mapping[int, Call] = {}) -> None:
        """Those whose turns have come were asked, in order. One whose deadline has come now, or that of its call (one
        of `calls`), may get neither."""
        for asked in list(self.waiting):
            if self._is_asked(asked):
                place = self.waiting.index(asked)
                now = self._expected.now
                late = [number for number, call in calls.items() if call.deadline <= now]
                before = [each for each in self.waiting[:place] if each.line == asked.line and each.call not in late]
                passed = any(each.deadline > now for each in before)
                must(not passed, "order: somebody was passed who waits for the same turn", asked.connection.number)
                del self.waiting[place]

    def _unlucky(self) -> list[Asked]:
        """Those whose turns have come while too many operations are in flight: they are refused, and wait no more."""
        if len(self.outside) < self._config.max_external_operations:
            return []
        unlucky = []
        for asked in sorted(self.waiting, key=lambda each: not each.attempt.known):
            if asked.deadline > self._expected.now and self._guesses.may_hash(asked.attempt, asked.place):
                self._guesses.pause(asked.attempt, asked.place, self._expected.now)
                if not asked.place:
                    self._guesses.forgive(asked.attempt)
                self.waiting.remove(asked)
                unlucky.append(asked)
        return unlucky
