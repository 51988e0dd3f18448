"""The package is imported without its libraries, and its names on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest
from posthouse.adapters import authenticators

from tests.adapters.loopback import ENVIRONMENT


def test_libraries_are_imported_when_they_are_needed() -> None:
    program = (
        "import sys\n"
        "from posthouse.adapters.authenticators import Claims, JsonWebTokens, Passwords, ReadyMade, StaticTokens\n"
        "print([name for name in ('jwt', 'cryptography', 'argon2') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'posthouse\.adapters\.authenticators' has no attribute 'JWT'$"):
        getattr(authenticators, "JWT".strip())
