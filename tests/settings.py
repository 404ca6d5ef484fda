"""Settings for tests in this process: the standalone service's, with fixed secrets and a database of its own.

The database is a file (never ``:memory:``), because the ledger's writer is another thread with another connection.
``DATABASE_URL`` puts PostgreSQL in its place.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# A developer's own keys, addresses and files must neither change what tests see nor be changed by them.
for _name in [
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "GEMINI_API_KEY",
    "GEMINI_BASE_URL",
    "PUBLIC_URL",
    "REDIS_URL",
    "TIKHUB_ADMIN_PASSWORD",
    "TIKHUB_API_KEY",
    "TIKHUB_DURABILITY",
    "TIKHUB_SANDBOX",
]:
    os.environ.pop(_name, None)
os.environ["SECRET_KEY"] = "tests-only"
os.environ["TIKHUB_ENCRYPTION_KEYS"] = "dGlraHViLXRlc3RzLW9ubHktZmVybmV0LWtleS0wMDE="

_directory = tempfile.mkdtemp(prefix="tikhub-tests-")
_owner = os.getpid()


@atexit.register
def _remove_directory() -> None:
    if os.getpid() == _owner:
        shutil.rmtree(_directory, ignore_errors=True)


_given_url = os.environ.get("DATABASE_URL")
os.environ["DATABASE_URL"] = _given_url or f"sqlite:///{_directory}/db.sqlite3"

from project.settings import *  # noqa: E402, F403
from project.settings import DATABASES, TIKHUB  # noqa: E402

if _given_url is None:
    # Services that tests start are told their database by the test, and must not fall back to this one.
    del os.environ["DATABASE_URL"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": f"{_directory}/test.sqlite3"}
else:
    # Runs side by side must not share a database; pytest-xdist adds its worker's name.
    _run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(_owner))[:12]
    DATABASES["default"]["TEST"] = {"NAME": f"test_tikhub_{_run}"}

ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1", "[::1]"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
TIKHUB["METRICS_PUBLIC"] = False
