"""Django settings of the standalone service. Everything variable comes from :mod:`project.environment`."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from project import secrets_file
from project.database import database_exists, database_settings
from project.environment import REPOSITORY, Environment
from tikhub_app import __version__

ENVIRONMENT = Environment.read(os.environ)

DEBUG = ENVIRONMENT.debug

# Data

DATABASES = {
    "default": database_settings(
        ENVIRONMENT.database_url,
        durability=ENVIRONMENT.durability,
        conn_max_age_s=ENVIRONMENT.conn_max_age_s,
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": ENVIRONMENT.redis_url}
    if ENVIRONMENT.redis_url
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# Secrets

_database_exists = partial(database_exists, DATABASES["default"])
SECRET_KEY = secrets_file.secret_key(ENVIRONMENT, _database_exists)

# The app

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "django_q",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tikhub_app",
]

TIKHUB: dict[str, Any] = {
    "ENCRYPTION_KEYS": secrets_file.encryption_keys(ENVIRONMENT, _database_exists),
    "DURABILITY": ENVIRONMENT.durability,
    "PUBLIC_URL": ENVIRONMENT.public_url,
    "SANDBOX": ENVIRONMENT.sandbox,
    "FIRST_KEY": ENVIRONMENT.api_key,
    "ENVIRONMENT_UPSTREAMS": [upstream.as_setting() for upstream in ENVIRONMENT.upstreams],
}

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}

SPECTACULAR_SETTINGS = {
    "TITLE": "TikHub AI Gateway",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    # The documentation pages load nothing from elsewhere.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

Q_CLUSTER = {
    "name": "tikhub",
    "label": "Background tasks",
    # The ORM broker is at-least-once and takes part in the caller's transaction; the Redis broker loses the tasks
    # that a killed worker held.
    "orm": "default",
    "workers": 2,
    "poll": 1,
    # `retry` must be the longer one, or a task that still runs is handed out a second time.
    "timeout": 300,
    "retry": 360,
    "max_attempts": 3,
    # Successful results are not kept; failures always are.
    "save_limit": -1,
    # After a pause a schedule runs once, not once for every time that was missed.
    "catch_up": False,
}

# HTTP

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
WSGI_APPLICATION = "project.wsgi.application"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ALLOWED_HOSTS = ENVIRONMENT.all_allowed_hosts()
CSRF_TRUSTED_ORIGINS = [ENVIRONMENT.public_origin] if ENVIRONMENT.public_origin else []

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENVIRONMENT.is_https
SESSION_COOKIE_NAME = "tikhub_session"
CSRF_COOKIE_NAME = "tikhub_csrf"
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if ENVIRONMENT.is_https else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

STATIC_URL = "/static/"
STATIC_ROOT = ENVIRONMENT.var_dir / "static"
# Files are served from where the apps keep them, so a fresh checkout needs no collectstatic.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_USE_STATIC_ROOT = False
SERVESTATIC_MAX_AGE = 3600
SERVESTATIC_ALLOW_ALL_ORIGINS = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [REPOSITORY / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# People

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "/admin/login/"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Logs go to stderr. The filter sits on the handler, so records of every library pass it too; there is no access log,
# because a request line can hold a key in its query string.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "tikhub_app.gateway.redaction.RedactionFilter"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "filters": ["redact"], "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # These bring handlers of their own, which would write past the filter.
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        # At INFO it tells of every task, and there is one each minute.
        "django-q": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.error": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "level": "WARNING", "propagate": False},
    },
}
