"""A private service whose callers bring a JSON Web Token of an identity provider.

    pip install 'posthouse[jwt]'
    python examples/jwt_service.py

This program is also the identity provider: it makes a key, publishes the public half as a JSON Web Key Set, and signs a
token. A real provider does that, and its URL stands in place of the file.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import anyio
import anyio.to_thread
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from posthouse.adapters import running
from posthouse.adapters.authenticators import Claims, JsonWebTokens
from posthouse.core import Context, Service

ISSUER, AUDIENCE = "https://id.example.org", "notes"


def make_service(keys: str | Path) -> Service:
    """The service. `keys`: the provider's URL, `https://id.example.org/.well-known/jwks.json`, or a file."""
    service = Service("notes")
    JsonWebTokens(keys, Claims(issuer=ISSUER, audience=AUDIENCE)).declare(service)

    @service.method(scopes={"notes:write"})
    def write(context: Context, text: str) -> str:
        return f"{context.user} wrote {text!r}"

    return service


class Provider:
    """Stands for an identity provider with one key."""

    def __init__(self, folder: Path) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.keys = folder / "jwks.json"
        public = json.loads(OKPAlgorithm.to_jwk(self._key.public_key()))
        self.keys.write_text(json.dumps({"keys": [{**public, "kid": "2026-11", "use": "sig"}]}))

    def token(self, user: str, scope: str, seconds: float = 300.0) -> str:
        """A token of a user, which is valid for so many seconds."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": now, "exp": int(now + seconds), "scope": scope}
        return jwt.encode(claims, self._key, "EdDSA", headers={"kid": "2026-11"})


def call(url: str, token: str | None) -> str:
    """Call `write` as any HTTP client would, and return the answer."""
    request = {"jsonrpc": "2.0", "method": "write", "params": ["hello"], "id": 1}
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        with urlopen(Request(f"{url}/rpc", json.dumps(request).encode(), headers)) as response:
            return str(response.read().decode())
    except HTTPError as refused:
        with refused:
            return f"{refused.code} {refused.read().decode()}"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        provider = Provider(Path(folder))
        tokens = {
            "with the scope": provider.token("ada", "notes:read notes:write"),
            "without the scope": provider.token("bob", "notes:read"),
            "expired": provider.token("ada", "notes:write", seconds=-3600),
            "without a token": None,
        }
        async with running(make_service(provider.keys), port=0) as server:
            for name, token in tokens.items():
                answer = await anyio.to_thread.run_sync(call, server.bound[0].url, token)
                print(f"{name}: {answer}")


if __name__ == "__main__":
    anyio.run(main)
