"""A setting whose name is misspelt is told, and nothing that is meant for somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.settings import Environment
from bridge.unknown_settings import unknown_settings

FILE = "source: crm  # ${BRIDGE_CRM_SECRET} and ${BRIDGE_CRM_REGION:-US}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "crm.yaml").write_text(FILE)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("BRIDGE_BACH", "BRIDGE_BATCH"),
        ("bridge_batch", "BRIDGE_BATCH"),
        ("BRIDGE_API_TOKN_FILE", "BRIDGE_API_TOKEN_FILE"),
        ("BRIDGE_CONSOL_TOKEN_PREVIOUS", "BRIDGE_CONSOLE_TOKEN_PREVIOUS"),
        ("BRIDGE_CRM_SECRT", "BRIDGE_CRM_SECRET"),
        ("BRIDGE_PORT", "PORT"),
        ("BRIDGE_DATABASE_URL", "DATABASE_URL"),
        ("BRIDGE_XYZZY", None),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(
    folder: Path, name: str, nearest: str | None
) -> None:
    assert unknown_settings(Environment({name: "5"}), folder) == [(name, nearest)]
    assert unknown_settings(Environment({}, {name: "5"}), folder) == [(name, nearest)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BRIDGE_BATCH", "5"),
        ("BRIDGE_API_TOKEN_FILE", "/run/secrets/token"),
        ("BRIDGE_API_TOKEN_PREVIOUS", "old"),
        ("BRIDGE_API_TOKEN_PREVIOUS_FILE", "/run/secrets/old"),
        ("BRIDGE_CRM_SECRET", "s"),
        ("BRIDGE_CRM_SECRET_PREVIOUS", "s"),
        ("BRIDGE_CRM_REGION", "DE"),
        ("BRIDGE_TEST_BROWSER", "yes"),
        ("BRIDGE_BACH", " "),
        ("HOME", "/root"),
        # what Kubernetes gives each container where a service is called "bridge"
        ("BRIDGE_SERVICE_HOST", "10.0.0.1"),
        ("BRIDGE_SERVICE_PORT_HTTP", "8000"),
        ("BRIDGE_PORT", "tcp://10.0.0.1:8000"),
        ("BRIDGE_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("BRIDGE_WEB_SERVICE_HOST", "10.0.0.1"),
    ],
)
def test_what_is_known_or_meant_for_somebody_else_is_not_told(
    folder: Path, name: str, value: str
) -> None:
    assert unknown_settings(Environment({name: value}), folder) == []


def test_a_folder_that_cannot_be_read_is_told_by_others(tmp_path: Path) -> None:
    assert unknown_settings(Environment({"BRIDGE_BACH": "5"}), tmp_path / "none") == [
        ("BRIDGE_BACH", "BRIDGE_BATCH")
    ]
