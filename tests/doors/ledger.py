"""Reads a server's ledger from outside, past its process and past the ORM."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import Any

import psycopg
from psycopg.rows import dict_row

REQUESTS = "tikhub_app_gatewayrequest"
ATTEMPTS = "tikhub_app_attempt"
OPEN = ("started", "streaming")

Row = dict[str, Any]


class Ledger:
    def __init__(self, database_url: str) -> None:
        self.url = database_url

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        """Rows of a query whose placeholders are ``?``."""
        if self.url.startswith("sqlite:///"):
            path = self.url.removeprefix("sqlite:///")
            with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(sql, parameters)]
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return list(connection.execute(sql.replace("?", "%s").encode(), parameters))

    def find(self, tag: str) -> list[Row]:
        """The requests that carry the tag, in order."""
        return self.rows(f"SELECT * FROM {REQUESTS} WHERE CAST(tags AS text) LIKE ? ORDER BY id", f"%{tag}%")

    def finished(self, tag: str, within_s: float = 10.0) -> Row:
        """The one request with this tag, as soon as it is closed."""
        deadline = time.monotonic() + within_s
        while True:
            found = self.find(tag)
            if found and all(row["status"] not in OPEN for row in found):
                assert len(found) == 1, found
                return found[0]
            assert time.monotonic() < deadline, f"not finished within {within_s} s: {found}"
            time.sleep(0.02)

    def attempts(self, request: Row) -> list[Row]:
        return self.rows(f"SELECT * FROM {ATTEMPTS} WHERE request_id = ? ORDER BY number", request["id"])


def request_id(row: Row) -> str:
    """As callers see it in ``x-request-id``."""
    return "req_" + str(row["id"]).replace("-", "")


def client_request_id(attempt: Row) -> str:
    """As the provider sees it in ``X-Client-Request-Id``."""
    return "att_" + str(attempt["id"]).replace("-", "")
