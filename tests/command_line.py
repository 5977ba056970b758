"""Run ``crm-bridge`` commands in the tester's own process, which has loaded what they need.

Half a second of computing goes into a command that is a process of its own, nearly all of it to
load the same once more. What only a process shows, how it starts from nothing and ends, is for
``test_cli``, ``test_wheel`` and whatever calls ``Bridge.run``: each command is run there too.
"""

from __future__ import annotations

import gc
import io
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import structlog

from bridge.cli import main

STAY = frozenset({"web", "worker", "run", "sandbox", "demo"})
"""Commands that take the place of their process, start others, or do not end."""


@contextmanager
def logs_as_before() -> Iterator[None]:
    """Whoever sets the process's log up leaves none of it to whoever is next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)


def call(
    *arguments: str, settings: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a folder, with only these settings.

    Its exit status and all that it has written, as of a process; an exception that a process would
    have ended with, in a traceback, is raised. Environment, working folder and standard output are
    the whole process's meanwhile: to be called by the test itself, not by a thread of it.
    """
    assert STAY.isdisjoint(arguments[:1]), f"{arguments[0]} has to be a process"
    written, told = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    thresholds = gc.get_threshold()
    with _set_up(arguments, settings, folder), redirect_stdout(written), redirect_stderr(told):
        try:
            main()
        except SystemExit as ended:
            status = ended.code
        else:
            status = 0
        finally:
            gc.unfreeze()
            gc.set_threshold(*thresholds)
    return subprocess.CompletedProcess(
        args=arguments, returncode=_status(status), stdout=_text(written), stderr=_text(told)
    )


@contextmanager
def _set_up(
    arguments: tuple[str, ...], settings: Mapping[str, str], folder: Path
) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, logs_as_before():
        patch.setattr(sys, "argv", ["crm-bridge", *arguments])
        for name in os.environ:
            patch.delenv(name)
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.setattr(tempfile, "tempdir", None)  # it is in the settings, and looked up once
        patch.chdir(folder)
        yield


def _status(code: object) -> int:
    assert code is None or isinstance(code, int), "an exit status, not a message"
    return code or 0


def _text(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
