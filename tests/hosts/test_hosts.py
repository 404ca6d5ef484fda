"""The gateway inside other people's sites, on real servers."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import openai
import pytest

from tests.doors.conftest import Site
from tests.doors.furnish import secret
from tests.doors.ledger import request_id
from tests.doors.servers import ASGI, DJANGO_GUNICORN, DJANGO_UVICORN, DoorServer
from tests.doors.test_answers import CALL, MESSAGES, STREAMED
from tests.doors.wire import OpenStream, call, error_of
from tests.hosts.hostile.obstacles import FALL_OVER, MARK
from tikhub_app.sandbox.process import SandboxProcess

UVICORN = replace(DJANGO_UVICORN, app="tests.hosts.asgi:application")
GUNICORN = replace(DJANGO_GUNICORN, app="tests.hosts.wsgi:application")
BOTH = pytest.mark.parametrize("host", [UVICORN, GUNICORN], ids=["uvicorn", "gunicorn"], indirect=True)


@pytest.fixture(scope="module")
def running(site: Site) -> Iterator[dict[str, DoorServer]]:
    with ExitStack() as stack:
        servers: dict[str, DoorServer] = {}
        stack.callback(lambda: [server.stop() for server in servers.values()])
        yield servers


def start(running: dict[str, DoorServer], site: Site, kind: Any, name: str, ready_path: str) -> DoorServer:
    known = f"{name} {kind.name}"
    if known not in running:
        running[known] = site.make(kind, settings=f"tests.hosts.{name}.settings", ready_path=ready_path).start()
    return running[known]


def get(server: DoorServer, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class TestAtomicHost:
    """``ATOMIC_REQUESTS``: a view's transaction would keep the ledger's writer out of SQLite."""

    @pytest.fixture
    def host(
        self, request: pytest.FixtureRequest, running: dict[str, DoorServer], site: Site, sandbox: SandboxProcess
    ) -> DoorServer:
        return start(running, site, request.param, "atomic", "/healthz")

    @BOTH
    def test_the_hosts_own_views_run_in_a_transaction(self, host: DoorServer) -> None:
        assert json.loads(get(host, "/own/")[1]) == {"in_transaction": True}

    @BOTH
    @pytest.mark.parametrize("body", [CALL, STREAMED], ids=["plain", "stream"])
    def test_calls_pass_and_are_booked(
        self, host: DoorServer, headers: dict[str, str], tag: str, body: dict[str, Any]
    ) -> None:
        reply = call(host.url, body, headers)
        assert reply.status == 200, reply
        row = host.ledger.finished(tag)
        assert (row["status"], row["door"]) == ("done", "django")

    @BOTH
    def test_a_failed_call_keeps_its_row(
        self, host: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
    ) -> None:
        sandbox.fault("status_500")
        assert call(host.url, CALL, headers).status == 500
        assert host.ledger.finished(tag)["status"] == "failed"


class TestHostileHost:
    """Settings of the REST framework that refuse everything, upload limits, and a stack of middleware."""

    @pytest.fixture
    def host(
        self, request: pytest.FixtureRequest, running: dict[str, DoorServer], site: Site, sandbox: SandboxProcess
    ) -> DoorServer:
        return start(running, site, request.param, "hostile", "/ready/")

    @BOTH
    def test_the_hosts_own_views_are_refused(self, host: DoorServer) -> None:
        assert get(host, "/own/")[0] == 500  # its negotiation refuses to render its refusal

    @BOTH
    def test_an_answer_passes_through_the_hosts_middleware(
        self, host: DoorServer, headers: dict[str, str], tag: str
    ) -> None:
        reply = call(host.url, CALL, headers | {"Accept-Encoding": "gzip", "Accept": "text/html; version=1"})
        assert reply.status == 200, reply
        assert reply.headers[MARK] == "1"
        assert reply.headers["content-encoding"] == "gzip"
        assert json.loads(gzip.decompress(reply.body))["object"] == "chat.completion"
        row = host.ledger.finished(tag)
        assert (row["status"], request_id(row)) == ("done", reply.headers["x-request-id"])

    @BOTH
    def test_a_stream_is_neither_compressed_nor_held_back(
        self, host: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
    ) -> None:
        paced = STREAMED | {"sandbox": {"pace_ms": 60, "tokens": 10}}
        with OpenStream(host.url, paced, headers | {"Accept-Encoding": "gzip"}) as stream:
            head = stream.read_until(b'"content":" ')
            assert sandbox.calls()["calls"][0]["outcome"] == "open"
            assert b"gzip" not in head.lower()
            assert b"data: [DONE]" in stream.read_to_end()
        assert host.ledger.finished(tag)["status"] == "done"

    @BOTH
    def test_a_departure_is_noticed_through_the_hosts_middleware(
        self, host: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
    ) -> None:
        paced = STREAMED | {"sandbox": {"pace_ms": 60, "tokens": 200, "first_byte_ms": 300}}
        stream = OpenStream(host.url, paced, headers)
        while not sandbox.calls()["open"]:
            pass
        stream.leave()
        row = host.ledger.finished(tag)
        assert (row["status"], row["departure"]) == ("client_gone", "cancelled")

    @BOTH
    def test_an_answer_that_the_host_drops_is_let_go(
        self, host: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
    ) -> None:
        paced = STREAMED | {"sandbox": {"pace_ms": 60, "tokens": 200}}
        assert call(host.url, paced, headers | {FALL_OVER: "1"}).status == 500
        row = host.ledger.finished(tag, within_s=5)
        assert (row["status"], row["departure"]) == ("client_gone", "cancelled")
        assert sandbox.calls()["open"] == 0

    @BOTH
    def test_errors_stay_in_the_dialect(self, host: DoorServer) -> None:
        with openai.OpenAI(base_url=f"{host.url}/v1", api_key="nobody", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as raised:
                client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
            assert raised.value.code == "invalid_api_key"
        reply = call(host.url, b"", {}, method="GET")
        assert (reply.status, error_of(reply)["code"]) == (405, "method_not_allowed")


class TestPrefixedHost:
    """Both doors in one process, and the gateway under a path of the host's choice."""

    @pytest.fixture(params=["", "/outer"], ids=["root", "root-path"])
    def host(
        self, request: pytest.FixtureRequest, running: dict[str, DoorServer], site: Site, sandbox: SandboxProcess
    ) -> DoorServer:
        options = ("--root-path", request.param) if request.param else ()
        kind = replace(
            ASGI, name=f"prefixed{request.param.replace('/', '-')}", app="tests.hosts.prefixed.asgi:application"
        )
        if kind.name not in running:
            settings = "tests.hosts.prefixed.settings"
            running[kind.name] = site.make(kind, *options, settings=settings, ready_path="/ai/healthz").start()
        return running[kind.name]

    @pytest.mark.parametrize(("prefix", "door"), [("/ai", "asgi"), ("/aside", "django")])
    @pytest.mark.parametrize("body", [CALL, STREAMED], ids=["plain", "stream"])
    def test_each_door_answers_under_its_path(
        self, host: DoorServer, headers: dict[str, str], tag: str, prefix: str, door: str, body: dict[str, Any]
    ) -> None:
        assert call(host.url + prefix, body, headers).status == 200
        row = host.ledger.finished(tag)
        assert (row["status"], row["door"]) == ("done", door)

    def test_other_paths_and_methods_are_the_hosts(self, host: DoorServer, headers: dict[str, str]) -> None:
        assert get(host, "/own/")[0] == 200
        assert call(host.url, CALL, headers).status == 404
        reply = call(f"{host.url}/ai", b"", {}, method="GET")
        assert (reply.status, error_of(reply)["code"]) == (405, "method_not_allowed")

    def test_the_sdk_takes_the_prefix_in_its_base_url(self, host: DoorServer) -> None:
        with openai.OpenAI(base_url=f"{host.url}/ai/v1", api_key=secret("main"), max_retries=0) as client:
            answer = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert answer.choices[0].message.content
