"""Settings that every host of these tests shares: the least that the app asks of a site."""

from __future__ import annotations

import os
from typing import Any

SECRET_KEY = "a-host-of-the-tests"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DATABASE_URL"].removeprefix("sqlite:///"),
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "django_q", "tikhub_app"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
TIKHUB: dict[str, Any] = {"ENCRYPTION_KEYS": [os.environ["TIKHUB_ENCRYPTION_KEYS"]]}
