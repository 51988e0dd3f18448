"""The door to the log: what the service's own logging does reaches nobody but the log."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from posthouse.adapters.report import ERROR, WARNING, is_logged, report
from posthouse.core.service.service import Service

from tests.adapters.loopback import connected, serving

logger = logging.getLogger("posthouse")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Undo what a test does to logging."""
    root = logging.getLogger()
    factory, handlers, level = logging.getLogRecordFactory(), list(root.handlers), root.level
    filters = [(each, list(each.filters)) for each in (logger, root, *handlers)]
    yield
    logging.setLogRecordFactory(factory)
    root.handlers[:] = handlers
    root.setLevel(level)
    logger.handlers.clear()
    logger.disabled = False
    for each, before in filters:
        each.filters[:] = before


class Refuses(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise LookupError("no request")


class Breaks(logging.Handler):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def emit(self, record: logging.LogRecord) -> None:
        raise self._error


def filter_of_the_logger() -> None:
    logger.addFilter(Refuses())


def filter_of_a_handler() -> None:
    handler = logging.StreamHandler()
    handler.addFilter(Refuses())
    logger.addHandler(handler)


def handler_that_raises() -> None:
    logger.addHandler(Breaks(OSError("the collector is away")))


def handler_that_exits() -> None:
    logger.addHandler(Breaks(SystemExit(1)))


def factory_that_raises() -> None:
    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        raise ValueError("no tenant")

    logging.setLogRecordFactory(factory)


BROKEN = [filter_of_the_logger, filter_of_a_handler, handler_that_raises, handler_that_exits, factory_that_raises]


@pytest.mark.anyio
@pytest.mark.parametrize("breaks", BROKEN)
async def test_logging_that_raises_changes_no_answer_and_the_line_goes_to_stderr(
    breaks: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service("logged", public=True)

    @service.method
    def boom() -> None:
        raise ValueError

    @service.on("connection.opened")
    def hook(event: object) -> None:
        raise KeyError

    breaks()
    async with serving(service) as server, connected(server) as client:
        incident = (await client.post("boom"))[1]["error"]["data"]["incident"]
        assert (await client.post("connection.ping"))[0] == 200
    said = capsys.readouterr().err
    assert f"incident={incident}" in said and "the log itself failed with" in said


def test_an_attribute_that_a_record_has_already_is_kept_and_ours_is_in_its_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    make = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        record.method, record.event = "theirs", "theirs"
        return record

    logging.setLogRecordFactory(factory)
    report(WARNING, "something", "it is {name}", name="ours", args=3, method="ours", message="ours", asctime="ours")
    (record,) = caplog.records
    facts = vars(record)
    assert (record.name, record.args, facts["method"], facts["event"]) == (
        "posthouse",
        ("it is ours" + REST,),
        "theirs",
        "something",
    )
    assert facts["fields"] == {"name": "ours", "args": 3, "method": "ours", "message": "ours", "asctime": "ours"}
    assert record.getMessage() == "it is ours" + REST


REST = ", args=3, method=ours, message=ours, asctime=ours"


def test_a_configuration_that_disables_existing_loggers_does_not_disable_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handlers = {"h": {"class": "logging.StreamHandler"}}
    logging.config.dictConfig({"version": 1, "handlers": handlers, "root": {"handlers": ["h"], "level": "INFO"}})
    report(ERROR, "call.failed", "call failed", incident="abc")
    assert "call failed, incident=abc" in capsys.readouterr().err
    logger.setLevel(logging.CRITICAL)
    try:
        report(ERROR, "call.failed", "call failed", incident="def")
    finally:
        logger.setLevel(logging.NOTSET)
    assert capsys.readouterr().err == ""


def test_a_value_whose_text_raises_is_no_fault_of_its_reader(capsys: pytest.CaptureFixture[str]) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("odd")

    report(ERROR, "odd", "something odd", value=Odd())
    assert "ERROR something odd; the log itself failed with RuntimeError('odd')" in capsys.readouterr().err


def test_a_logger_that_raises_when_it_is_asked_for_its_level_reaches_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(level: int) -> bool:
        raise LookupError("no request")

    monkeypatch.setattr(logger, "isEnabledFor", fails)
    assert is_logged(ERROR)
    report(ERROR, "odd", "something odd")
    assert caplog.messages == ["something odd"]


def test_an_interrupt_is_passed_on() -> None:
    logger.addHandler(Breaks(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        report(ERROR, "interrupted", "something")
