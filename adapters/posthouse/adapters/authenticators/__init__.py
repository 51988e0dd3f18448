"""Ready-made authenticators: tokens and passwords in a file, and JSON Web Tokens of an identity provider.

Each is declared in one line. They know services and credentials, but no server, event loop or connection. Their
libraries are optional: they are imported when an authenticator that needs them is made.
"""

from .json_web_tokens import JsonWebTokens
from .passwords import Passwords
from .ready_made import ReadyMade
from .static_tokens import StaticTokens
from .tokens.claims import Claims

__all__ = ["Claims", "JsonWebTokens", "Passwords", "ReadyMade", "StaticTokens"]
