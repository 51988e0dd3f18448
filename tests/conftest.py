"""What holds for the whole suite: a slow or busy machine is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
