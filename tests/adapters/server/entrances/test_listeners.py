"""Names become addresses, addresses become listening sockets, and a path becomes a unix socket of its owner."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from posthouse.adapters.server.entrances import listeners
from posthouse.adapters.server.entrances.listeners import Bound, adopt, is_loopback, listen_tcp, listen_unix
from posthouse.adapters.system.machine import MachineSockets
from posthouse.core.values.errors import UsageError

SOCKETS = MachineSockets()


class Socket:
    """A socket that notes what is done with it in `done`. `fails`: the error of its `bind`."""

    def __init__(self, family: int, done: list[Any], fails: OSError | None) -> None:
        self.family = family
        self._done = done
        self._fails = fails
        self._address: tuple[Any, ...] = ()
        self._open = True

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self._done.append((level, option, value))

    def bind(self, address: tuple[Any, ...]) -> None:
        self._done.append(("bind", *address))
        if self._fails is not None:
            raise self._fails
        self._address = (address[0], address[1] or 40_000, *address[2:])

    def listen(self, backlog: int) -> None:
        self._done.append(("listen", backlog))

    def getsockname(self) -> tuple[Any, ...]:
        return self._address

    def setblocking(self, flag: bool) -> None:
        self._done.append(("blocking", flag))

    def fileno(self) -> int:
        return 7 if self._open else -1

    def close(self) -> None:
        self._open = False
        self._done.append("close")


V4, V6 = socket.AF_INET, socket.AF_INET6
REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
V6ONLY = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


class Sockets:
    """A machine that resolves `names`, on which binding to some addresses fails."""

    def __init__(self, names: dict[str, list[tuple[int, Any]]], **fails: int) -> None:
        self.done: list[Any] = []
        self._names = names
        self._fails = {int(number[1:]): errno for number, errno in fails.items()}
        self._opened = 0

    def addresses(self, host: str, port: int) -> list[tuple[int, Any]]:
        if host not in self._names:
            raise socket.gaierror(-2, "Name or service not known")
        return [(family, (address[0], port, *address[1:])) for family, address in self._names[host]]

    def open(self, family: int) -> Socket:
        self._opened += 1
        number = self._fails.get(self._opened)
        error = None if number is None else OSError(number, os.strerror(number))
        return Socket(family, self.done, error)


def listen(sockets: Sockets, *hosts: str, port: int = 8000, secure: bool = False) -> list[Bound]:
    machine: Any = sockets
    return [listener.bound for listener in listen_tcp(machine, hosts, port, secure=secure)]


def test_an_address_is_written_as_clients_write_it() -> None:
    assert Bound("127.0.0.1", 8000).url == "http://127.0.0.1:8000"
    assert Bound("::1", 8443, secure=True).url == "https://[::1]:8443"
    assert Bound(path="/run/service.sock").url == "unix:/run/service.sock"
    assert Bound() == Bound("", 0, "", secure=False)


def test_every_address_of_every_host_is_listened_on_with_the_port_that_was_picked() -> None:
    sockets = Sockets({"a": [(V4, ("10.0.0.1",)), (V6, ("fe80::1", 0, 3))], "b": [(V4, ("10.0.0.2",))]})
    assert listen(sockets, "a", "b", port=0) == [
        Bound("10.0.0.1", 40_000),
        Bound("fe80::1", 40_000),
        Bound("10.0.0.2", 40_000),
    ]
    assert sockets.done == [
        *(REUSE, ("bind", "10.0.0.1", 0), ("listen", 1024), ("blocking", False)),
        *(REUSE, V6ONLY, ("bind", "fe80::1", 40_000, 0, 3), ("listen", 1024), ("blocking", False)),
        *(REUSE, ("bind", "10.0.0.2", 40_000), ("listen", 1024), ("blocking", False)),
    ]


def test_a_server_with_tls_says_so() -> None:
    assert listen(Sockets({"a": [(V4, ("10.0.0.1",))]}), "a", secure=True) == [Bound("10.0.0.1", 8000, secure=True)]
    assert listen(Sockets({"a": [(V4, ("10.0.0.1",))]}), "a") == [Bound("10.0.0.1", 8000)]


TWO: dict[str, list[tuple[int, Any]]] = {"a": [(V6, ("::1",)), (V4, ("127.0.0.1",))], "b": [(V4, ("10.0.0.2",))]}


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_an_address_of_a_name_that_this_machine_does_not_have_is_skipped(number: int) -> None:
    sockets = Sockets(TWO, _1=number)
    assert listen(sockets, "a") == [Bound("127.0.0.1", 8000)]
    assert sockets.done.count("close") == 1
    assert listen(Sockets(TWO, _2=number), "a") == [Bound("::1", 8000)]


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_host_without_an_address_on_this_machine_is_an_error(number: int) -> None:
    sockets = Sockets(TWO, _1=number, _2=number)
    with pytest.raises(OSError, match=f"cannot listen on a port 8000: {os.strerror(number)}") as caught:
        listen(sockets, "a")
    assert caught.value.errno == number
    sockets = Sockets(TWO, _3=number)
    with pytest.raises(OSError, match="cannot listen on b port 8000"):
        listen(sockets, "a", "b")
    assert sockets.done.count("close") == 3, "it then listens on none"


def test_an_address_in_use_is_an_error_also_if_the_host_has_another() -> None:
    sockets = Sockets(TWO, _1=errno.EADDRINUSE)
    with pytest.raises(OSError, match="cannot listen on a port 8000: Address already in use") as caught:
        listen(sockets, "a")
    assert (caught.value.errno, caught.value.__suppress_context__) == (errno.EADDRINUSE, True)
    sockets = Sockets(TWO, _2=errno.EADDRINUSE)
    with pytest.raises(OSError, match="cannot listen on a"):
        listen(sockets, "a")
    assert sockets.done.count("close") == 2


def test_a_name_that_cannot_be_resolved_is_named() -> None:
    with pytest.raises(OSError, match="cannot resolve 'nowhere': Name or service not known") as caught:
        listen(Sockets({}), "nowhere")
    assert caught.value.errno == errno.EADDRNOTAVAIL
    with pytest.raises(OSError, match=r"cannot resolve 'a\.\.b': it is not a host name"):
        listen_tcp(SOCKETS, ["a..b"], 0)


def test_a_host_is_of_this_machine_alone_if_all_its_addresses_are() -> None:
    machine: Any = Sockets(
        {"a": [(V4, ("127.0.0.1",)), (V6, ("::1%lo", 0, 1))], "b": [(V4, ("127.0.0.1",)), *TWO["b"]]}
    )
    assert (is_loopback(machine, "a"), is_loopback(machine, "b")) == (True, False)
    with pytest.raises(OSError, match="cannot resolve 'c'"):
        is_loopback(machine, "c")


# A port that nobody has chosen


class Taken(socket.socket):
    """A socket whose address is in use."""

    def bind(self, address: object, /) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")


class SomeTaken(MachineSockets):
    """A machine whose sockets find their address in use, in these places."""

    def __init__(self, *places: int) -> None:
        self.places = places
        self.opened: list[socket.socket] = []

    def open(self, family: int) -> socket.socket:
        taken = len(self.opened) in self.places
        self.opened.append(Taken(family) if taken else super().open(family))
        return self.opened[-1]


HOSTS = ("127.0.0.1", "127.0.0.2")


def test_a_free_port_is_picked_again_if_it_is_in_use_on_another_address() -> None:
    sockets = SomeTaken(1, 3)
    bound = listen_tcp(sockets, HOSTS, 0)
    assert [listener.bound.host for listener in bound] == ["127.0.0.1", "127.0.0.2"]
    assert len({listener.bound.port for listener in bound}) == 1
    assert [opened.fileno() >= 0 for opened in sockets.opened] == [False, False, False, False, True, True]
    for listener in bound:
        listener.close()


def test_a_port_is_picked_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "PICKS", 3)
    sockets = SomeTaken(1, 3, 5)
    with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.2 port \d+: Address already in use"):
        listen_tcp(sockets, HOSTS, 0)
    assert len(sockets.opened) == 6


def test_a_port_that_was_chosen_is_not_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sockets = SomeTaken()
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1 port {port}: "):
            listen_tcp(sockets, HOSTS, port)
    assert len(sockets.opened) == 1


def test_another_error_is_not_tried_again() -> None:
    sockets = SomeTaken()
    with pytest.raises(OSError, match="cannot resolve"):
        listen_tcp(sockets, ("127.0.0.1", "no..name"), 0)
    assert len(sockets.opened) == 1


# Unix sockets


def test_a_unix_socket_is_for_its_owner_alone_and_goes_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o022)
    try:
        listener = listen_unix(SOCKETS, "service.sock")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)
    path = tmp_path / "service.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert listener.bound == Bound(path=str(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listener.close()
    assert not path.exists()
    path.write_text("another's")
    listener.close()
    assert path.read_text() == "another's"


def test_a_unix_socket_may_be_secure_and_does_not_block(tmp_path: Path) -> None:
    listener = listen_unix(SOCKETS, str(tmp_path / "service.sock"), secure=True)
    assert listener.bound.secure
    with pytest.raises(BlockingIOError):
        listener.socket.accept()
    listener.close()


def test_a_path_without_a_name_or_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the path of the unix socket is empty"):
        listen_unix(SOCKETS, "")
    mask = os.umask(0o022)
    try:
        with pytest.raises(OSError, match=r"cannot listen on .*/no/where: No such file or directory") as caught:
            listen_unix(SOCKETS, str(tmp_path / "no" / "where"))
        assert caught.value.errno == errno.ENOENT
        with pytest.raises(OSError, match=r"cannot listen on .*: AF_UNIX path too long"):
            listen_unix(SOCKETS, str(tmp_path / ("x" * 200)))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)


def test_a_socket_that_could_not_listen_is_closed(tmp_path: Path) -> None:
    machine: Any = Sockets({}, _1=errno.EACCES)
    with pytest.raises(OSError, match="Permission denied"):
        listen_unix(machine, str(tmp_path / "service.sock"))
    assert machine.done[-1] == "close"


def test_a_socket_whose_server_has_gone_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    listener = listen_unix(SOCKETS, str(path))
    with pytest.raises(UsageError, match=r"service.sock is in use: another server listens there"):
        listen_unix(SOCKETS, str(path))
    listener.close()


def test_a_server_whose_backlog_is_full_is_alive(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    clients = []
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        while True:
            client = socket.socket(socket.AF_UNIX)
            clients.append(client)
            client.setblocking(False)
            try:
                client.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(UsageError, match="is in use"):
            listen_unix(SOCKETS, str(path))
    for client in clients:
        client.close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("keep")
    with pytest.raises(UsageError, match=r"precious exists and is not a socket: use another path, or remove it"):
        listen_unix(SOCKETS, str(path))
    assert path.read_text() == "keep"


def test_what_somebody_else_has_put_there_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    listener = listen_unix(SOCKETS, str(path))
    path.rename(tmp_path / "moved.sock")
    path.write_text("another's")
    listener.close()
    assert path.read_text() == "another's"
    listener = listen_unix(SOCKETS, str(tmp_path / "gone.sock"))
    (tmp_path / "gone.sock").unlink()
    listener.close()


def test_a_unix_socket_may_let_in_its_group(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    group = grp.getgrgid(os.getgid()).gr_name
    for options, mode in (({}, 0o600), ({"mode": 0o660, "group": group}, 0o660), ({"mode": 0o666}, 0o666)):
        listener = listen_unix(SOCKETS, os.fspath(path), **options)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.stat().st_gid == os.getgid()
        listener.close()
    with pytest.raises(UsageError, match="there is no group 'nobody-has-this' on this machine"):
        listen_unix(SOCKETS, os.fspath(path), group="nobody-has-this")
    assert not path.exists()


def test_a_socket_that_listens_already_is_used_and_its_path_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        listener = adopt(SOCKETS, os.dup(given.fileno()), secure=True)
        port = given.getsockname()[1]
        assert listener.bound == Bound("127.0.0.1", port, secure=True)
        listener.close()


def test_the_path_of_a_given_unix_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(os.fspath(path))
        given.listen()
        listener = adopt(SOCKETS, os.dup(given.fileno()))
        assert listener.bound == Bound(path=os.fspath(path))
        listener.close()
        assert path.exists()


def test_a_descriptor_without_a_socket_that_listens_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as idle, (tmp_path / "file").open("w") as file:
        for descriptor, reason in (
            (idle.fileno(), "it is not a socket that listens for connections"),
            (file.fileno(), "Socket operation on non-socket"),
            (9999, "Bad file descriptor"),
        ):
            with pytest.raises(OSError, match=f"cannot listen on the descriptor {descriptor}: {reason}"):
                adopt(SOCKETS, descriptor)
        assert idle.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
