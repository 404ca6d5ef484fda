"""A site that runs every view in a transaction."""

from __future__ import annotations

from tests.hosts.embedding import *  # noqa: F403
from tests.hosts.embedding import DATABASES

DATABASES["default"]["ATOMIC_REQUESTS"] = True
ROOT_URLCONF = "tests.hosts.atomic.urls"
