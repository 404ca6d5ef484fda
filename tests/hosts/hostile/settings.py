"""A site whose REST framework and middleware refuse, rewrite and compress whatever they can."""

from __future__ import annotations

from tests.hosts.embedding import *  # noqa: F403
from tests.hosts.embedding import INSTALLED_APPS

OBSTACLES = "tests.hosts.hostile.obstacles"

ROOT_URLCONF = "tests.hosts.hostile.urls"
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.sessions"]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"

MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    f"{OBSTACLES}.synchronous_only",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    f"{OBSTACLES}.asynchronous_too",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
]

DATA_UPLOAD_MAX_MEMORY_SIZE = 16
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [f"{OBSTACLES}.RefusingAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"anon": "0/day"},
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.StaticHTMLRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": f"{OBSTACLES}.RefusingNegotiation",
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "ALLOWED_VERSIONS": ["9"],
    "EXCEPTION_HANDLER": f"{OBSTACLES}.teapot",
    "UNAUTHENTICATED_USER": f"{OBSTACLES}.nobody",
    "URL_FORMAT_OVERRIDE": "format",
    "FORMAT_SUFFIX_KWARG": "format",
}
