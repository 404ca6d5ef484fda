"""Prints what the app answers in this host. Run with DJANGO_SETTINGS_MODULE=tests.api.hostile_host.settings."""

from __future__ import annotations

import json
import sys
from typing import Any

import django

django.setup()

from django.test import Client  # noqa: E402
from drf_spectacular.settings import spectacular_settings  # noqa: E402

from tikhub_app.models import ApiKey  # noqa: E402


def main() -> None:
    """Answers at the paths of the app, by name, as JSON on standard output."""
    secret = ApiKey.issue(name="hostile", scope="manage", expires_at="2031-01-31T00:00:00Z")[1]
    key = {"authorization": f"Bearer {secret}"}
    client = Client(headers={"accept": "image/png"})

    def ask(method: str, where: str, body: Any = None, **headers: str) -> dict[str, Any]:
        sent = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        answer = getattr(client, method)(f"/ai/{where}", headers=headers, **sent)
        is_json = "json" in answer.headers["Content-Type"]
        return {"status": answer.status_code, "body": answer.json() if is_json else answer.content.decode()}

    answers = {
        "nobody": ask("get", "api/v1/keys/"),
        "list": ask("get", "api/v1/keys/?page_size=2", **key),
        "create": ask("post", "api/v1/keys/", {"name": "Zoë", "expires_at": "2031-01-31T00:00:00Z"}, **key),
        "no_object": ask("post", "api/v1/keys/", [], **key),
        "missing": ask("get", "api/v1/keys/999/", **key),
        "requests": ask("get", "api/v1/requests/", **key),
        "schema": ask("get", "api/schema/"),
        "docs": ask("get", "api/docs/"),
        "healthz": ask("get", "healthz"),
        "readyz": ask("get", "readyz"),
        "metrics": ask("get", "metrics"),
        "hosts_title": {"status": 0, "body": spectacular_settings.TITLE},
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
