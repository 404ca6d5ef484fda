"""A site that keeps the gateway under a path of its own, with the ASGI door in front."""

from __future__ import annotations

from tests.hosts.embedding import *  # noqa: F403
from tests.hosts.embedding import TIKHUB

ROOT_URLCONF = "tests.hosts.prefixed.urls"
TIKHUB = {**TIKHUB, "ASGI_PREFIX": "/ai"}
