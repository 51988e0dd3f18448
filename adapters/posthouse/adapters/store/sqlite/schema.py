"""The schema of the file: numbered migrations, forward alone."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x506F_7374
"""`Post`: SQLite's own mark of whose file it is (`PRAGMA application_id`)."""

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE users (
        name TEXT PRIMARY KEY,
        password TEXT,
        scopes TEXT NOT NULL,
        disabled INTEGER NOT NULL,
        profile TEXT NOT NULL,
        created_at REAL NOT NULL,
        seen_at REAL,
        version INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        digest TEXT NOT NULL UNIQUE,
        scopes TEXT NOT NULL,
        label TEXT NOT NULL,
        created_at REAL NOT NULL,
        expires_at REAL,
        seen_at REAL
    ) STRICT;
    CREATE INDEX tokens_of_users ON tokens (user, id);

    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        namespace TEXT NOT NULL,
        user TEXT,
        identity TEXT NOT NULL,
        current TEXT NOT NULL,
        previous TEXT,
        retired TEXT NOT NULL,
        data TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_at REAL NOT NULL,
        used_at REAL NOT NULL,
        ends_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX sessions_of_users ON sessions (namespace, user, id) WHERE user IS NOT NULL;
    CREATE INDEX sessions_by_use ON sessions (used_at);
    CREATE INDEX sessions_by_end ON sessions (ends_at);

    CREATE TABLE revocations (
        place INTEGER PRIMARY KEY,
        namespace TEXT NOT NULL,
        user TEXT NOT NULL,
        not_before REAL NOT NULL,
        at REAL NOT NULL,
        UNIQUE (namespace, user)
    ) STRICT;
    """,
    """
    ALTER TABLE sessions ADD COLUMN replaces TEXT NOT NULL DEFAULT '[]';
    """,
)
"""Each brings a file from the version before it (the first one: from nothing) to its own number, and is never changed
after it was released."""
