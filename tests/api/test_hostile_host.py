"""No setting of the host reaches the management API, the document or the health pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.services import REPOSITORY


@pytest.fixture
def answers(sqlite_file_url: str) -> dict[str, Any]:
    # A process of its own, because DRF reads its settings when view classes are made.
    asking = subprocess.run(
        [sys.executable, "-m", "tests.api.hostile_host"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "DATABASE_URL": sqlite_file_url,
            "DJANGO_SETTINGS_MODULE": "tests.api.hostile_host.settings",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert asking.returncode == 0, asking.stderr
    found: dict[str, Any] = json.loads(asking.stdout)
    return found


def test_a_hosts_settings_do_not_leak_in(answers: dict[str, Any]) -> None:
    statuses = {name: answer["status"] for name, answer in answers.items()}
    assert statuses == {
        "nobody": 401, "list": 200, "create": 201, "no_object": 400, "missing": 404, "requests": 200, "schema": 200,
        "docs": 200, "healthz": 200, "readyz": 200, "metrics": 200, "hosts_title": 0,
    }  # fmt: skip
    assert answers["nobody"]["body"]["error"]["code"] == "not_authenticated"
    (listed,) = answers["list"]["body"]["results"]
    assert listed["expires_at"] == "2031-01-31T00:00:00Z"
    assert answers["list"]["body"]["next"] is None
    assert answers["create"]["body"]["name"] == "Zoë"
    assert answers["no_object"]["body"]["error"]["param"] is None
    assert answers["missing"]["body"]["error"]["code"] == "not_found"
    ours = json.loads((REPOSITORY / "tests/api/openapi.json").read_text())
    served = answers["schema"]["body"]
    assert served.pop("servers") == [{"url": "/ai"}]
    ours.pop("servers")
    assert served == ours
    assert answers["hosts_title"]["body"] == "The host's"
    assert "tikhub_requests_in_flight 0.0" in answers["metrics"]["body"]
