"""The version of this project, as it is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The version of the installed distribution. `unknown` if the sources run without an installation."""
    try:
        return version("posthouse")
    except PackageNotFoundError:
        return "unknown"
