"""Test a service in process: a client without a socket, and a context for one handler.

The gateway is the real one, with every limit, interceptor and authenticator. Nothing here knows HTTP.
"""

from __future__ import annotations

from .client import Client, client_of
from .contexts import HandlerContext, context_of

__all__ = ["Client", "HandlerContext", "client_of", "context_of"]
