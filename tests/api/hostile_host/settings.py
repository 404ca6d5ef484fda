"""Settings that name something unusual wherever DRF and drf-spectacular can be told."""

from __future__ import annotations

from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS

_HERE = "tests.api.hostile_host.policies"
ROOT_URLCONF = "tests.api.hostile_host.urls"
INSTALLED_APPS = [name for name in INSTALLED_APPS if name != "django_filters"]
DATABASES["default"]["ATOMIC_REQUESTS"] = True
TIME_ZONE = "Asia/Kathmandu"
LANGUAGE_CODE = "de"
REST_FRAMEWORK: dict[str, Any] = {  # type: ignore[no-redef]
    "DEFAULT_AUTHENTICATION_CLASSES": [f"{_HERE}.NobodyComesIn"],
    "DEFAULT_PERMISSION_CLASSES": [f"{_HERE}.Refuse"],
    "DEFAULT_THROTTLE_CLASSES": [f"{_HERE}.AlwaysThrottled"],
    "DEFAULT_RENDERER_CLASSES": [f"{_HERE}.Shouting"],
    "DEFAULT_PARSER_CLASSES": [],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": f"{_HERE}.NeverAcceptable",
    "DEFAULT_PAGINATION_CLASS": f"{_HERE}.HostPages",
    "DEFAULT_FILTER_BACKENDS": [],
    "DEFAULT_SCHEMA_CLASS": "rest_framework.schemas.openapi.AutoSchema",
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "ALLOWED_VERSIONS": ["7"],
    "EXCEPTION_HANDLER": f"{_HERE}.swallow",
    "PAGE_SIZE": 1,
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": "page_size",
    "FORMAT_SUFFIX_KWARG": "pk",
    "NON_FIELD_ERRORS_KEY": "hosts_key",
    "DATETIME_FORMAT": "%d.%m.%Y",
    "DATETIME_INPUT_FORMATS": ["%d.%m.%Y"],
    "COERCE_DECIMAL_TO_STRING": False,
    "UNICODE_JSON": False,
    "COMPACT_JSON": False,
    "STRICT_JSON": False,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {  # type: ignore[no-redef]
    "TITLE": "The host's",
    "OAS_VERSION": "3.0.3",
    "SCHEMA_PATH_PREFIX_INSERT": "/hosts",
    "CAMELIZE_NAMES": True,
    "COMPONENT_SPLIT_REQUEST": True,
    "PREPROCESSING_HOOKS": [f"{_HERE}.inspector"],
    "POSTPROCESSING_HOOKS": [f"{_HERE}.inspector"],
    "SERVE_PUBLIC": False,
    "SERVE_PERMISSIONS": [f"{_HERE}.Refuse"],
    "SERVE_AUTHENTICATION": [f"{_HERE}.NobodyComesIn"],
}
