"""The name of each counter and size in Prometheus' text: the whole table.

A counter that has no row here is told, too, under its own name. A new one needs a row for labels and a better text.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

PREFIX: Final = "posthouse_"

Kind = Literal["counter", "gauge"]


class Named(Struct, frozen=True):
    """A family of counters or sizes. The part of a counter's name behind the one in the table is the value of `label`.
    `value`: that of the label, if the whole name is in the table."""

    metric: str
    kind: Kind
    help: str
    label: str = ""
    value: str = ""


def _calls(outcome: str) -> Named:
    return Named("calls", "counter", "Requests that named a method, by outcome", "outcome", outcome)


def _recoveries(result: str) -> Named:
    return Named("topic_recoveries", "counter", "Subscriptions that came with a position, by result", "result", result)


WHOLE: Final[dict[str, Named | None]] = {
    **{
        f"calls.{counter}": _calls(outcome)
        for counter, outcome in (
            ("results", "result"),
            ("errors", "error"),
            ("cancelled", "cancelled"),
            ("timed_out", "timed_out"),
            ("disconnected", "disconnected"),
            ("drained", "drained"),
            ("refused", "refused"),
            ("builtin", "builtin"),
        )
    },
    "calls.made": Named("calls_made", "counter", "Calls of methods of the service"),
    "calls.failed": Named("handler_failures", "counter", "Calls whose handler raised an exception of its own"),
    "calls.running": Named("calls_running", "gauge", "Calls whose handlers have not ended"),
    "calls.waiting": Named("calls_waiting", "gauge", "Calls that wait for a free slot"),
    "bytes.received": Named("received_bytes", "counter", "Bytes that came from clients"),
    "bytes.sent": Named("sent_bytes", "counter", "Bytes that were given to sockets"),
    "memory.bytes": Named("queued_bytes", "gauge", "Bytes that are held for clients"),
    "operations.pending": Named("operations_pending", "gauge", "Authenticators that run, and requests to the store"),
    "requests.pending": Named("requests_pending", "gauge", "Requests of the server that clients have not answered"),
    "sockets.open": Named("sockets", "gauge", "Sockets and pipes that are open"),
    "sessions.attached": Named("sessions_attached", "gauge", "Sessions with a connection"),
    "messages.bad": Named("bad_messages", "counter", "Messages that are not valid JSON-RPC"),
    "responses.unmatched": Named("unmatched_responses", "counter", "Responses that answer no request of the server"),
    "topics.open": Named("topics", "gauge", "Topics with subscribers or a history"),
    "topics.subscriptions": Named("topic_subscriptions", "gauge", "Subscriptions to topics"),
    "topics.history_bytes": Named("topic_history_bytes", "gauge", "Bytes that histories of topics hold"),
    "topics.published": Named("topic_publications", "counter", "Publications that were accepted"),
    "topics.lost": Named("topic_gaps", "counter", "Publications that slow subscribers have lost, and were told of"),
    "topics.recovered": _recoveries("recovered"),
    "topics.not_recovered": _recoveries("not_recovered"),
    "connections.open": None,  # the sums of other rows
    "connections.opened": None,
    "connections.closed": None,
}
"""By whole name. None: it is not told."""

BEGINNINGS: Final[dict[str, Named]] = {
    "connections.open.": Named("connections", "gauge", "Connections that are open, by kind", "kind"),
    "connections.opened.": Named("connections_opened", "counter", "Connections that were opened, by kind", "kind"),
    "connections.closed.": Named("connections_closed", "counter", "Connections that have ended, by kind", "kind"),
    "closes.": Named("closes", "counter", "WebSockets and pipes that have ended, by close code", "code"),
    "errors.": Named("errors", "counter", "Errors that were sent, by code", "code"),
    "dropped.": Named("dropped_messages", "counter", "Messages that slow clients did not get", "kind"),
    "http.refused.": Named("http_refused", "counter", "HTTP requests that were refused before a call", "status"),
    "auth.": Named("authentications", "counter", "Authentications, by result", "result"),
    "limit.": Named("limit_breaches", "counter", "Breaches of limits", "limit"),
    "session.": Named("session_changes", "counter", "Changes of sessions", "change"),
}
"""By the beginning of a name."""


def named(name: str) -> Named | None:
    """The family of a counter or size, with the value of its label. None: it is not told."""
    if name in WHOLE:
        return WHOLE[name]
    for beginning, family in BEGINNINGS.items():
        if name.startswith(beginning):
            metric, kind, label = family.metric, family.kind, family.label
            return Named(metric, kind, family.help, label, name.removeprefix(beginning))
    kind = "gauge" if name.rpartition(".")[2] in ("open", "pending", "attached") else "counter"
    return Named(name.replace(".", "_"), kind, f"The counter {name}")
