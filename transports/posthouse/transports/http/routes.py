"""The purpose of a request, and whether it is allowed: paths, methods, the policy, and the metadata of a call.

All checks of a head are made here, before `100 Continue` asks for the body. This module may not know the bytes of a
head, nor what happens to a request.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct
from msgspec.structs import replace
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UNAUTHENTICATED, ErrorObject
from posthouse.core.values.peers import NO_META, REQUEST_ID, Meta
from posthouse.transports.codec import Handshake, Probe
from posthouse.transports.credentials import read_credentials
from posthouse.transports.policy import Policy, authorize_open
from posthouse.transports.refusal import Refusal
from posthouse.transports.websocket import handshake

from .bodies import too_large
from .head import Head

SECRETS: Final = (
    b"access_token api_key apikey auth auth_token authorization bearer client_secret id_token jwt password "
    b"refresh_token secret token"
).split()
"""Names of credentials in a query string. They would be in every log on the way (RFC 6750 section 2.3)."""

IDEMPOTENCY_KEY: Final = re.compile(rb"[\x20-\x7e]{1,255}")
TIMEOUT: Final = re.compile(rb"0*[1-9][0-9]{0,9}")
REQUEST_ID_BYTES: Final = re.compile(REQUEST_ID.pattern.encode())
TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x20-\x7e]{1,64})?")
"""W3C Trace Context section 3.2.2. Later versions may append to it."""

PREFLIGHT_FIELDS: Final = (
    (b"Access-Control-Allow-Methods", b"POST"),
    (
        b"Access-Control-Allow-Headers",
        b"Authorization, Content-Type, Idempotency-Key, Posthouse-Timeout-Ms, Traceparent, X-Request-Id",
    ),
    (b"Access-Control-Max-Age", b"600"),
)

SECRET_IN_URL: Final = Refusal(400, "A credential must not be in the URL.")
BAD_EXPECTATION: Final = Refusal(417, "The only supported expectation is 100-continue.")
UNWANTED_BODY: Final = Refusal(400, "This request must not have a body.")
ENCODED: Final = Refusal(415, "The body must not be compressed.", ((b"Accept-Encoding", b"identity"),))
NO_LENGTH: Final = Refusal(411, "A body needs a Content-Length header.")
NO_CREDENTIALS: Final = Refusal(401, "Credentials are required.", error=ErrorObject.of(UNAUTHENTICATED))
BAD_IDEMPOTENCY_KEY: Final = Refusal(400, "Idempotency-Key must be 1 to 255 visible characters.")
BAD_TIMEOUT: Final = Refusal(400, "Posthouse-Timeout-Ms must be a whole number of milliseconds above 0.")


class Call(Struct, frozen=True, gc=False):
    """A JSON-RPC body follows. `awaited`: the client sends it only after 100 Continue. `announced`: the credentials are
    verified before it is read."""

    meta: Meta
    awaited: bool
    announced: bool = False


class Preflight(Struct, frozen=True, gc=False):
    """A page of an allowed origin asks whether it may call (Fetch, section 3.3.2: CORS-preflight request)."""


Wanted = Call | Probe | Handshake | Preflight | Refusal


def judge(head: Head, policy: Policy, config: Config, secure: bool | None = None, *, hosted: bool = False) -> Wanted:
    """The purpose of this request, or why it is refused. `secure`: what a trusted proxy says of TLS. `hosted`: a host
    has read the handshakes of WebSockets."""
    if head.query and _names_secret(head.query):
        return SECRET_IN_URL
    paths = policy.paths
    methods = paths.methods.get(head.path)
    if methods is None:
        return Refusal(404, paths.not_found, keep=head.bodiless)
    fields = head.fields
    preflight = (
        head.method == b"OPTIONS"
        and b"POST" in methods
        and b"origin" in fields
        and b"access-control-request-method" in fields
    )
    if head.method not in methods and not preflight:
        allow = ((b"Allow", b", ".join(methods)),)
        wanted = b" or ".join(methods).decode()
        return Refusal(405, f"Use {wanted} for {head.path.decode()}.", allow, keep=head.bodiless)
    probe = paths.probes.get(head.path)
    if probe != "/health":
        # Probes name the machine's address in Host. The answer has only counts: a page that rebinds DNS may read them.
        origin, media_type = fields.get(b"origin"), fields.get(b"content-type")
        refusal = authorize_open(policy, head.method, head.host, origin, media_type, secure)
        if refusal is not None:
            return refusal
    if head.method == b"POST":
        return _judge_call(head, config)
    if not head.bodiless:
        # RFC 9110 section 9.3.1: a body of a GET "might lead some implementations to reject the request and close the
        # connection because of its potential as a request smuggling attack".
        return UNWANTED_BODY
    if preflight:
        return Preflight()
    if probe is not None:
        return Probe(probe)
    if hosted:
        return handshake.judge_protocols(head.headers, policy.subprotocols)
    # RFC 9110 section 7.8: a server "MUST ignore an Upgrade header field that is received in an HTTP/1.0 request".
    if head.version != b"1.1":
        return handshake.UPGRADE_REQUIRED
    return handshake.judge(head.headers, policy.subprotocols)


def _judge_call(head: Head, config: Config) -> Call | Refusal:
    fields = head.fields
    awaited = False
    if b"expect" in fields and head.version == b"1.1":  # RFC 9110 section 10.1.1: not in HTTP/1.0
        awaited = fields[b"expect"].lower() == b"100-continue"
        if not awaited:
            return BAD_EXPECTATION
    if fields.get(b"content-encoding", b"identity").lower() != b"identity":
        return ENCODED
    if head.chunked:
        if not config.allow_chunked:
            return NO_LENGTH
    elif head.length is None:
        return NO_LENGTH
    elif head.length > config.max_body_bytes:
        return too_large(config)
    meta = read_meta(fields)
    if not isinstance(meta, Meta):
        return meta
    announced = False
    if config.require_authentication:
        if read_credentials(head.headers) is None:
            return replace(NO_CREDENTIALS, keep=head.bodiless)
        announced = head.length is None or head.length > config.max_message_bytes_unauthenticated
    return Call(meta, awaited and not head.bodiless, announced)


def read_meta(fields: dict[bytes, bytes]) -> Meta | Refusal:
    """The metadata of the call in its headers."""
    key, timeout = fields.get(b"idempotency-key"), fields.get(b"posthouse-timeout-ms")
    parent, request_id = fields.get(b"traceparent"), read_request_id(fields)
    if key is None and timeout is None and parent is None and request_id is None:
        return NO_META
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        return BAD_IDEMPOTENCY_KEY
    if timeout is not None and not TIMEOUT.fullmatch(timeout):
        return BAD_TIMEOUT
    # W3C Trace Context section 3.2.2.3: a value that cannot be parsed is ignored.
    traced = parent is not None and TRACEPARENT.fullmatch(parent) is not None
    return Meta(
        idempotency_key=None if key is None else key.decode("ascii"),
        timeout_ms=None if timeout is None else int(timeout),
        traceparent=parent.decode("ascii") if traced and parent is not None else None,
        request_id=None if request_id is None else request_id.decode("ascii"),
    )


def read_request_id(fields: dict[bytes, bytes]) -> bytes | None:
    """The X-Request-Id of a request. An invalid one is ignored: a call does not fail because of its name in logs."""
    request_id = fields.get(b"x-request-id")
    return request_id if request_id is not None and REQUEST_ID_BYTES.fullmatch(request_id) else None


def _names_secret(query: bytes) -> bool:
    """Does a parameter of the query have the name of a credential?"""
    return any(
        unquote_to_bytes(parameter.partition(b"=")[0].replace(b"+", b" ")).strip().lower() in SECRETS
        for parameter in query.replace(b";", b"&").split(b"&")
    )
