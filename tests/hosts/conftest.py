"""Hosts use the sandbox, the databases and the keys of the doors' tests."""

from __future__ import annotations

from tests.doors.conftest import headers, sandbox, site, tag

__all__ = ["headers", "sandbox", "site", "tag"]
