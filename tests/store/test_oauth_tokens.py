"""Rotated refresh tokens: never used twice, never lost, sealed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from enrich.rest import Api, Asked, Says
from sqlalchemy import Connection, select

from bridge import seal
from bridge.enrich.oauth import Grant
from bridge.enrich.reading import Cause, Failed
from bridge.errors import StoreBusy, StoreError
from bridge.model import OAuth, Secret
from bridge.steps.token_keeper import HOLD, TokenKeeper, name_of
from bridge.store import oauth_tokens
from bridge.store.database import Database
from bridge.store.schema import oauth_token

from .asking import Asking
from .idle_worker import idle_worker
from .replaying import HEAD
from .waiting import until

LOGIN = OAuth(
    "https://api.example.com/token",
    "client-9",
    Secret("CLIENT_SECRET", ("seal-me",)),
    Secret("REFRESH", ("refresh-0",)),
    rotates=True,
)


class Provider:
    """Gives ``access-N`` and ``refresh-N`` for ``refresh-N-1``, once."""

    def __init__(self) -> None:
        self.count = 0

    def fetch(self, refresh: str | None) -> Grant | Failed:
        assert (refresh or "refresh-0") == f"refresh-{self.count}"
        self.count += 1
        return Grant(f"access-{self.count}", f"refresh-{self.count}", 100.0)


def access(found: Grant | Failed | None) -> str:
    assert isinstance(found, Grant), found
    return found.access_token


def test_every_refresh_uses_the_token_that_the_one_before_it_brought(database: Database) -> None:
    provider = Provider()
    assert TokenKeeper(database).current(LOGIN) is None
    for turn in range(1, 4):
        keeper = TokenKeeper(database)  # as after a restart
        assert access(keeper.renew(LOGIN, f"access-{turn - 1}", provider.fetch)) == f"access-{turn}"
        assert access(TokenKeeper(database).current(LOGIN)) == f"access-{turn}"


def test_a_worker_takes_what_another_has_fetched_meanwhile(database: Database) -> None:
    provider = Provider()
    TokenKeeper(database).renew(LOGIN, None, provider.fetch)
    assert access(TokenKeeper(database).renew(LOGIN, "access-0", provider.fetch)) == "access-1"
    assert provider.count == 1


def test_while_one_refreshes_another_waits(database: Database) -> None:
    provider, seen = Provider(), list[Grant | Failed]()

    def slowly(refresh: str | None) -> Grant | Failed:
        seen.append(TokenKeeper(database).renew(LOGIN, None, provider.fetch))
        return provider.fetch(refresh)

    assert access(TokenKeeper(database).renew(LOGIN, None, slowly)) == "access-1"
    (other,) = seen
    assert isinstance(other, Failed)
    assert other.retry_after_s == 2
    assert provider.count == 1


@pytest.mark.parametrize("engine", ["postgresql"])  # on SQLite there is one machine
def test_a_worker_whose_clock_is_ahead_waits_as_well(
    database: Database, opened: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, seen = Provider(), list[Grant | Failed]()
    real = time.time_ns

    def slowly(refresh: str | None) -> Grant | Failed:
        with monkeypatch.context() as patch:
            patch.setattr(time, "time_ns", lambda: real() + 5 * HOLD * 1_000_000)
            other = opened()
            with other.read() as connection:
                other.measure_clock(connection)
            seen.append(TokenKeeper(other).renew(LOGIN, None, provider.fetch))
        return provider.fetch(refresh)

    assert access(TokenKeeper(database).renew(LOGIN, None, slowly)) == "access-1"
    assert [type(one) for one in seen] == [Failed]
    assert provider.count == 1


def test_a_refresh_that_fails_lets_the_next_one_try_at_once(database: Database) -> None:
    keeper, provider = TokenKeeper(database), Provider()
    failed = Failed("no", Cause.TOKEN)
    assert keeper.renew(LOGIN, None, lambda _token: failed) is failed
    assert access(keeper.renew(LOGIN, None, provider.fetch)) == "access-1"


def test_a_token_that_could_not_be_stored_is_stored_later(database: Database) -> None:
    provider, keeper = Provider(), TokenKeeper(database)
    failing = _Failing(database)
    keeper._database = failing  # type: ignore[assignment]
    failing.left = 1
    assert access(keeper.renew(LOGIN, None, provider.fetch)) == "access-1"
    assert TokenKeeper(database).current(LOGIN) is None
    failing.left = 100
    assert access(keeper.current(LOGIN)) == "access-1"
    assert access(TokenKeeper(database).renew(LOGIN, "access-1", provider.fetch)) == "access-2"


class _Failing:
    """A database that takes so many writes and is then out of reach."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.left = 0
        self.read, self.now_ms = database.read, database.now_ms

    def write(self) -> AbstractContextManager[Connection]:
        self.left -= 1
        if self.left < 0:
            raise StoreBusy("full")
        return self._database.write()


def test_a_process_that_died_while_refreshing_holds_up_nobody_for_long(database: Database) -> None:
    name = name_of(LOGIN)
    with database.write() as connection:
        assert oauth_tokens.hold(connection, name, 1000, 61_000)
    with database.write() as connection:
        assert oauth_tokens.hold(connection, name, 60_999, 120_000) is None
        assert oauth_tokens.hold(connection, name, 61_000, 121_000)


