"""What ready-made authenticators have in common: how they are declared, and what a server asks them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, ClassVar, Final

from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity


class ReadyMade(ABC):
    """An authenticator that needs no code: `StaticTokens`, `Passwords` or `JsonWebTokens`."""

    scheme: ClassVar[str]
    hashing: ClassVar[bool] = False

    def declare(self, service: Service, *, name: str | None = None, namespace: str = "") -> None:
        """Let this identify the callers of a service. `name` and `namespace` are as for `Service.authenticator`: an
        authenticator that is not the only one needs them. Raises UsageError if they are taken."""
        service.authenticator(self.scheme, name=name, namespace=namespace, hashing=self.hashing)(self)

    @abstractmethod
    def __call__(self, credentials: Any) -> Any:
        """The identity of these credentials, or a refusal that says why."""

    @abstractmethod
    def prepare(self, config: Config) -> None:
        """A server with these limits is about to start. Raises UsageError if it must not."""

    def identities(self) -> Sequence[Identity] | None:
        """Every identity that it can give. None: they are not known."""
        return None


LIBRARIES: Final = {"argon2": "argon2-cffi", "cryptography": "cryptography", "jwt": "PyJWT"}
"""The names of libraries, by their modules."""


def check_installed(name: str, extra: str, *modules: str) -> None:
    """Raise UsageError, with the remedy, unless the libraries of this extra are installed."""
    missing = [LIBRARIES[module] for module in modules if find_spec(module) is None]
    if missing:
        raise UsageError(f"{name} needs {' and '.join(missing)}: run pip install 'posthouse[{extra}]'")
