"""Settings that follow from the environment, as a fresh process of the service sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.services import REPOSITORY


def run_in_service(code: str, var: Path, **variables: str) -> str:
    """What ``code`` prints in a process with the service's settings."""
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings", "TIKHUB_VAR_DIR": str(var)}
    command = [sys.executable, "-c", f"import django; django.setup(); {code}"]
    running = subprocess.run(
        command, cwd=REPOSITORY, env=environment | variables, capture_output=True, text=True, check=False
    )
    assert running.returncode == 0, running.stderr
    return running.stdout


def settings_of(var: Path, *names: str, **variables: str) -> dict[str, Any]:
    code = "import json; from django.conf import settings; print(json.dumps({n: getattr(settings, n) for n in %r}))"
    read: dict[str, Any] = json.loads(run_in_service(code % list(names), var, **variables))
    return read


COOKIES = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE")


def test_it_is_closed_by_default(tmp_path: Path) -> None:
    names = ("DEBUG", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SECURE_HSTS_SECONDS", *COOKIES)
    assert settings_of(tmp_path, *names) == {
        "DEBUG": False,
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"],
        "CSRF_TRUSTED_ORIGINS": [],
        "SECURE_HSTS_SECONDS": 0,
        # Over plain HTTP a browser would not send them back.
        "SESSION_COOKIE_SECURE": False,
        "CSRF_COOKIE_SECURE": False,
    }


def test_a_public_https_url_secures_the_cookies(tmp_path: Path) -> None:
    read = settings_of(tmp_path, "CSRF_TRUSTED_ORIGINS", *COOKIES, PUBLIC_URL="https://ai.example.com")
    assert read == {
        "CSRF_TRUSTED_ORIGINS": ["https://ai.example.com"],
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
    }


def test_background_tasks_are_kept_in_the_database_and_not_handed_out_twice(tmp_path: Path) -> None:
    cluster = settings_of(tmp_path, "Q_CLUSTER")["Q_CLUSTER"]
    assert cluster["orm"] == "default"
    assert cluster["retry"] > cluster["timeout"]
    assert cluster["max_attempts"] > 0
    assert cluster["save_limit"] == -1


@pytest.mark.redis
def test_processes_share_their_cache_where_redis_is_given(tmp_path: Path, redis_url: str) -> None:
    run_in_service("from django.core.cache import cache; cache.set('who', 'first')", tmp_path, REDIS_URL=redis_url)
    read = "from django.core.cache import cache; print(cache.get('who'))"
    assert run_in_service(read, tmp_path, REDIS_URL=redis_url) == "first\n"
    assert run_in_service(read, tmp_path) == "None\n"
