"""Starting a trial in a process of its own, with the environment of the standalone service around a database."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from tests.services import REPOSITORY

#: What a developer may have set for a service of their own, and what must not reach this one.
SET_ASIDE = (
    "ALLOWED_HOSTS", "DATABASE_CONN_MAX_AGE", "DEBUG", "HOST", "OPENAI_API_KEY", "OPENAI_BASE_URL", "PORT",
    "PUBLIC_URL", "REDIS_URL", "TIKHUB_ADMIN_PASSWORD", "TIKHUB_DURABILITY", "TIKHUB_SANDBOX",
)  # fmt: skip


def service_environment(database_url: str, workdir: Path) -> dict[str, str]:
    """The variables of a service over ``database_url`` that keeps its files in ``workdir``."""
    kept = {name: value for name, value in os.environ.items() if name not in SET_ASIDE}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": database_url,
        "TIKHUB_VAR_DIR": str(workdir / "var"),
        "TIKHUB_API_KEY": secrets.token_urlsafe(32),
        "TIKHUB_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "SECRET_KEY": secrets.token_urlsafe(32),
        "PYTHONUNBUFFERED": "1",
    }


def run_trial(database_url: str, workdir: Path, *, calls: int, kills: int, parallel: int, seed: int) -> dict[str, Any]:
    """The report of one run over a fresh database.

    :raises RuntimeError: it ended before there was a report.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    numbers = {"calls": calls, "kills": kills, "parallel": parallel, "seed": seed}
    options = [f"--{name}={value}" for name, value in numbers.items()]
    command = [sys.executable, "-m", "tests.chaos.trial", *options, f"--workdir={workdir}"]
    status = subprocess.run(
        command, cwd=REPOSITORY, env=service_environment(database_url, workdir), check=False
    ).returncode
    report = workdir / "report.json"
    if not report.exists():
        raise RuntimeError(f"the trial ended with {status} and without a report; see {workdir}")
    found: dict[str, Any] = json.loads(report.read_text())
    return found
