"""Settings: where values come from, what is refused in which words, and that secrets stay so."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.commands.settings import page
from bridge.declared_settings import BY_NAME, SETTINGS
from bridge.errors import SettingError
from bridge.model import Secret
from bridge.settings import Environment, Settings, mask_url
from bridge.store.leads import LONGEST_LEASE_MS

DOCS = Path(__file__).parent.parent / "docs"
VALUE = "s3cr3t-value-0123"


def settings(**values: str) -> Settings:
    return Settings(Environment(values))


def test_every_default_is_a_value_that_could_have_been_set() -> None:
    nothing = settings()
    for setting in SETTINGS:
        if setting.default is not None:
            again = settings(**{setting.name: str(setting.default)})
            assert again[setting.name] == nothing[setting.name] == setting.default
            assert type(setting.default) is setting.kind


def test_no_number_is_without_a_bound_that_a_database_can_hold() -> None:
    for setting in SETTINGS:
        if setting.kind in (int, float):
            assert setting.least <= setting.default <= setting.most < 2**53, setting.name
            assert settings(**{setting.name: str(setting.most)})[setting.name] == setting.most


def test_no_lease_is_taken_for_one_of_a_clock_that_was_set_back() -> None:
    assert BY_NAME["BRIDGE_LEASE"].most * 1000 < LONGEST_LEASE_MS


def test_the_page_of_settings_is_the_one_made_from_the_declarations() -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == page()


def test_the_environment_stands_above_the_dotenv_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=1111\nHOST=192.0.2.1\nEMPTY\n", encoding="utf-8")
    monkeypatch.setenv("PORT", "2222")
    monkeypatch.delenv("HOST", raising=False)
    read = Settings(Environment.current(dotenv))
    assert (read["PORT"], read["HOST"]) == (2222, "192.0.2.1")


def test_blanks_count_as_absent() -> None:
    assert settings(PORT="  ")["PORT"] == 8000
    assert "X" not in Environment({"X": " \n"})


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{VALUE}\n", encoding="utf-8")
    environment = Environment({"BRIDGE_API_TOKEN_FILE": str(path)})
    assert environment.secret("BRIDGE_API_TOKEN") == Secret("BRIDGE_API_TOKEN", (VALUE,))
    assert Settings(environment)["BRIDGE_API_TOKEN"] == VALUE
    both = Environment({"BRIDGE_API_TOKEN_FILE": str(path), "BRIDGE_API_TOKEN": "direct"})
    assert both["BRIDGE_API_TOKEN"] == "direct"
    path.write_text("  \n", encoding="utf-8")
    assert environment.secret("BRIDGE_API_TOKEN") is None


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named_with_its_setting(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=r"BRIDGE_API_TOKEN_FILE names .* cannot be read"):
        settings(BRIDGE_API_TOKEN_FILE=str(path))


def test_a_secret_may_have_two_live_values_and_shows_neither() -> None:
    both = Environment({"T": "new-value", "T_PREVIOUS": "old-value"}).secret("T")
    assert both is not None
    assert both.values == ("new-value", "old-value")
    assert both.first == "new-value"
    assert "value" not in f"{both!r} {both}"
    only_old = Environment({"T_PREVIOUS": "old-value"}).secret("T")
    assert only_old is not None
    assert only_old.values == ("old-value",)
    assert Environment({}).secret("T") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "80.5"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("WEB_CONCURRENCY", "0"),
        ("BRIDGE_LEASE", "nan"),
        ("BRIDGE_LEASE", "inf"),
        ("BRIDGE_GIVE_UP", "inf"),
        ("BRIDGE_BACKOFF", "0"),
        ("BRIDGE_BACKOFF_MAX", "infinity"),
        ("BRIDGE_STANDING_DAYS", "1e12"),
        ("BRIDGE_BACKOFF_MAX", "1e300"),
        ("BRIDGE_REFUSALS_KEPT", "9223372036854775808"),
        ("BRIDGE_LOG", "yaml"),
        ("BRIDGE_LOG_LEVEL", "loud"),
        ("BRIDGE_PUBLIC_URL", "bridge.example.com"),
        ("BRIDGE_PUBLIC_URL", "https://"),
        ("BRIDGE_PUBLIC_URL", "https:bridge.example.com"),
    ],
)
def test_a_malformed_value_is_refused_with_its_name_and_what_to_write(
    name: str, value: str
) -> None:
    with pytest.raises(SettingError, match=rf"^{name}: .*{value}.* is not usable. Write "):
        settings(**{name: value})


@pytest.mark.parametrize("value", ["", "soon", "60 -5", "0", "nan", "60,300", "inf", "1 1e30"])
def test_a_malformed_schedule_is_refused(value: str) -> None:
    read = settings(BRIDGE_STANDING=value)
    if value:
        with pytest.raises(SettingError, match="BRIDGE_STANDING must be"):
            _ = read.standing_schedule
    else:
        assert read.standing_schedule[0] == 60.0


def test_the_schedule_is_read_in_seconds() -> None:
    assert settings(BRIDGE_STANDING="1 2.5\t60").standing_schedule == (1.0, 2.5, 60.0)


@pytest.mark.parametrize("name", [s.name for s in SETTINGS if s.secret])
def test_a_secret_is_never_shown(name: str) -> None:
    value = f"postgresql://u:{VALUE}@h/d" if name == "DATABASE_URL" else VALUE
    read = settings(**{name: value})
    assert VALUE not in read.shown(name)
    assert VALUE not in f"{read!r} {read.environment!r}"
    assert VALUE in read.live_secrets()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///bridge.db", "sqlite:///bridge.db"),
        ("sqlite:///me@home/bridge.db", "sqlite:///me@home/bridge.db"),
        ("postgres://u:pw@h:5/d?x=1", "postgres://u:***@h:5/d?x=1"),
        ("postgres://u:p@w@h/d", "postgres://u:***@h/d"),
        ("postgres://u:p/w:x@h/d", "postgres://u:***@h/d"),
        ("postgres://u@h/d", "postgres://u@h/d"),
        ("postgres:///d?user=u&password=pw&x=1", "postgres:///d?user=u&password=***&x=1"),
        ("postgres://h/d?sslpassword=pw", "postgres://h/d?sslpassword=***"),
    ],
)
def test_a_database_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert mask_url(url) == shown
    assert settings(DATABASE_URL=url).shown("DATABASE_URL") == shown


@given(st.text("abcXYZ0189@:/%?&=-_ü", min_size=6))
def test_no_password_of_an_address_stands_in_what_is_shown(password: str) -> None:
    url = f"postgresql://user:{password}@db.example.com/bridge"
    assert mask_url(url) == "postgresql://user:***@db.example.com/bridge"


def test_a_password_is_known_as_it_is_written_and_as_it_is_meant() -> None:
    live = settings(DATABASE_URL="postgres://u:p%40ss%2Fword@h/d?password=other%21").live_secrets()
    assert live == ["p%40ss%2Fword", "p@ss/word", "other%21", "other!"]


def test_whatever_is_named_like_a_secret_counts_as_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-a-file", encoding="utf-8")
    live = settings(
        HUBSPOT_CLIENT_SECRET="one",
        GHL_TOKEN_PREVIOUS="two",
        SOME_API_KEY_FILE=str(path),
        DB_PASSWORD="three",
        MONKEY="no secret",
        TOKENS="no secret",
        BRIDGE_MAPPINGS="no secret",
    ).live_secrets()
    assert sorted(live) == ["from-a-file", "one", "three", "two"]


def test_a_key_file_of_another_program_does_not_keep_the_bridge_from_starting(
    tmp_path: Path,
) -> None:
    assert settings(SSL_KEY_FILE=str(tmp_path / "gone.pem")).live_secrets() == []


def test_names_are_declared_once() -> None:
    assert len(BY_NAME) == len(SETTINGS)
