"""Keys, upstreams and routes for the servers under test: ``python -m tests.doors.furnish SANDBOX_URL SANDBOX_KEY``.

Works on the database of ``DATABASE_URL``. Keys have the same values in every database.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import Any

import django


def secret(name: str) -> str:
    """The value of the key of that name."""
    return f"{name}-key-of-the-door-tests"


def main(sandbox_url: str, sandbox_key: str) -> None:
    from django.core.management import call_command
    from django.utils import timezone

    from tikhub_app.models import ApiKey, Route, Upstream

    call_command("tikhub_setup", stdout=sys.stderr)

    def upstream(
        name: str,
        credential: str = sandbox_key,
        base_url: str = sandbox_url,
        provider: str = "openai",
        **columns: float,
    ) -> Upstream:
        row = Upstream(name=name, provider=provider, base_url=base_url, **columns)
        row.set_credential(credential)
        row.save()
        return row

    routes = {
        "gpt-*": upstream("main"),
        "impatient": upstream("impatient", first_byte_timeout_s=0.5, idle_timeout_s=0.5),
        "unreachable": upstream("unreachable", base_url="http://127.0.0.1:1/v1"),
        "locked-out": upstream("locked-out", credential="not-the-key-of-the-sandbox"),
    }
    for pattern, row in routes.items():
        Route.objects.create(pattern=pattern, upstream=row, upstream_model="" if "*" in pattern else "gpt-4o-mini")

    gemini_url = sandbox_url.replace("/openai/v1", "/gemini")
    wrong_key = "not-the-key-of-the-sandbox"
    Route.objects.create(pattern="gemini-*", upstream=upstream("gemini", base_url=gemini_url, provider="gemini"))
    locked_out = upstream("gemini-locked-out", wrong_key, gemini_url, "gemini")
    Route.objects.create(pattern="locked-out-gemini", upstream=locked_out, upstream_model="gemini-2.5-flash")

    anthropic_url = sandbox_url.replace("/openai/v1", "/anthropic")
    claude = upstream("anthropic", base_url=anthropic_url, provider="anthropic")
    Route.objects.create(pattern="claude-*", upstream=claude)

    keys: dict[str, dict[str, Any]] = {
        "main": {},
        "other": {},
        "revoked": {},
        "mini-only": {"allowed_models": ["gpt-4o-mini*"]},
        "embed-only": {"allowed_operations": ["embed"]},
        "expired": {"expires_at": timezone.now() - timedelta(days=1)},
        "manage": {"scope": "manage"},
    }
    for name, attributes in keys.items():
        key, _ = ApiKey.issue(secret=secret(name), name=name, **attributes)
        if name == "revoked":
            key.revoke()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.doors.settings")
    django.setup()
    main(*sys.argv[1:])
