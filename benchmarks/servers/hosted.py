"""Posthouse as an ASGI application, under the uvicorn that the frameworks are measured on: alone, or inside FastAPI."""

from __future__ import annotations

from posthouse.adapters.asgi import asgi

from .peers.uvicorn import run
from .posthouse import CONFIG, service


def main(place: str) -> None:
    """Serve until the process is ended. `place`: "alone", or "fastapi", in which it is mounted."""
    gateway = asgi(service, config=CONFIG)
    if place == "alone":
        run(gateway)
    else:
        from fastapi import FastAPI

        application = FastAPI()
        application.mount("/", gateway)
        run(application)
