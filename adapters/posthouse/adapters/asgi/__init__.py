"""A service as an ASGI application: under uvicorn, hypercorn and others, and inside FastAPI and Starlette.

This folder knows ASGI, and neither FastAPI nor any ASGI server.
"""

from __future__ import annotations

from .application import Application, asgi

__all__ = ["Application", "asgi"]
