"""The phases of a socket: every row of the table, and that there is no other."""

from __future__ import annotations

import pytest
from posthouse.core import Address
from posthouse.core.values.config import Config
from posthouse.core.values.peers import ANONYMOUS, SocketId
from posthouse.core.values.transitions import IllegalEvent
from posthouse.transports.pipes.newline import NewlineFraming
from posthouse.transports.switchboard.socket_state import CODEC_DONE, TRANSITIONS, SocketEvent, SocketPhase, SocketState
from posthouse.transports.switchboard.write_queue import WriteQueue

from tests.values import told_apart

ROWS = {
    "idle": {"ask": "asked", "open": "open", "answer": "answered", "shut": "flushing"},
    "asked": {"open": "open", "answer": "answered", "end": "ended"},
    "answered": {"deliver": "idle", "shut": "flushing"},
    "open": {"close": "closing", "end": "ended"},
    "closing": {"close": "closing", "end": "ended"},
    "ended": {"shut": "flushing"},
    "flushing": {},
    "aborted": {"answer": "aborted", "close": "aborted", "end": "aborted", "shut": "aborted"},
}
"""Every phase of these can also be aborted, and the socket can go."""


def socket(phase: SocketPhase) -> SocketState:
    codec = NewlineFraming(Config())
    return SocketState(SocketId(1), Address(), codec, WriteQueue(SocketId(1), [], 1), ANONYMOUS, phase=phase)


@pytest.mark.parametrize("event", SocketEvent)
@pytest.mark.parametrize("phase", SocketPhase)
def test_an_event_has_a_row_or_is_illegal(phase: SocketPhase, event: SocketEvent) -> None:
    state = socket(phase)
    rows = {} if phase == "closed" else ROWS[phase] | {"abort": "aborted", "gone": "closed"}
    if event in rows:
        state.advance(event)
        assert state.phase == rows[event]
        assert state.codec_closed is (rows[event] in ("flushing", "aborted", "closed"))
    else:
        with pytest.raises(IllegalEvent, match=f"SocketPhase {phase.name}: {event.name} is not allowed"):
            state.advance(event)
        assert state.phase is phase


def test_every_phase_has_a_row_and_the_codec_is_done_in_the_last_ones() -> None:
    assert list(TRANSITIONS) == list(SocketPhase)
    assert frozenset(tuple(SocketPhase)[-3:]) == CODEC_DONE


def test_a_record_is_equal_to_itself_alone() -> None:
    assert told_apart("posthouse.transports.switchboard.socket_state") == ["SocketState"]


def test_a_socket_begins_idle_with_nothing_held_and_nothing_armed() -> None:
    queue = WriteQueue(SocketId(1), [], 4)
    state = SocketState(SocketId(1), Address("127.0.0.1"), NewlineFraming(Config()), queue, ANONYMOUS)
    assert (state.phase, state.connection, state.codec_closed, state.stopped) == (SocketPhase.IDLE, None, False, 0)
    assert (state.buffered, state.due, state.stalled, state.progress_at) == (0, None, None, 0.0)
