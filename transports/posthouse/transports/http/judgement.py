"""How a request is judged by its head: its purpose, its client behind a proxy, and how to answer it.

A codec has read the head from bytes, or a host gives a head that it has read. This module may not know which.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.core.values.config import Config
from posthouse.core.values.peers import NO_META, Address, Meta
from posthouse.transports.fields import Fields
from posthouse.transports.forwarding import FORWARDING_FIELDS, Proxy
from posthouse.transports.policy import Policy
from posthouse.transports.refusal import Refusal

from .answers import ResponseOptions, cors_lines
from .challenges import Challenges
from .head import BAD_HOST, HOST, Head
from .routes import Call, Wanted, judge, read_request_id


class JudgedHead(Struct, frozen=True, gc=False):
    """A head: the purpose of its request, and how to answer it.

    `call`: a body follows, and its client does not wait for 100 Continue. `length` is that of the body, None for
    chunks. `meta` is that of the call, or of the calls behind a handshake. `secure` and `host` are what a trusted proxy
    said when the head was judged: where it says something else, the head must be judged anew. `ignored` is a field in
    which a peer that is no such proxy named a client.
    """

    wanted: Wanted
    call: bool
    meta: Meta
    length: int | None
    path: str
    headers: Fields
    options: ResponseOptions
    secure: bool | None = None
    host: bytes | None = None
    ignored: bytes | None = None


class Judge:
    """The rules of one server: its policy, its limits, and the challenges of its authenticators. `hosted`: a host has
    read the handshakes of WebSockets, and only their subprotocols are judged."""

    __slots__ = ("_challenges", "_config", "_hosted", "policy")

    def __init__(
        self, config: Config, policy: Policy, challenges: Challenges = Challenges(), *, hosted: bool = False
    ) -> None:
        self._config: Final = config
        self.policy: Final = policy
        self._challenges: Final = challenges
        self._hosted: Final = hosted

    def judge(self, head: Head, proxy: Proxy | None) -> tuple[JudgedHead, Address | None]:
        """The judgement, without the X-Request-Id of the answer. And the client that a trusted `proxy` names."""
        fields = head.fields
        client, secure, host, ignored = None, None, None, None
        wanted: Wanted
        if proxy is None:
            for name in FORWARDING_FIELDS:
                if name in fields:
                    ignored = name
                    break
            wanted = judge(head, self.policy, self._config, hosted=self._hosted)
        else:
            found = proxy.client_of(head.headers)
            if isinstance(found, Refusal):
                wanted = found
            else:
                client, secure, host = found.address, found.address.secure, found.host
                wanted = self._judge_forwarded(head, secure, host)
        if isinstance(wanted, Call):
            meta = wanted.meta
        else:
            request_id = read_request_id(fields)
            meta = NO_META if request_id is None else Meta(request_id=request_id.decode("ascii"))
        origin = fields.get(b"origin")
        lines = b"" if origin is None or not self.policy.allows_origin(origin) else cors_lines(origin)
        challenges = self._challenges
        challenge = challenges.lines if challenges.same else challenges.answer(fields)
        options = ResponseOptions(head.persistent, head.method == b"HEAD", lines, challenge)
        length = None if head.chunked else head.length or 0
        call = isinstance(wanted, Call) and not wanted.awaited and not wanted.announced
        path = self.policy.paths.texts.get(head.path) or head.path.decode("ascii")
        judged = JudgedHead(wanted, call, meta, length, path, head.headers, options, secure, host, ignored)
        return judged, client

    def _judge_forwarded(self, head: Head, secure: bool, host: bytes | None) -> Wanted:
        """The purpose of a request through a trusted proxy, which says this of TLS and of the host."""
        if host is not None and not HOST.fullmatch(host):
            return BAD_HOST
        used = head if host is None else replace(head, host=host)
        return judge(used, self.policy, self._config, secure, hosted=self._hosted)


def named(judged: JudgedHead) -> JudgedHead:
    """The judgement, with the X-Request-Id of the answer."""
    request_id = judged.meta.request_id
    return judged if request_id is None else replace(judged, options=judged.options.naming(request_id))
