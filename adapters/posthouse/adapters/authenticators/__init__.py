"""Ready-made authenticators: tokens and passwords in a file, and JSON Web Tokens of an identity provider.

Each is declared in one line. They know services and credentials, but no server, event loop or connection. Their
libraries are optional: they are imported when an authenticator that needs them is made. The public names are imported
on first use: a file of tokens must not wait for the import of what fetches keys.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .json_web_tokens import JsonWebTokens
    from .passwords import Passwords
    from .ready_made import ReadyMade
    from .static_tokens import StaticTokens
    from .tokens.claims import Claims
else:
    MODULES = {
        "Claims": ".tokens.claims",
        "JsonWebTokens": ".json_web_tokens",
        "Passwords": ".passwords",
        "ReadyMade": ".ready_made",
        "StaticTokens": ".static_tokens",
    }

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(MODULES[name], __name__), name)


__all__ = ["Claims", "JsonWebTokens", "Passwords", "ReadyMade", "StaticTokens"]
