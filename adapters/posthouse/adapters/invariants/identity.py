"""The facts of external operations, and of connections whose credentials are being verified."""

from __future__ import annotations

from posthouse.core.connections.state import State
from posthouse.core.gateway import Gateway

from .violation import must


def identity(gateway: Gateway) -> None:
    """Each verification has one operation with a deadline, and whoever waits for it is there."""
    records, arrivals = gateway._connections.records, gateway._arrivals.records
    verifications, operations = gateway._verifications.records, gateway._operations.records
    must(len(operations) <= gateway.config.max_external_operations, "operations: no more than max_external_operations")
    waiting = {id for id, record in records.items() if record.state is State.AUTHENTICATING}
    must(waiting == arrivals.keys(), "identity: a connection that is not admitted waits for a verification")
    must(
        all(not records[id].admitted and not records[id].calls for id in waiting),
        "identity: nothing runs for a connection that is not admitted",
    )
    subjects = {number: each.verification for number, each in arrivals.items()}
    must(len(verifications) == len(subjects), "identity: somebody waits for each verification")
    for subject, verification in subjects.items():
        known = verifications.get(verification.operation) is verification and verification.subject == subject
        must(known, "identity: a verification is found by its operation")
    for operation, record in operations.items():
        live = record.timer is not None and record.timer.live
        must(live == (record.timer is not None), "time: an operation that somebody waits for has a deadline")
        must(live == (operation in verifications), "operations: somebody waits for each operation that has not ended")
    must(
        len(gateway._verifications.cache.records) <= gateway.config.max_cached_credentials,
        "identity: no more credentials are kept than max_cached_credentials",
    )
