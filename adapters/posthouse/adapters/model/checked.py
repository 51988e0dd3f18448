"""A gateway that is checked by the reference model: after each input, the model gets the input and its effects.

Nothing is decided or changed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, TypeVar

from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import CallEnded, EventNames
from posthouse.core.values.shared import Entropy

from .model import Model

P = ParamSpec("P")
R = TypeVar("R")


def checked(
    input: Callable[Concatenate[Gateway, P], R], tell: Callable[Concatenate[Model, R, P], None]
) -> Callable[Concatenate[CheckedGateway, P], R]:
    """An input of the gateway, followed by its check. `tell` gets the model, the return value and the arguments."""
    name, place = input.__name__, [*signature(input).parameters].index("now") - 1

    @wraps(input)
    def checked_input(self: CheckedGateway, /, *arguments: P.args, **named: P.kwargs) -> R:
        before = len(self.outbox)
        returned: R = getattr(super(CheckedGateway, self), name)(*arguments, **named)
        now: Any = named["now"] if "now" in named else arguments[place]
        self.model.check_input(partial(tell, self.model, returned, *arguments, **named), self.outbox[before:], now)
        return returned

    return checked_input


class CheckedGateway(Gateway):
    """A Gateway with its `model`. Its inputs also raise Violation, when their effects differ from the model.

    `head_read` is not checked: it has no effect but a later deadline.
    """

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
        super().__init__(service, config, wall=wall, entropy=entropy, events=events, tell_exchanges=tell_exchanges)
        self.model = Model(
            service,
            config,
            ends_are_told=CallEnded in self._shared.wanted,
            exchanges_told=self._shared.exchanges_told,
            wall=lambda: self._shared.wall,
        )
        self.model.wall = wall

    accepted = checked(
        Gateway.accepted,
        lambda model, socket, address, now, *, trusted=False: model.accepted(socket, address, trusted=trusted),
    )
    arrived = checked(
        Gateway.arrived,
        lambda model, admitted, socket, address, now: model.arrived(socket, address, admitted=admitted),
    )
    released = checked(Gateway.released, lambda model, _, socket, now: model.released(socket))
    connect = checked(
        Gateway.connect,
        lambda model, connection, peer, now, *, credentials=None, ahead=False: model.connect(
            peer, connection, credentials, ahead=ahead
        ),
    )
    receive = checked(Gateway.receive, lambda model, _, connection, data, now: model.receive(connection, data))
    heard = checked(Gateway.heard, lambda model, _, connection, now: model.heard(connection))
    disconnected = checked(
        Gateway.disconnected,
        lambda model, _, connection, code, now, *, reason=None: model.disconnected(connection, code, reason),
    )
    report_held = checked(
        Gateway.report_held, lambda model, _, connection, size, now: model.report_held(connection, size)
    )
    report_sent = checked(
        Gateway.report_sent, lambda model, _, connection, size, now: model.report_sent(connection, size)
    )
    report_buffered = checked(Gateway.report_buffered, lambda model, _, size, now: None)  # only a limit can follow
    complete = checked(Gateway.complete, lambda model, accepted, call, result, now: model.complete(call, accepted))
    fail = checked(Gateway.fail, lambda model, accepted, call, error, now: model.fail(call, error, accepted))
    conclude = checked(
        Gateway.conclude, lambda model, first, operation, outcome, now: model.conclude(operation, outcome, first)
    )
    revoke = checked(
        Gateway.revoke,
        lambda model, closed, user, now, *, namespace="", not_before=None: model.revoke(
            user, namespace, not_before, closed
        ),
    )
    ask_session = checked(
        Gateway.ask_session, lambda model, number, call, method, params, now: model.ask_session(call, number)
    )
    progress = checked(Gateway.progress, lambda model, sent, call, value, now: model.pushes.progress(call, sent))
    notify = checked(
        Gateway.notify,
        lambda model, sent, to, method, params, now, *, after=None: model.pushes.notify(to, method, sent, after),
    )
    request = checked(
        Gateway.request,
        lambda model, number, to, method, params, now, *, timeout: model.pushes.request(to, method, timeout, number),
    )
    abandon = checked(Gateway.abandon, lambda model, _, request, now: model.pushes.abandon(request))
    shut_down = checked(Gateway.shut_down, lambda model, _, now, *, grace=None: model.shut_down(grace))
    set_wall = checked(Gateway.set_wall, lambda model, _, unix, now: model.set_wall(unix, now))
    handle_timeout = checked(Gateway.handle_timeout, lambda model, _, now: model.handle_timeout())

    def broadcast(
        self,
        method: str,
        params: object,
        now: float,
        *,
        kinds: Iterable[str] | None = None,
        users: Iterable[str] | None = None,
        namespace: str = "",
    ) -> int:
        """As in Gateway, and checked. Names that can be read only once are kept for the model."""
        before = len(self.outbox)
        kinds, users = reusable(kinds), reusable(users)
        reached = super().broadcast(method, params, now, kinds=kinds, users=users, namespace=namespace)
        tell = partial(self.model.pushes.broadcast, method, kinds, users, namespace, reached)
        self.model.check_input(tell, self.outbox[before:], now)
        return reached


def gateway_for(service: Service) -> type[Gateway]:
    """The gateway that is checked by the reference model, if that follows this service. It does not follow topics: they
    have their own contract (`invariants/publishing/`)."""
    return Gateway if len(service.topics) else CheckedGateway


def reusable(names: Iterable[str] | None) -> tuple[str, ...] | str | None:
    """The same names, which can be read twice. A plain text is kept: the gateway refuses it."""
    return names if names is None or isinstance(names, str) else tuple(names)
