"""Every action that a switchboard can ask for, and the method that performs it.

This is the whole table: an action that is missing here cannot be performed.
"""

from __future__ import annotations

from collections.abc import Callable

from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.operations.hashes import Hashes
from posthouse.adapters.handlers.operations.store_requests import StoreRequests
from posthouse.adapters.handlers.operations.verifications import Verifications
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.handlers.served_context import Awaited, AwaitedRequests
from posthouse.adapters.loop.runner import Perform
from posthouse.core.values.effects import (
    AskStore,
    Cancel,
    ComparePassword,
    Drained,
    Emit,
    HashPassword,
    Invoke,
    Resolve,
    StopAccepting,
    Verify,
    Withdraw,
)
from posthouse.core.values.peers import ConnectionId
from posthouse.transports.switchboard.actions import CloseSocket, EndWriting, Reply, StartReading, StopReading, Write

from .entrances.accepting import Acceptor
from .entrances.endpoints import Endpoints


def performers(
    endpoints: Endpoints,
    runs: Runs,
    verifications: Verifications,
    store_requests: StoreRequests,
    hashes: Hashes,
    requests: AwaitedRequests,
    calls: Awaited[ConnectionId],
    events: Events,
    acceptor: Acceptor,
    drained: Callable[[], None],
) -> dict[type, Perform]:
    """A function for each type of `Action`. `drained` is called when a shut-down has ended."""

    def withdraw(action: Withdraw) -> None:
        verifications.withdraw(action)
        hashes.withdraw(action)

    return {
        Write: endpoints.write,
        EndWriting: endpoints.end_writing,
        StopReading: endpoints.stop_reading,
        StartReading: endpoints.start_reading,
        CloseSocket: endpoints.close,
        Invoke: runs.invoke,
        Cancel: runs.cancel,
        Verify: verifications.verify,
        AskStore: store_requests.ask,
        HashPassword: hashes.hash,
        ComparePassword: hashes.compare,
        Withdraw: withdraw,
        Reply: lambda action: calls.resolve(action.connection, action.outcome),
        Resolve: lambda action: requests.resolve(action.request, action.outcome),
        Emit: events.emit,
        StopAccepting: lambda _: acceptor.close(),
        Drained: lambda _: drained(),
    }
