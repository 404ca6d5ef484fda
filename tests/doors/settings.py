"""Settings of the servers under test: the standalone service's, with limits that a test can reach."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import TIKHUB

MAX_BODY_BYTES = 256 * 1024

TIKHUB["MAX_BODY_BYTES"] = MAX_BODY_BYTES
# Less than any body of these tests: the gateway's own limit has to be the one that counts.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16
