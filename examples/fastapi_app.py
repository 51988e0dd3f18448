"""A FastAPI application with a REST route and a gateway: one dependency identifies the callers of both.

    python examples/fastapi_app.py 8000
    python examples/fastapi_app.py 8000 hypercorn

    curl -s http://127.0.0.1:8000/rpc -H 'Authorization: Bearer ada-token' -H 'Content-Type: application/json' \
         -d '{"jsonrpc": "2.0", "method": "orders.add", "params": ["tea"], "id": 1}'

WebSockets open at `/rpc`, too. They are told of orders that come over REST. `/public` is a gateway that is mounted: its
callers are anonymous.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from posthouse.adapters.asgi import asgi
from posthouse.adapters.fastapi import include
from posthouse.core import Context, Identity, Service
from starlette.requests import HTTPConnection

TOKENS = {"Bearer ada-token": Identity("ada", ("orders",)), "Bearer bob-token": Identity("bob")}

service = Service("shop")


@service.method("orders.add", scopes={"orders"})
def add(context: Context, item: str) -> int:
    """Add an order. Returns how many there are."""
    orders: list[str] = context.host_scope["app"].state.orders
    orders.append(f"{item} for {context.user}")
    return len(orders)


@service.method("about", public=True)
def about() -> str:
    """Anyone may ask."""
    return "a shop"


gateway = asgi(service)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The application's own lifespan, with that of the gateway in it."""
    app.state.orders = []
    async with gateway.lifespan(app):
        yield


app = FastAPI(lifespan=lifespan)


async def current_user(connection: HTTPConnection) -> Identity:
    """The caller of a route, of a call over HTTP, or of a WebSocket."""
    identity = TOKENS.get(connection.headers.get("authorization", ""))
    if identity is None:
        raise HTTPException(401, "a token is required")
    return identity


User = Annotated[Identity, Depends(current_user)]


@app.get("/orders")
async def orders(user: User) -> list[str]:
    """All orders."""
    found: list[str] = app.state.orders
    return found


@app.post("/orders/{item}")
async def order(item: str, user: User) -> int:
    """Add an order, and tell the clients of the gateway. Returns how many there are."""
    app.state.orders.append(f"{item} for {user.user}")
    return gateway.broadcast("order", {"item": item})


@app.get("/about")
async def described() -> str:
    """A route that calls a method in this process: through all limits and interceptors."""
    description: str = await gateway.call("about", result_type=str)
    return description


include(app, gateway, "/rpc", identity=Depends(current_user))
app.mount("/public", gateway)


def main(port: int, server: str) -> None:
    """Serve on this port. 0 picks a free one."""
    listener = socket.create_server(("127.0.0.1", port))
    print("listening on port", listener.getsockname()[1], flush=True)
    if server == "hypercorn":
        import hypercorn
        from hypercorn.asyncio import serve

        config = hypercorn.Config()
        config.bind = [f"fd://{listener.detach()}"]
        asyncio.run(serve(app, config))  # type: ignore[arg-type]
    else:
        import uvicorn

        # When it has shut down, uvicorn sends itself the signal again: this makes it a normal exit.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "uvicorn")
