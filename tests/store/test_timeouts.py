"""A database that does not answer is given up in time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import text

from bridge.errors import StoreBusy
from bridge.store.database import Database

# SQLite runs in the process itself
pytestmark = pytest.mark.parametrize("engine", ["postgresql"])


@pytest.fixture
def patient(opened: Callable[..., Database]) -> Database:
    return opened(busy_timeout_s=0.3, statement_timeout_s=1.2)


def test_a_statement_that_takes_too_long_is_busy(patient: Database) -> None:
    begun = time.monotonic()
    with pytest.raises(StoreBusy), patient.write() as connection:
        connection.execute(text("SELECT pg_sleep(20)"))
    assert 1 < time.monotonic() - begun < 5
    with patient.write() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_a_silent_network_is_noticed_by_the_connection_itself(patient: Database) -> None:
    with patient.listening() as raw:
        chosen = raw.info.get_parameters()
    assert chosen["tcp_user_timeout"] == "2000"
    assert chosen["keepalives_idle"] == "2"
    assert chosen["keepalives_count"] == "3"
