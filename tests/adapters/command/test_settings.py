"""The printed configuration: what it says, and that it is a configuration."""

from __future__ import annotations

import tomllib

from posthouse.adapters.command.settings import written
from posthouse.core.values.config import Config


def test_each_limit_has_its_value_and_its_origin() -> None:
    config = Config(call_timeout=5.0, max_batch=100, trust_proxies=("10.0.0.0/8", "unix"), allow_chunked=False)
    lines = written(
        config, "limits.toml", ("call_timeout", "max_batch"), {"trust_proxies": "--trust-proxy"}
    ).splitlines()
    assert lines[0] == "# Every limit, its value, and where it comes from. docs/limits.md says what each one does."
    assert lines[1] == "max_connections = 10000  # default"
    for line in (
        "call_timeout = 5.0  # limits.toml",
        "max_batch = 100  # limits.toml",
        'trust_proxies = ["10.0.0.0/8","unix"]  # --trust-proxy',
        'proxy_headers = "x-forwarded"  # default',
        "allow_chunked = false  # default",
        "# call_rate is off  # default",
        "observe = []  # default",
    ):
        assert line in lines
    assert len(lines) == 1 + len(Config.__struct_fields__)


def test_it_gives_the_same_configuration_when_it_is_read() -> None:
    for config in (Config(), Config(call_rate=0.5, max_push_age=None, observe=("call_rate",), memory_budget=1 << 40)):
        settings = tomllib.loads(written(config, None, (), {}))
        off = {name for name in Config.__struct_fields__ if getattr(config, name) is None}
        assert set(settings) == set(Config.__struct_fields__) - off
        assert Config.from_mapping({**settings, **dict.fromkeys(off)}) == config
