"""`python -m posthouse`: the command `posthouse`."""

from __future__ import annotations

import sys

from posthouse.adapters.command.main import main

sys.exit(main())
