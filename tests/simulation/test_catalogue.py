"""The catalogue of the sample service: its rows are what the service does, and a wrong reply is a violation."""

from __future__ import annotations

from copy import copy

import pytest
from msgspec.json import encode
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation import World
from posthouse.adapters.simulation.clients.pending import PendingCall
from posthouse.adapters.simulation.storms.catalogue.calls import PREFIX, ROWS, TEXTS, Row, Text
from posthouse.adapters.simulation.storms.catalogue.declarations import catalogue
from posthouse.adapters.simulation.storms.catalogue.document import DOCUMENT, check_document
from posthouse.adapters.simulation.storms.guards import guarded
from posthouse.adapters.simulation.storms.service import service
from posthouse.core import Config, Gateway, RpcError
from posthouse.core.values.errors import ErrorObject


def ended(value: object = None, code: int | None = None, data: object = None) -> PendingCall:
    call = PendingCall("1", "m", (), 0.0)
    if code is None:
        call.end("result", 1.0, value=value)
    else:
        call.end("error", 1.0, error=RpcError(code, "", data))
    return call


def test_every_row_is_right() -> None:
    world = World(service=catalogue, config=Config(max_waiting_calls=1000, max_calls_per_connection=1000))
    client = world.client("alice")
    calls = [(row, client.batch([(row.method, row.params)])[0]) for row in ROWS]
    world.run(5)
    for row, call in calls:
        row.check(call)
        assert call.status == "result" or (call.error is not None and call.error.code == row.code)
    assert len(calls) > 600
    world.finish()


def test_every_method_of_the_catalogue_has_rows() -> None:
    assert {row.method for row in ROWS} == set(catalogue.methods)
    assert all(f"{PREFIX}{row.method}" in service.methods for row in ROWS)


def test_every_text_is_right() -> None:
    world = World(service=copy(service), config=Config(max_bad_messages=None))
    client = world.client("alice")
    calls = [(text, client.call_text(text.text)) for text in TEXTS]
    world.run(10)
    for text, call in calls:
        text.check(call)
        assert call.status == "result" or (call.error is not None and call.error.code == text.code)
    world.finish()


@pytest.mark.parametrize("call", [ended(1.0), ended(True), ended("1"), ended(None), ended(code=-32602)])
def test_a_value_that_is_not_the_same_json_is_wrong(call: PendingCall) -> None:
    with pytest.raises(Violation, match=r"answering: (a value was read|the faults of params)"):
        Row("int", [1], result=1).check(call)


@pytest.mark.parametrize("call", [ended(7), ended(code=-32602), ended(code=-32602, data={"parameter": "b"})])
def test_other_faults_of_params_are_wrong(call: PendingCall) -> None:
    with pytest.raises(Violation, match="answering"):
        Row("int", ["a"], code=-32602, data={"parameter": "a"}).check(call)


def test_a_call_of_the_catalogue_may_fail_as_every_call() -> None:
    Row("int", [1], result=1).check(ended(code=-32009))
    Text(text="{", code=-32700).check(ended(code=-32009))
    assert Row("int", [1], code=-32603).may_fail_with(RpcError(-32603))


@pytest.mark.parametrize("call", [ended(7), ended(code=-32602), ended(code=-32600, data={"member": "other"})])
def test_a_text_with_another_reply_is_wrong(call: PendingCall) -> None:
    with pytest.raises(Violation, match="answering: a text was"):
        Text(text="{}", code=-32600, data={"member": "id"}).check(call)


def test_an_error_without_an_id_may_belong_to_another_text() -> None:
    text = next(text for text in TEXTS if text.null and text.data is not None)
    other = next(other for other in TEXTS if other.null and other.data != text.data)
    text.check(ended(code=other.code, data=other.data))


def test_the_document_is_that_of_the_sample_service() -> None:
    described = copy(service)
    Gateway(described, wall=0.0, entropy=bytes)
    check_document(encode(described.document))
    check_document(ErrorObject(-32009, "Server busy"))


def test_the_document_of_a_service_with_authenticators_has_log_ins_besides() -> None:
    described = guarded()
    Gateway(described, wall=0.0, entropy=bytes)
    check_document(encode(described.document), guarded=True)
    with pytest.raises(Violation, match=r"documented: rpc\.discover .*'methods', 'components'"):
        check_document(encode(described.document))


def test_another_document_is_a_violation() -> None:
    with pytest.raises(Violation, match=r"documented: rpc\.discover .*'info'"):
        check_document(encode({**DOCUMENT, "info": {"title": "another"}}))
