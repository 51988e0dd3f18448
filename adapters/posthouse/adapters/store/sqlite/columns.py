"""Rows as the columns of their tables, and back. Digests are hexadecimal texts, lists JSON."""

from __future__ import annotations

from typing import Any, Final

from msgspec import json
from posthouse.core.store.rows import RevocationRow, SessionRow, TokenRow, UserRow
from posthouse.core.values.peers import Identity

Columns = tuple[Any, ...]

USER: Final = "name, password, scopes, disabled, profile, created_at, seen_at, version"
TOKEN: Final = "id, user, digest, scopes, label, created_at, expires_at, seen_at"
SESSION: Final = (
    "id, namespace, user, identity, current, previous, retired, data, version, created_at, used_at, ends_at, replaces"
)
REVOCATION: Final = "namespace, user, not_before, at"

_names: Final = json.Decoder(tuple[str, ...])
_identity: Final = json.Decoder(Identity)
_encode: Final = json.Encoder().encode


def _text(value: Any) -> str:
    return _encode(value).decode()


def user_columns(row: UserRow) -> Columns:
    scopes, profile = _text(row.scopes), row.profile.decode()
    return row.user, row.password, scopes, int(row.disabled), profile, row.created_at, row.seen_at, row.version


def user_row(columns: Columns) -> UserRow:
    name, password, scopes, disabled, profile, created_at, seen_at, version = columns
    return UserRow(
        user=name,
        password=password,
        scopes=_names.decode(scopes),
        disabled=bool(disabled),
        profile=profile.encode(),
        created_at=created_at,
        seen_at=seen_at,
        version=version,
    )


def token_columns(row: TokenRow) -> Columns:
    digest, scopes = row.digest.hex(), _text(row.scopes)
    return row.id, row.user, digest, scopes, row.label, row.created_at, row.expires_at, row.seen_at


def token_row(columns: Columns) -> TokenRow:
    id, user, digest, scopes, label, created_at, expires_at, seen_at = columns
    return TokenRow(
        id=id,
        user=user,
        digest=bytes.fromhex(digest),
        scopes=_names.decode(scopes),
        label=label,
        created_at=created_at,
        expires_at=expires_at,
        seen_at=seen_at,
    )


def session_columns(row: SessionRow) -> Columns:
    identity = row.identity
    return (
        row.id,
        identity.namespace,
        identity.user,
        _text(identity),
        row.current.hex(),
        None if row.previous is None else row.previous.hex(),
        _text([digest.hex() for digest in row.retired]),
        row.data.decode(),
        row.version,
        row.created_at,
        row.used_at,
        row.ends_at,
        _text(row.replaces),
    )


def session_row(columns: Columns) -> SessionRow:
    id, _, _, identity, current, previous, retired, data, version, created_at, used_at, ends_at, replaces = columns
    return SessionRow(
        id=id,
        identity=_identity.decode(identity),
        current=bytes.fromhex(current),
        previous=None if previous is None else bytes.fromhex(previous),
        retired=tuple(map(bytes.fromhex, _names.decode(retired))),
        data=data.encode(),
        version=version,
        created_at=created_at,
        used_at=used_at,
        ends_at=ends_at,
        replaces=_names.decode(replaces),
    )


def revocation_columns(row: RevocationRow) -> Columns:
    return *row.user, row.not_before, row.at


def revocation_row(columns: Columns) -> RevocationRow:
    namespace, user, not_before, at = columns
    return RevocationRow((namespace, user), not_before, at)
