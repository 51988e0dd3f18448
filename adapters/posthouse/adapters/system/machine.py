"""The real machine: the sockets, descriptors, threads and signals of this process."""

from __future__ import annotations

import errno
import logging
import math
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from os import PathLike
from queue import SimpleQueue
from typing import Any, Never

from .clock import Clock
from .collector import tuned_collector
from .selector import PortableSelector
from .system import Address, Selector, TlsContext
from .tls import tls_context


class MachineSockets:
    """Sockets of this machine."""

    def selector(self) -> Selector:
        return select.epoll() if sys.platform == "linux" else PortableSelector()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        return socket.socketpair()

    def open(self, family: int) -> socket.socket:
        return socket.socket(family, socket.SOCK_STREAM)

    def adopt(self, descriptor: int) -> socket.socket:
        adopted = socket.socket(fileno=descriptor)
        if adopted.type != socket.SOCK_STREAM or not adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            adopted.detach()
            raise OSError(errno.EINVAL, "it is not a socket that listens for connections")
        return adopted

    def addresses(self, host: str, port: int) -> list[tuple[int, Address]]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return list(dict.fromkeys((family, address) for family, _, _, _, address in found))

    def tls(
        self, cert: str | PathLike[str], key: str | PathLike[str] | None, passphrase: str | None = None
    ) -> TlsContext:
        return tls_context(cert, key, passphrase)


class MachineDescriptors:
    """Descriptors of this process."""

    def limit(self) -> float:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return math.inf if limit == resource.RLIM_INFINITY else limit

    def null(self) -> int:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    pipe = staticmethod(os.pipe)
    dup = staticmethod(os.dup)
    close = staticmethod(os.close)
    read = staticmethod(os.read)
    write = staticmethod(os.write)

    def waiting(self, *, read: Sequence[int] = (), write: Sequence[int] = ()) -> Callable[[], object]:
        ready = select.poll()
        for descriptor in read:
            ready.register(descriptor, select.POLLIN)
        for descriptor in write:
            ready.register(descriptor, select.POLLOUT)
        return ready.poll


class MachineThreads:
    """Threads of this process. They are daemons: a stuck one does not delay the exit."""

    def start(self, work: Callable[[], None], name: str) -> None:
        threading.Thread(target=work, name=name, daemon=True).start()

    def every(self, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
        stopped = threading.Event()

        def repeat() -> None:
            while not stopped.wait(seconds):
                call()

        thread = threading.Thread(target=repeat, name=name, daemon=True)
        thread.start()

        def stop() -> None:
            stopped.set()
            thread.join()

        return stop

    condition = staticmethod(threading.Condition)

    def future(self) -> Future[Any]:
        return Future()

    def queue(self) -> SimpleQueue[int | None]:
        return SimpleQueue()


class MachineSignals:
    """Signals of this process."""

    def available(self) -> bool:
        return threading.current_thread() is threading.main_thread()

    handle = staticmethod(signal.signal)
    sleep = staticmethod(time.sleep)

    def wake_up(self, descriptor: int) -> int:
        return signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)

    def flush(self) -> None:
        with suppress(Exception):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()

    def exit(self, code: int) -> Never:
        os._exit(code)


class Machine:
    """This machine, with this clock."""

    def __init__(self, clock: Clock = Clock()) -> None:
        self.now: Callable[[], float] = clock.now
        self.wall: Callable[[], float] = clock.wall
        self.entropy: Callable[[int], bytes] = clock.entropy
        self.sockets = MachineSockets()
        self.descriptors = MachineDescriptors()
        self.threads = MachineThreads()
        self.signals = MachineSignals()
        self.collector = tuned_collector
