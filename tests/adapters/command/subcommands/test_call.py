"""`posthouse call`: words into a request, answers onto stdout, failures into exit codes; over every transport."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread

import anyio
import pytest
import trustme
from anyio.from_thread import start_blocking_portal
from msgspec import Struct
from posthouse.adapters.command.client import duplex, streams
from posthouse.adapters.command.main import main
from posthouse.adapters.server.serve import serve
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError
from posthouse.transports.websocket.frames import FIN, TEXT, frame
from posthouse.transports.websocket.handshake import accept_for

PROMPT_DRAIN = Config(drain_spread=0.0, drain_grace=0.0)
EXAMPLES = Path(__file__).resolve().parents[4] / "examples"

service = Service("tested", public=True)
seen: list[str] = []


@service.method
def echo(value: object) -> object:
    """Give it back."""
    return value


@service.method
def note(text: str) -> None:
    """Remember that it was called."""
    seen.append(text)


@service.method
def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


@service.method
def fail() -> None:
    """Fail with data."""
    raise RpcError(7, "No\x1b[31m luck", {"why": "\u009b31m"})


@service.method
async def work(context: Context) -> str:
    """Speak to the caller before answering."""
    context.notify("log\x07", ["begun"])
    context.progress(0.5, "half way")
    try:
        await context.call("choose", {"from": [1, 2]})
    except RpcError as refused:
        return str(refused)
    return "it answered"


@service.method
async def hang() -> None:
    """Never answer."""
    await anyio.sleep_forever()


class Urls(Struct):
    """Where the servers of this file are reached, and the certificate that vouches for the one with TLS."""

    plain: str
    secure: str
    unix: str
    authority: str

    def web_socket(self, url: str) -> str:
        """The same server as a WebSocket."""
        return url.replace("http", "ws", 1)


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Urls]:
    folder = tmp_path_factory.mktemp("call")
    authority, certificate = folder / "ca.pem", folder / "server.pem"
    root = trustme.CA()
    root.cert_pem.write_to_path(authority)
    root.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    plain = partial(serve, service, host="127.0.0.1", port=0, unix=folder / "socket", config=PROMPT_DRAIN)
    secure = partial(serve, service, port=0, tls_cert=certificate, config=PROMPT_DRAIN)
    with start_blocking_portal() as portal:
        ended, server = portal.start_task(plain)
        ended_too, secure_server = portal.start_task(secure)
        bound, unix = server.bound
        yield Urls(bound.url, secure_server.bound[0].url, unix.url, str(authority))
        server.shut_down()
        secure_server.shut_down()
        ended.result()
        ended_too.result()


def call(*words: str) -> int:
    return main(["call", *words])


# Over every transport


def test_a_result_is_printed_as_json_over_every_kind_of_address(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    trust = ["--ca", urls.authority]
    assert call(urls.plain, "echo", "value:=[1, 2.50, null]") == 0
    assert call(f"{urls.plain}/rpc?trace=1", "echo", "value:=1") == 0
    assert call(urls.web_socket(urls.plain), "echo", "value=two") == 0
    assert call(urls.unix, "echo", '["three"]') == 0
    assert call(urls.secure, "echo", "value:=4", *trust) == 0
    assert call(f"{urls.web_socket(urls.secure)}/ws", "echo", "value:=5", "--insecure") == 0
    printed = capsys.readouterr()
    assert printed.out == '[1, 2.5, null]\n1\n"two"\n"three"\n4\n5\n'
    assert printed.err == ""


def test_a_process_is_called_over_its_pipes(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    command = f"stdio:'{sys.executable}' -m posthouse stdio calculator:service --log-level error"
    assert call(command, "add", "[1, 2, 3]") == 0
    assert capfd.readouterr().out == "6\n"


def test_a_terminal_gets_the_result_indented(
    urls: Urls, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert call(urls.plain, "echo", 'value:={"a": [1]}') == 0
    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n'


def test_characters_that_control_a_terminal_are_escaped_as_json_escapes_them(
    urls: Urls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(urls.plain, "echo", "value=\u009b31m \u202e \x1b \u00e9") == 0
    assert capsys.readouterr().out == '"\\u009b31m \\u202e \\u001b é"\n'


def test_options_may_stand_among_the_parameters(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(urls.plain, "--timeout", "20", "echo", "--quiet", "value=here") == 0
    assert capsys.readouterr().out == '"here"\n'


# What the server says


def test_an_error_is_printed_with_its_data_and_is_exit_code_1(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(urls.plain, "fail") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == 'posthouse: error 7: No\\x1b[31m luck\n  {"why": "\\u009b31m"}\n'


def test_an_error_that_comes_with_a_status_is_printed_like_any(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(urls.plain, "message.broadcast", "data:=1") == 1
    assert capsys.readouterr().err.startswith("posthouse: error -32020: Unauthenticated\n")


def test_an_unknown_method_has_a_hint(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(urls.plain, "ecko") == 1
    assert capsys.readouterr().err == (
        "posthouse: error -32601: Method not found\n  to list the methods of the server, call rpc.discover\n"
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["number=4"], "  number=… sends text: to send a number or other JSON, write number:=…\n"),
        (['number:="4"'], ""),
        (['{"number": "4"}'], ""),
        (["numbre=4"], ""),
        ([], ""),
    ],
)
def test_a_text_in_place_of_a_number_has_a_hint(
    words: list[str], hint: str, urls: Urls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(urls.plain, "double", *words) == 1
    first, data, *rest = capsys.readouterr().err.splitlines(keepends=True)
    assert first == "posthouse: error -32602: Invalid params\n"
    assert data.startswith('  {"parameter": "number", "reason": ')
    assert "".join(rest) == hint


@pytest.mark.parametrize("method", ["m", "rpc.discover"])
@pytest.mark.parametrize("data", ["", ',"data":"no number"', ',"data":{"parameter":null,"reason":"got str"}'])
def test_an_error_of_another_server_is_printed_without_a_hint(
    method: str, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = -32601 if method == "rpc.discover" else -32602
    body = f'{{"jsonrpc":"2.0","error":{{"code":{code},"message":"no"{data}}},"id":1}}'
    url, thread = answering(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert call(url, method, "x=1") == 1
    thread.join()
    said = capsys.readouterr().err
    assert said.startswith(f"posthouse: error {code}: no\n")
    assert "call rpc.discover" not in said
    assert "…" not in said


def test_notifications_before_the_answer_are_shown_and_requests_are_refused(
    urls: Urls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(urls.web_socket(urls.plain), "work", "--progress") == 0
    printed = capsys.readouterr()
    assert printed.out == '"-32601 Method not found"\n'
    assert printed.err.splitlines() == [
        'log\\x07 ["begun"]',
        '$/progress {"token": 1, "value": {"fraction": 0.5, "message": "half way"}}',
        'choose {"from": [1, 2]}',
    ]


def test_quiet_shows_the_result_alone(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(urls.web_socket(urls.plain), "work", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_a_notification_has_no_answer(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    seen.clear()
    assert call(urls.plain, "note", "text=http", "--notify") == 0
    assert call(urls.web_socket(urls.plain), "note", "text=ws", "--notify") == 0
    assert seen == ["http", "ws"]
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")


# Failures


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["localhost:8000", "m"], "cannot call the address"),
        (["ftp://localhost", "m"], "cannot call the address"),
        (["http://", "m"], "cannot call the address"),
        (["http://localhost:99999", "m"], "invalid address"),
        (["http://u:p@localhost", "m"], "an address must not contain credentials"),
        (["http://localhost/a b", "m"], "write it in ASCII"),
        (["http://münchen.example", "m"], "write it in ASCII"),
        (["http://localhost", "m", "--insecure"], "--ca and --insecure are for https:// and wss://"),
        (["https://localhost", "m", "--ca", "/nowhere.pem"], "cannot use /nowhere.pem: No such file"),
        (["https://localhost", "m", "--ca", __file__], "it contains no certificate (PEM)"),
        (["unix:", "m"], "unix: has no path"),
        (["stdio:", "m"], "stdio: has no command"),
        (["stdio:'open", "m"], "cannot parse the command"),
        (["stdio:x", "m", "--header", "A: b"], "a process has no headers"),
        (["stdio:x", "\udcff"], "is not UTF-8"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [["--timeout", "0"], ["--timeout", "1000001"], ["--timeout", "soon"], ["--header", "no colon"], ["--what"]],
)
def test_a_wrong_option_is_exit_code_2(option: list[str]) -> None:
    assert call("http://localhost", "m", *option) == 2


def test_progress_needs_a_connection_that_lasts(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(urls.plain, "work", "--progress") == 2
    assert "HTTP carries no progress" in capsys.readouterr().err


def test_a_server_that_cannot_be_reached_is_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        assert call(f"http://127.0.0.1:{taken.getsockname()[1]}", "m") == 3
    assert call(f"unix://{tmp_path}/none", "m") == 3
    assert call("stdio:/no/such/command", "m") == 3
    assert call("http://no..name", "m") == 3
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
        assert call(f"unix:{tmp_path}/stale", "m") == 3
    complaints = capsys.readouterr().err
    assert "nothing listens on 127.0.0.1:" in complaints
    assert f"no connection to {tmp_path}/none: No such file or directory" in complaints
    assert "cannot run /no/such/command: No such file or directory" in complaints
    assert "cannot resolve no..name: it is not a host name" in complaints
    assert f"no connection to {tmp_path}/stale: nothing listens there" in complaints


def test_an_untrusted_certificate_is_exit_code_3(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(urls.secure, "echo", "value:=1") == 3
    assert "is not trusted" in capsys.readouterr().err


def test_a_server_without_tls_is_no_connection_for_https(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(urls.plain.replace("http", "https"), "echo", "value:=1") == 3
    assert "no TLS with 127.0.0.1" in capsys.readouterr().err


def test_another_path_is_not_found(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(f"{urls.plain}/elsewhere", "echo") == 1
    assert call(f"{urls.web_socket(urls.plain)}/elsewhere", "echo") == 3
    complaints = capsys.readouterr().err
    assert "the server answered 404 Not Found" in complaints
    assert "no WebSocket: the server answered with status 404" in complaints
    assert complaints.count("check the path") == 2
    assert complaints.count(": Not found. Use POST /rpc, GET /ws, GET /health or GET /stats.\n") == 2


def test_no_answer_in_time_is_exit_code_1(urls: Urls, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(urls.web_socket(urls.plain), "hang", "--timeout", "0.2") == 1
    assert call(urls.plain, "hang", "--timeout", "0.2") == 1
    assert capsys.readouterr().err.count("no answer within 0.2 s") == 2


def answering(data: bytes) -> tuple[str, Thread]:
    """A server that reads one piece, says `data` to it and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener, listener.accept()[0] as client:
            client.recv(65536)
            client.sendall(data)

    thread = Thread(target=answer)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", thread


