"""`python -m posthouse.adapters`: the command `posthouse`."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
