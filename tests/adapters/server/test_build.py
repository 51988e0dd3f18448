"""How a server is built, if nothing else is asked for."""

from __future__ import annotations

import pytest
from posthouse.adapters.server.build import BUILD, Build
from posthouse.adapters.system.machine import Machine
from posthouse.core.gateway import Gateway


def test_a_server_is_built_for_this_machine_and_without_anything_to_watch_it() -> None:
    build = Build()
    assert (build.machine, build.gateway, build.policy, build.write) == (Machine, Gateway, None, None)
    assert (build.events, build.tell_exchanges, build.direct, build.watch) == ((), False, True, None)
    assert BUILD.name == "build"
    with pytest.raises(LookupError):
        BUILD.get()
