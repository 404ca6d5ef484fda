"""Settings of servers that read an abandoned answer to its end, for the books."""

from __future__ import annotations

from tests.doors.settings import *  # noqa: F403
from tests.doors.settings import TIKHUB

TIKHUB["ON_CLIENT_GONE"] = "drain"
