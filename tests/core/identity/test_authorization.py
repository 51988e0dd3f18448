"""Authorization: a public method is for everyone, scopes are for those who have all of them."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.identity.authorization import authorize, check_expiry
from posthouse.core.service.service import Service
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import ALL_SCOPES, Identity

from tests.core.world import WALL, service, shared


@pytest.mark.parametrize(
    ("name", "identity", "refusal"),
    [
        ("echo", Identity(), None),
        ("private", Identity(), (-32020, {"requires": "authentication"})),
        ("private", Identity("ada"), None),
        ("private", Identity(scopes=(ALL_SCOPES,)), None),
        ("guarded", Identity(), (-32020, {"requires": "authentication", "scopes": ["read", "write"]})),
        ("guarded", Identity("ada", ("write",)), (-32021, {"scopes": ["read"]})),
        ("guarded", Identity(scopes=("read", "write")), None),
    ],
)
def test_a_refusal_names_what_is_missing(name: str, identity: Identity, refusal: Any) -> None:
    if refusal is None:
        authorize(service().methods[name], identity)
        return
    with pytest.raises(RpcError) as refused:
        authorize(service().methods[name], identity)
    assert (refused.value.code, refused.value.data) == refusal


def test_an_anonymous_caller_is_told_authentication_and_scopes_at_once() -> None:
    offered = Service("closed")
    offered.method("f", scopes={"read"})(lambda: None)
    with pytest.raises(RpcError) as refused:
        authorize(offered.methods["f"], Identity())
    assert refused.value.data == {"requires": "authentication", "scopes": ["read"]}


def test_an_identity_that_has_expired_may_call_nothing() -> None:
    around = shared()
    check_expiry(Identity("ada", expires_at=WALL + 1.0), around, 0.999)
    with pytest.raises(RpcError) as refused:
        check_expiry(Identity("ada", (ALL_SCOPES,), WALL + 1.0), around, 1.0)
    assert (refused.value.code, refused.value.data) == (-32022, None)
