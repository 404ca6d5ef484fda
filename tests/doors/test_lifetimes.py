"""What outlasts a call: a server that is asked to stop, and keys that are withdrawn while two processes serve."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.doors.conftest import Site
from tests.doors.furnish import secret
from tests.doors.servers import ASGI, ASGI_POSTGRES, DJANGO_GUNICORN, DJANGO_UVICORN, Kind
from tests.doors.test_answers import CALL, STREAMED
from tests.doors.test_ledger_away import locked
from tests.doors.wire import OpenStream, call, error_of
from tests.services import REPOSITORY
from tikhub_app.sandbox.process import SandboxProcess

#: The promise is one second; here with five-fold margin.
REVOKED_WITHIN_S = 5.0


@pytest.mark.parametrize("kind", [ASGI, DJANGO_UVICORN, DJANGO_GUNICORN], ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "body",
    [STREAMED | {"sandbox": {"pace_ms": 30, "tokens": 30}}, CALL | {"sandbox": {"first_byte_ms": 500, "tokens": 30}}],
    ids=["stream", "plain"],
)
def test_open_calls_run_to_their_end_when_the_server_is_asked_to_stop(
    site: Site, sandbox: SandboxProcess, kind: Kind, headers: dict[str, str], tag: str, body: dict[str, Any]
) -> None:
    with site.make(kind) as server:
        with OpenStream(server.url, body, headers) as stream:
            while not sandbox.calls()["open"]:
                time.sleep(0.01)
            # Somebody else writes as well, so that the row's end is still to be written when the call is over.
            with locked(server.database_url):
                server.terminate()
                answer = stream.read_to_end()
                time.sleep(0.5)
        server.stop()
    assert answer.startswith(b"HTTP/1.1 200")
    assert (b"data: [DONE]" if "stream" in body else b'"finish_reason"') in answer
    # No waiting here: with the process gone, what is not in the ledger now never will be.
    [row] = server.ledger.find(tag)
    assert (row["status"], row["usage_source"], row["departure"]) == ("done", "provider", "")
    assert row["output_tokens"] == 30


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param(DJANGO_GUNICORN, ("--workers", "2"), id="gunicorn"),
        pytest.param(ASGI_POSTGRES, ("--workers", "2"), id="uvicorn-postgres", marks=pytest.mark.postgres),
    ],
)
def test_a_withdrawn_key_is_refused_by_every_process_within_a_second(
    site: Site, sandbox: SandboxProcess, kind: Kind, options: tuple[str, ...]
) -> None:
    headers = {"Authorization": f"Bearer {secret('other')}"}
    with site.make(kind, *options) as server:
        deadline = time.monotonic() + 30
        while len(server.ledger.rows("SELECT DISTINCT process_id FROM tikhub_app_gatewayrequest")) < 2:
            assert time.monotonic() < deadline, "one process took all calls"
            assert call(server.url, CALL, headers).status == 200
        last_taken_at = revoked_at = _revoke(server.database_url, secret("other"))
        # Either process gets many of the calls of a second, so one that did not know would take some.
        while time.time() - last_taken_at < 1:
            reply = call(server.url, CALL, headers)
            if reply.status == 200:
                last_taken_at = time.time()
                assert last_taken_at - revoked_at < REVOKED_WITHIN_S
            else:
                assert (reply.status, error_of(reply)["code"]) == (401, "revoked_api_key")


def _revoke(database_url: str, key: str) -> float:
    """By the operator's command, in a process of its own; when it was done, as ``time.time()``."""
    command = (
        "import django, json, time; django.setup(); from django.core.management import call_command; import sys\n"
        "call_command('tikhub_key', 'revoke', sys.argv[1], stdout=sys.stderr); print(json.dumps(time.time()))"
    )
    revoking = subprocess.run(
        [sys.executable, "-c", command, key],
        cwd=REPOSITORY,
        env=os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.doors.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert revoking.returncode == 0, revoking.stderr
    return float(json.loads(revoking.stdout))