@pytest.mark.parametrize(
    ("data", "status", "complaint"),
    [
        (b"", 3, "closed the connection before it answered"),
        (b"SSH-2.0-x\r\n\r\n", 3, "does not speak HTTP/1.1"),
        (b"HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n", 1, "the server answered 599"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html>\x1b\xff\n", 1, "<html>\\x1b\\xff\\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", 1, "did not send a JSON-RPC message"),
    ],
)
def test_an_answer_that_is_not_json_rpc_is_an_error(
    data: bytes, status: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url, thread = answering(data)
    assert call(url, "m") == status
    thread.join()
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (
            b"426 Upgrade Required\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\nThere is a WebSocket",
            " answered with status 426: There is a WebSocket\n  a proxy has dropped the Upgrade header",
        ),
        (
            b"400 Bad Request\r\nContent-Type: text/plain\r\n\r\nNo\x1b[31m luck\n",
            " answered with status 400: No\\x1b[31m luck\n",
        ),
        (
            b"400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
            " answered with status 400\n",
        ),
        (b"400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\ncut", " answered with status 400\n"),
        (b"101 Switching Protocols\r\nUpgrade: other\r\n\r\n", "'s answer upgrades to something else\n"),
    ],
)
def test_a_refused_websocket_is_reported_with_the_text_of_the_server(
    data: bytes, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url, thread = answering(b"HTTP/1.1 " + data)
    assert call(url.replace("http", "ws"), "m") == 3
    thread.join()
    assert capsys.readouterr().err.startswith(f"posthouse: no WebSocket: the server{complaint}")


def test_a_refusal_that_never_ends_is_cut_off_at_the_timeout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\ncut")
                client.recv(65536)

        thread = Thread(target=answer)
        thread.start()
        assert call(f"ws://127.0.0.1:{listener.getsockname()[1]}", "m", "--timeout", "0.2") == 3
        thread.join()
    assert "no WebSocket: the server answered with status 400\n" in capsys.readouterr().err


def test_a_broken_connection_is_no_connection(
    urls: Urls, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(socket.socket):
        def recv(self, *_: object) -> bytes:
            raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(socket, "socket", Broken)
    assert call(urls.plain, "echo", "value:=1") == 3
    assert "the connection broke: Connection reset by peer" in capsys.readouterr().err


@pytest.mark.parametrize("error", [TimeoutError(), OSError(101, "Network is unreachable"), socket.gaierror(-2, "?")])
def test_an_address_that_cannot_be_reached_is_exit_code_3(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> socket.socket:
        raise error

    monkeypatch.setattr(socket, "create_connection", connect)
    assert call("ws://[::1]:9", "m") == 3


def refusing_goodbyes() -> tuple[str, Thread]:
    """A WebSocket server that answers the first message and then stays silent until the client is gone."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener, listener.accept()[0] as client:
            request = client.recv(65536)
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
            assert key is not None
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            client.sendall(head + b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_for(key[1]))
            client.recv(65536)
            client.sendall(frame(FIN | TEXT, b'{"jsonrpc":"2.0","result":5,"id":1}'))
            while client.recv(65536):
                pass

    thread = Thread(target=answer)
    thread.start()
    return f"ws://127.0.0.1:{listener.getsockname()[1]}", thread


def test_a_missing_close_frame_does_not_change_the_result(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplex, "CLOSE_SECONDS", 0.05)
    url, thread = refusing_goodbyes()
    assert call(url, "m") == 0
    thread.join()
    assert capsys.readouterr().out == "5\n"


def test_a_header_is_sent_and_takes_the_place_of_the_usual_one(capsys: pytest.CaptureFixture[str], urls: Urls) -> None:
    assert call(urls.plain, "echo", "value:=1", "--header", "Content-Type: text/plain") == 1
    assert call(urls.plain, "echo", "value:=1", "--header", "Posthouse-Timeout-Ms: 1000") == 0
    assert call(urls.web_socket(urls.plain), "echo", "value:=1", "--header", "Origin: https://elsewhere.example") == 3
    complaints = capsys.readouterr().err
    assert "the server answered 415 Unsupported Media Type" in complaints
    assert "start it with --allow-origin" in complaints


@pytest.mark.parametrize("name", ["Host", "Content-Length", "transfer-encoding", "Upgrade", "Sec-WebSocket-Key"])
@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_header_that_the_command_sets_itself_is_exit_code_2(
    name: str, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(f"{scheme}://localhost", "m", "--header", f"{name}: 5") == 2
    assert f"invalid value for '--header': {name} is a header that this command sets itself" in capsys.readouterr().err


# Processes


def test_a_process_that_ends_before_it_answers_is_no_connection(capfd: pytest.CaptureFixture[str]) -> None:
    assert call("stdio:true", "m") == 3
    assert "the connection ended before the answer" in capfd.readouterr().err


def test_many_lines_at_once_are_all_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = ['{"method": "tick"}'] * 200 + ['{"id": 7, "result": 0}', '{"id": 1, "result": "done"}']
    (tmp_path / "said").write_text("\n".join(lines))
    assert call(f"stdio:cat {tmp_path}/said", "m", "--quiet") == 0
    assert capfd.readouterr().out == '"done"\n'


def test_a_process_that_does_not_end_is_ended(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "EXIT_GRACE", 0.05)
    assert call("stdio:sh -c 'trap \"\" TERM; exec sleep 1000'", "m", "--timeout", "0.2") == 1
    assert call("stdio:sh -c 'exec >&-; exec sleep 1000'", "m", "--timeout", "5") == 3
    assert "no answer within 0.2 s" in capfd.readouterr().err


def test_a_process_that_reads_nothing_runs_into_the_timeout(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "EXIT_GRACE", 0.05)
    text = "x" * 100_000
    assert call("stdio:sleep 1000", "m", f"text={text}", f"more={text}", "--timeout", "0.2") == 1
    assert "no answer within 0.2 s" in capfd.readouterr().err
