"""The PostgreSQL server that tests of the store and of the processes share, and logs left alone.

Each pytest-xdist worker starts one, at the first test that needs it. Where it does not start, those
tests fail, since half of what is promised would be untested; ``BRIDGE_TEST_WITHOUT_POSTGRES=1``
skips them instead, and the summary says so.
"""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import hypothesis
import pytest
import structlog
from command_line import logs_as_before
from memory_disk import memory_folder
from store.postgres import Postgres, running

from bridge.store.database import Database
from bridge.store.migrate import migrate

WITHOUT = "BRIDGE_TEST_WITHOUT_POSTGRES"
UNTESTED = "not tested on PostgreSQL"
UNSEEN = "not tested in a browser"
TEMPORARY = "PYTEST_DEBUG_TEMPROOT"
TRUSTED = "SSL_CERT_FILE"


def pytest_configure(config: pytest.Config) -> None:
    """Folders of tests lie in memory, unless it is said where; of those that passed none stays.

    What tests start can be interrupted, also where the tests themselves run in the background of
    a shell, which has its jobs ignore that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # how long an example takes says how busy the machine is
    hypothesis.settings.register_profile("suite", hypothesis.settings(), deadline=None)
    hypothesis.settings.load_profile("suite")
    memory = memory_folder()
    if memory is not None and config.getoption("basetemp") is None:
        os.environ.setdefault(TEMPORARY, str(memory))


def pytest_sessionstart() -> None:
    """Nothing that is loaded to find the tests is garbage, so none is looked for meanwhile."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor is any of it later: it is not looked through again whenever a test leaves garbage."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a dear setup go first, since testers steal from each other's last tests.

    Otherwise every tester comes by some of them, and sets it all up for itself.
    """
    items.sort(key=lambda item: item.get_closest_marker("dear_setup") is None)


PLAIN: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.format_exc_info,
    structlog.processors.KeyValueRenderer(key_order=["level", "stage", "event"]),
]
"""How lines are shown that a test logs without setting anything up.

By itself structlog paints them, and prints whole frames with all that stands in them under each
exception: a thousand expected ones took half of the time of their tests.
"""


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    with logs_as_before():
        structlog.configure(processors=PLAIN[:], cache_logger_on_first_use=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Clients trust one authority in place of all, since they take 20 ms each to read all those.

    Tests call nobody whose certificate is signed by any of them.
    """
    end = "-----END CERTIFICATE-----\n"
    first = Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0]
    path = tmp_path_factory.mktemp("authority") / "one.pem"
    path.write_text(first + end, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TRUSTED, str(path))
        patch.setattr(certifi, "where", lambda: str(path))  # for those that heed no environment
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server, without a database of ours."""
    if os.environ.get(WITHOUT) == "1":
        pytest.skip(f"{UNTESTED}: {WITHOUT}=1")
    context = running()
    try:
        server = context.__enter__()
    except Exception as error:  # noqa: BLE001 - whatever it is, the reason is shown
        pytest.fail(f"{UNTESTED}: the server does not start: {error!r}", pytrace=False)
    try:
        yield server
    finally:
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """The name of a migrated database without rows, to be copied."""
    name = postgres.create()
    database = Database(postgres.url(name))
    migrate(database)
    database.close()
    return name


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last, and in one place, what was left out."""
    _say_left_out(
        terminalreporter,
        UNTESTED,
        "Promise 10 (any number of processes over one PostgreSQL) and the PostgreSQL half of the "
        f"store are unproven by this run. {WITHOUT}=1 is meant for machines that cannot run it.",
    )
    _say_left_out(
        terminalreporter,
        UNSEEN,
        "That the console works in a browser, by keyboard and for screen readers is unproven by "
        "this run. Install chromium; BRIDGE_TEST_BROWSER=required makes its absence an error.",
    )


def _say_left_out(terminalreporter: pytest.TerminalReporter, what: str, means: str) -> None:
    reports = (
        report
        for kind in ("error", "failed", "skipped")
        for report in terminalreporter.stats.get(kind, [])
        if what in str(report.longrepr)
    )
    missing = Counter(report.nodeid.partition("::")[0] for report in reports)
    if not missing:
        return
    count = missing.total()
    terminalreporter.section(f"{what.upper()}: {count} tests", sep="!", red=True, bold=True)
    for file, tests in sorted(missing.items()):
        terminalreporter.line(f"{tests:6} in {file}")
    terminalreporter.line(means)
