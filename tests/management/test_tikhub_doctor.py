"""``tikhub_doctor``: each thing that newcomers get wrong has its finding, with what to change."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from django.core.management import CommandError, call_command
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django_q.models import Schedule
from pytest_django import Settings

from tests.gateway.ledger_rows import closed_request, open_request
from tikhub_app.gateway import worker_heartbeat
from tikhub_app.gateway.doctor import Level, examine
from tikhub_app.gateway.setup import create_usual_routes, set_up
from tikhub_app.models import ApiKey, GatewayProcess, Route, Upstream

pytestmark = pytest.mark.django_db


class Models(BaseHTTPRequestHandler):
    """A provider that answers the connection test, or refuses the credential."""

    def do_GET(self) -> None:
        accepted = self.headers.get("authorization") == "Bearer sk-right"
        body = b'{"object": "list", "data": []}' if accepted else b'{"error": {"message": "no"}}'
        self.send_response(200 if accepted else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Models)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def upstream(provider_url: str) -> Upstream:
    """An installation in which everything is right."""
    set_up()
    worker_heartbeat.beat()
    made = Upstream(name="main", provider="openai", base_url=provider_url)
    made.set_credential("sk-right")
    made.save()
    create_usual_routes(made)
    ApiKey.issue(name="ci")
    return made


def complaints(*, offline: bool = True) -> dict[str, tuple[str, str]]:
    """Subject -> level and message with advice, of everything that is not all right."""
    return {
        finding.subject: (finding.level, f"{finding.message} {finding.advice}")
        for finding in examine(offline=offline)
        if finding.level is not Level.OK
    }


@pytest.mark.usefixtures("upstream")
def test_a_sound_installation_has_no_complaint_and_passes() -> None:
    assert complaints(offline=False) == {}

    out = io.StringIO()
    call_command("tikhub_doctor", stdout=out, stderr=io.StringIO())
    assert re.search(r"^ok +connection +main: ", out.getvalue(), re.MULTILINE)


def test_an_empty_installation_is_told_how_to_begin() -> None:
    found = complaints()

    assert found["upstreams"][0] == "error"
    assert found["routes"] == ("error", "No model can be called. Add a route to an enabled upstream.")
    assert "tikhub_setup" in found["schedules"][1]
    assert "tikhub_key create" in found["keys"][1]
    assert "qcluster" in found["workers"][1]


def test_errors_end_with_exit_code_one_and_can_be_read_by_programs() -> None:
    out = io.StringIO()

    with pytest.raises(CommandError, match=r"\d+ errors, \d+ warnings") as raised:
        call_command("tikhub_doctor", "--offline", "--json", stdout=out)

    assert raised.value.returncode == 1
    findings = json.loads(out.getvalue())
    assert {"level", "subject", "message", "advice"} == set(findings[0])
    assert {finding["level"] for finding in findings} == {"ok", "warning", "error"}


def test_a_refused_credential_is_an_error_and_offline_asks_nobody(upstream: Upstream) -> None:
    upstream.set_credential("sk-planted-wrong")
    upstream.save()

    assert "connection" not in complaints(offline=True)
    level, words = complaints(offline=False)["connection"]

    assert level == "error"
    assert "401" in words
    assert "planted" not in words


def test_an_upstream_that_nobody_answers_for_is_an_error(upstream: Upstream, free_port: int) -> None:
    Upstream.objects.filter(pk=upstream.pk).update(base_url=f"http://127.0.0.1:{free_port}/v1")

    assert complaints(offline=False)["connection"][0] == "error"


def test_a_variable_that_is_not_set_is_named(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    Upstream.objects.filter(pk=upstream.pk).update(credential="env:SOME_KEY")

    level, words = complaints()["credentials"]

    assert level == "error"
    assert "SOME_KEY" in words


@pytest.mark.usefixtures("upstream")
def test_credentials_that_no_key_opens_are_found(settings: Settings) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "ENCRYPTION_KEYS": ["dGlraHViLXRlc3RzLWFub3RoZXItZmVybmV0LWtleS0="]}

    assert "No key of" in complaints()["credentials"][1]


def test_routes_that_lead_nowhere_and_upstreams_without_any_are_found(upstream: Upstream) -> None:
    off = Upstream.objects.create(name="off", provider="openai", base_url="http://127.0.0.1:1/v1", enabled=False)
    Route.objects.create(pattern="only-here", upstream=off)
    assert "only-here leads to off only" in complaints()["routes"][1]

    Route.objects.filter(upstream=off).delete()
    Route.objects.filter(upstream=upstream).update(enabled=False)
    messages = [finding.message for finding in examine(offline=True) if finding.subject == "routes"]
    assert messages == ["No enabled route leads to main.", "No model can be called."]


@pytest.mark.usefixtures("upstream")
def test_models_that_cost_nothing_for_want_of_a_price_are_found() -> None:
    closed_request(is_unpriced=True, answered_model="gpt-unheard-of", process_id=1)
    closed_request(is_unpriced=True, answered_model="gpt-of-last-week", age=timedelta(days=8))

    level, words = complaints()["prices"]

    assert level == "warning"
    assert "gpt-unheard-of has no price: 1 requests" in words


@pytest.mark.usefixtures("upstream")
def test_schedules_must_be_there_once_unpaused_and_in_time() -> None:
    row = Schedule.objects.get(name="tikhub: reconcile")

    Schedule.objects.filter(pk=row.pk).update(next_run=timezone.now() - timedelta(minutes=10))
    assert "has been due since" in complaints()["schedules"][1]
    Schedule.objects.filter(pk=row.pk).update(repeats=0)
    assert "is paused" in complaints()["schedules"][1]
    Schedule.objects.create(name=row.name, func=row.func)
    assert "exists 2 times" in complaints()["schedules"][1]
    Schedule.objects.filter(name=row.name).delete()
    assert "is missing" in complaints()["schedules"][1]


@pytest.mark.usefixtures("upstream")
def test_silent_workers_are_found() -> None:
    GatewayProcess.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=10))

    level, words = complaints()["workers"]

    assert level == "error"
    assert "No background task has run since" in words


@pytest.mark.usefixtures("upstream")
def test_clocks_that_are_apart_are_found() -> None:
    GatewayProcess.objects.create(
        pk=5, hostname="elsewhere", pid=1, heartbeat_at=timezone.now() + timedelta(seconds=60)
    )

    level, words = complaints()["clock"]

    assert level == "error"
    assert "from elsewhere" in words


@pytest.mark.usefixtures("upstream")
def test_calls_of_dead_processes_are_found() -> None:
    open_request()

    assert "1 belong to processes that have died" in complaints()["open calls"][1]


def test_the_sandbox_is_pointed_out(upstream: Upstream) -> None:
    Upstream.objects.filter(pk=upstream.pk).update(is_sandbox=True)

    assert "A fake provider answers for main." in complaints()["sandbox"][1]


def test_missing_migrations_end_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        app_label, name = "tikhub_app", "0002_later"

    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, targets: [(Missing, False)])

    findings = examine(offline=True)

    assert findings[-1].message == "1 not applied: tikhub_app.0002_later."
    assert findings[-1].advice == "Run `manage.py migrate`."


@pytest.mark.usefixtures("upstream")
def test_wrong_settings_are_reported_with_their_ids(settings: Settings) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "MAX_ATTEMPTS": 0}
    assert "tikhub_app.E003" in complaints()["settings"][1]

    settings.TIKHUB = {"NO_SUCH_NAME": 1}
    with pytest.raises(CommandError, match="NO_SUCH_NAME"):
        call_command("tikhub_doctor", "--offline", stdout=io.StringIO())
