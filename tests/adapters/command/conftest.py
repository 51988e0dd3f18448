"""The command sets up its whole process: each test leaves it as it was."""

from __future__ import annotations

import logging
import sys
import threading

import pytest
from posthouse.adapters.terminal import output


@pytest.fixture(autouse=True)
def the_process_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "shape", output.shape)
    for module, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, hook, getattr(module, hook))
    monkeypatch.setattr(logging, "captureWarnings", lambda capture: None)
