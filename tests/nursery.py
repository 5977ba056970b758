"""Processes of ours that begin with their modules loaded.

    nursery = Nursery("bridge.worker", "bridge.commands.worker")
    worker = nursery.start("bridge.cli", ["worker"], env=env, folder=folder, output=log, told=log)
    worker.terminate()
    assert worker.wait(10) == 0

A worker computes for a second until it is at work, three quarters of it to load 800 modules, and
the suite starts hundreds of processes. A nursery has loaded them and done nothing else: it has one
thread, no connection and no settings. What it forks runs a module as ``python -m`` does, in a
session of its own, with the environment, the folder and the output that it is given and nothing
that the nursery or another of its children has open; it ends as an interpreter does. How our
processes start from nothing is for the tests that run command lines, and the demonstration.

What differs: all children of a nursery hash strings alike.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

LONGEST_ORDER = 200_000
"""Bytes of an order at most: a command line and an environment."""

START_S = 60.0

REAP, REAPED = b"reap", b"reaped"


class Child:
    """A process that a nursery has forked; to be used as a ``subprocess.Popen`` is.

    Its process id stays its own until its end has been asked for.
    """

    def __init__(self, pid: int, word: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._word = word
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        with self._lock:
            if self.returncode is None:
                try:
                    said = self._word.recv(64, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return None
                if not said:
                    raise RuntimeError(f"the nursery of process {self.pid} has gone")
                self._word.send(REAP)
                assert self._word.recv(64) == REAPED
                self._word.close()
                self.returncode = int(said)
            return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the end; the exit status. Errors: ``subprocess.TimeoutExpired``."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            with suppress(ValueError):  # another thread has heard of the end
                select.select([self._word], [], [], min(left, 0.5))
        return status

    def terminate(self) -> None:
        """SIGTERM, if it runs."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Nursery:
    """A process that has loaded modules. It is started when it is needed, and ends with us."""

    def __init__(self, *modules: str) -> None:
        self.modules = modules
        self._orders: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        folder: str | os.PathLike[str] | None = None,
        output: IO[Any] | int,
        told: IO[Any] | int,
    ) -> Child:
        """Run a module. ``output``, ``told``: files for standard output and standard error."""
        orders = self._open()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = {
            "module": module,
            "arguments": list(arguments),
            "env": dict(env),
            "folder": os.fspath(folder or Path.cwd()),
        }
        text = json.dumps(order).encode()
        assert len(text) <= LONGEST_ORDER, "a longer order than a nursery reads"
        with theirs:
            files = [theirs.fileno(), _number(output), _number(told)]
            socket.send_fds(orders, [text], files)
        ours.settimeout(START_S)
        pid = ours.recv(64)
        if not pid:
            raise RuntimeError(f"the nursery of {', '.join(self.modules)} has gone")
        ours.settimeout(None)
        return Child(int(pid), ours)

    def _open(self) -> socket.socket:
        if self._orders is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(theirs.fileno()), *self.modules],
                    env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            self._orders = ours
        return self._orders


def _number(file: IO[Any] | int) -> int:
    return file if isinstance(file, int) else file.fileno()


# --------------------------------------------------------------------- the other side


class _Forked(Exception):  # noqa: N818 - no error: the way out of the loop for a child
    """Here we are the child. ``order``: what to be. ``files``: the word's, and the two outputs."""

    def __init__(self, order: Mapping[str, Any], files: Sequence[int]) -> None:
        super().__init__()
        self.order = order
        self.files = files


def _serve(orders: socket.socket) -> None:
    """Fork for each order, and tell of each end, until whoever orders has gone.

    All else that is open is a bare number, which a child can close for good. Errors: ``_Forked``,
    in the child.
    """
    watched = selectors.PollSelector()
    watched.register(orders, selectors.EVENT_READ)
    while True:
        for key, _ in watched.select():
            if key.fileobj is orders:
                text, files, _flags, _ = socket.recv_fds(orders, LONGEST_ORDER, 3)
                if not text:
                    return
                pid = os.fork()
                if pid == 0:
                    orders.detach()
                    raise _Forked(json.loads(text), files)
                word, *others = files
                for file in others:
                    os.close(file)
                watched.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, word))
            elif isinstance(key.data, tuple):
                _tell(watched, key.fd, *key.data)
            else:
                _reap(watched, key.fd, key.data)


def _tell(watched: selectors.BaseSelector, end: int, pid: int, word: int) -> None:
    """A child has ended; it keeps its process id until that has been heard."""
    watched.unregister(end)
    os.close(end)
    how = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert how is not None
    killed = how.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
    watched.register(word, selectors.EVENT_READ, pid)
    with suppress(OSError):  # nobody wants to know
        os.write(word, str(-how.si_status if killed else how.si_status).encode())


def _reap(watched: selectors.BaseSelector, word: int, pid: int) -> None:
    """Its end has been heard, or nobody is there to hear it."""
    watched.unregister(word)
    os.waitpid(pid, 0)
    with suppress(OSError):
        if os.read(word, 64):
            os.write(word, REAPED)
    os.close(word)


def _become(order: Mapping[str, Any], files: Sequence[int]) -> None:
    """What ``python -m`` does, in a session of our own."""
    word, output, told = files
    os.setsid()
    os.write(word, str(os.getpid()).encode())  # not before: whoever hears of it may kill the group
    os.dup2(output, 1)
    os.dup2(told, 2)
    os.closerange(3, max(int(file.name) for file in Path("/proc/self/fd").iterdir()) + 1)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    sys.path[0] = order["folder"]
    sys.argv = [order["module"], *order["arguments"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


def _main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        import_module(module)
    try:
        _serve(orders)
    except _Forked as forked:
        child = forked
    else:
        return
    _become(child.order, child.files)


if __name__ == "__main__":
    _main()