def test_the_database_holds_no_token_in_the_clear(database: Database) -> None:
    TokenKeeper(database).renew(LOGIN, None, Provider().fetch)
    with database.read() as connection:
        row = connection.execute(select(oauth_token)).one()
    assert not any(word in str(tuple(row)) for word in ("access-1", "refresh-1", "refresh-0"))


def test_a_refresh_token_that_is_set_anew_starts_anew(database: Database) -> None:
    TokenKeeper(database).renew(LOGIN, None, Provider().fetch)
    fresh = OAuth(
        LOGIN.url,
        LOGIN.client_id,
        LOGIN.client_secret,
        Secret("REFRESH", ("refresh-new",)),
        rotates=True,
    )
    assert TokenKeeper(database).current(fresh) is None


def test_what_is_sealed_opens_with_any_live_secret_and_for_its_own_name_only() -> None:
    box = seal.sealed("text", Secret("S", ("old",)), "name")
    assert seal.opened(box, Secret("S", ("new", "old")), "name") == "text"
    assert seal.opened(box, Secret("S", ("new",)), "name") is None
    assert seal.opened(box, Secret("S", ("old",)), "other") is None
    assert seal.opened("no base64!", Secret("S", ("old",)), "name") is None
    assert seal.opened("", Secret("S", ("old",)), "name") is None


ROTATING = (
    HEAD
    + """\
enrich:
  person:
    url: "${CRM_URL}/people/{id}"
    ids: contact
    oauth:
      url: "${CRM_URL}/token"
      client_id: client-9
      client_secret: "${CRM_TOKEN}"
      refresh_token: "${BRIDGE_API_TOKEN}"
      rotates: true
rules:
  - name: opt-out
    when: dnc
    channel: voice
    lead: {phone_number: person.phone, do_not_call: {value: true}}
"""
)
PHONE = "+14155550007"


class Losing:
    """A CRM whose refresh tokens end with their use, and a database that loses tables meanwhile."""

    def __init__(self, database: Database, *tables: str) -> None:
        self.database, self.tables = database, tables
        self.used: list[str] = []

    def rename(self, old: str, new: str) -> None:
        with self.database.write() as connection:
            for table in self.tables:
                connection.exec_driver_sql(f"ALTER TABLE {table}{old} RENAME TO {table}{new}")

    def answer(self, asked: Asked) -> Says:
        if asked.path != "/token":
            return Says(200, {"phone": PHONE})
        self.used.append(asked.form["refresh_token"])
        if len(self.used) == 1:
            self.rename("", "_away")
        return Says(200, {"access_token": "access-1", "refresh_token": "refresh-1"})


@pytest.fixture
def losing(request: pytest.FixtureRequest, opened: Callable[..., Database]) -> Losing:
    return Losing(opened(), *request.param)


@pytest.fixture
def asking(database: Database, tmp_path: Path, losing: Losing) -> Iterator[Asking]:
    folder = tmp_path / "mappings"
    folder.mkdir()
    api = Api(losing.answer)
    world = Asking(database, folder, api, ROTATING)
    yield world
    world.lookups.close()
    api.stop()


@contextmanager
def looking_up(
    world: Asking, url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Future[None]]]:
    """Starts the thread of a worker that looks up, until the block is left."""
    with idle_worker(world, url, monkeypatch) as (worker, _), ThreadPoolExecutor(1) as pool:
        try:
            yield lambda: pool.submit(worker._look_up, "crm")
        finally:
            worker.stop()


def refreshed(world: Asking) -> bool:
    """Whether what the refresh brought is on disk."""
    (lookup,) = world.mappings.mappings["crm"].lookups.values()
    assert lookup.oauth is not None
    found = TokenKeeper(world.database).current(lookup.oauth)
    return found is not None and found.refresh_token == "refresh-1"


@pytest.mark.parametrize("losing", [("oauth_token", "event")], indirect=True)
def test_tokens_that_could_not_be_stored_outlive_the_thread_that_fetched_them(
    asking: Asking, losing: Losing, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What kept them from being stored ends the thread as well, which is started anew."""
    asking.take_in({"id": 1, "contact": "7", "dnc": True, "at": 1})
    with looking_up(asking, url, monkeypatch) as look_up:
        with pytest.raises(StoreError):
            look_up().result(20)
        losing.rename("_away", "")
        with asking.database.write() as connection:
            connection.exec_driver_sql("UPDATE event SET due_at = 0")
        look_up()
        until(lambda: asking.opted_out() == [PHONE])
    assert losing.used == ["api-token"]
    assert refreshed(asking)


@pytest.mark.parametrize("losing", [("oauth_token",)], indirect=True)
def test_tokens_that_could_not_be_stored_are_stored_as_soon_as_that_is_possible(
    asking: Asking, losing: Losing, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not once the access token ends, before which the worker may be stopped."""
    asking.take_in({"id": 1, "contact": "7", "dnc": True, "at": 1})
    with looking_up(asking, url, monkeypatch) as look_up:
        look_up()
        until(lambda: asking.opted_out() == [PHONE])
        losing.rename("_away", "")
        until(lambda: refreshed(asking))
