"""Gemini's stream as one growing JSON array: relayed piece by piece, and never closed by us when it broke."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.gateway.server import SECRET, GatewayServer
from tests.recordings.replay import Recording, ReplayServer, byte_by_byte, in_one_piece
from tikhub_app.sandbox.process import SandboxProcess

MODEL = "gemini-2.5-flash"
STREAM = f"/v1beta/models/{MODEL}:streamGenerateContent"
BODY: dict[str, Any] = {"contents": [{"parts": [{"text": "What is the weather in Lisbon and in Porto?"}]}]}
JSON = "application/json; charset=UTF-8"


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: SandboxProcess) -> SandboxProcess:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture(scope="module")
def replay() -> Iterator[ReplayServer]:
    with ReplayServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(
    stopped_gateway: GatewayServer, running_sandbox: SandboxProcess, replay: ReplayServer
) -> Iterator[GatewayServer]:
    upstream = stopped_gateway.add_upstream("sandbox", running_sandbox.gemini_url, provider="gemini")
    stopped_gateway.add_route("gemini-*", upstream)
    host = stopped_gateway.add_upstream("replay", replay.url.removesuffix("/v1"), provider="gemini")
    stopped_gateway.add_route("replayed", host)
    with stopped_gateway:
        yield stopped_gateway


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def post(gateway: GatewayServer, path: str = STREAM) -> Answer:
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    headers = {"Content-Type": "application/json", "x-goog-api-key": SECRET}
    connection.request("POST", path, json.dumps(BODY).encode(), headers)
    response = connection.getresponse()
    answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    connection.close()
    return answer


def chunk(text: str, **fields: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, **fields}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}


def written(*chunks: Any, end: str = "]") -> bytes:
    return ("[" + "\n,\r\n".join(json.dumps(each, indent=2) for each in chunks) + "\n" + end).encode()


def replayed(
    gateway: GatewayServer, replay: ReplayServer, body: bytes, status: int = 200, cut: Any = byte_by_byte
) -> Answer:
    replay.play(Recording("array", {}, status, {"content-type": JSON}, body, True), cut)
    return post(gateway, "/v1beta/models/replayed:streamGenerateContent")


def test_the_array_is_relayed_and_booked(gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    status, headers, body = post(gateway)
    assert (status, headers["content-type"]) == (200, JSON)
    assert headers["cache-control"] == "no-cache"
    direct = sandbox.gemini_url.removeprefix("http://").partition("/")[0]
    connection = http.client.HTTPConnection(direct, timeout=30)
    connection.request("POST", f"/gemini{STREAM}", json.dumps(BODY).encode(), {"Content-Type": "application/json"})
    assert body == connection.getresponse().read()
    connection.close()
    row = gateway.call(headers["x-request-id"]).row
    assert (row.is_stream, row.status, row.response_bytes) == (True, "done", len(body))
    line = sandbox.bill()[0]
    assert (row.input_tokens, row.output_tokens) == (line["prompt_tokens"], line["completion_tokens"])
    assert (row.reasoning, row.usage_source) == (line["reasoning_tokens"], "provider")


@pytest.mark.parametrize("fault", ["error_event_mid_stream", "end_mid_stream", "reset_mid_stream", "malformed_json"])
def test_an_array_that_breaks_has_an_error_and_no_end(
    gateway: GatewayServer, sandbox: SandboxProcess, fault: str
) -> None:
    sandbox.fault(fault, after_chunks=3)
    status, headers, body = post(gateway, f"{STREAM}?pace_ms=20")
    assert status == 200
    with pytest.raises(ValueError, match="Expecting ',' delimiter"):
        json.loads(body)
    *chunks, failure = json.loads(body + b"]")
    assert [next(iter(chunk)) for chunk in chunks] == ["candidates"] * 3
    assert failure["error"]["code"] in (500, 502)
    row = gateway.call(headers["x-request-id"]).row
    assert (row.status, row.usage_source) == ("failed", "estimated")


def test_elements_are_out_before_the_providers_last(gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    headers = {"Content-Type": "application/json", "x-goog-api-key": SECRET}
    connection.request("POST", f"{STREAM}?pace_ms=50&tokens=20", json.dumps(BODY).encode(), headers)
    response = connection.getresponse()
    received = b""
    while b"\n,\r\n" not in received:
        received += response.read1()
    assert sandbox.calls()["open"] == 1
    assert json.loads(received + response.read())
    connection.close()


def test_chunks_with_nothing_but_usage_pass_after_the_last_word(gateway: GatewayServer, replay: ReplayServer) -> None:
    last = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}}
    body = written(chunk("Rain"), chunk(".", finishReason="STOP"), last)
    answer = replayed(gateway, replay, body)
    assert answer.body == body
    row = gateway.call(answer.headers["x-request-id"]).row
    assert (row.status, row.output_tokens, row.finish_reason) == ("done", 4, "STOP")


def test_an_array_is_not_closed_where_no_candidate_has_finished(gateway: GatewayServer, replay: ReplayServer) -> None:
    """Half an answer must not pass for a whole one, even if the provider closes its array."""
    answer = replayed(gateway, replay, written(chunk("Rain"), chunk(" and")))
    assert not answer.body.rstrip().endswith(b"]")
    *chunks, failure = json.loads(answer.body + b"]")
    assert len(chunks) == 2
    assert failure["error"]["details"][0]["reason"] == "UPSTREAM_INVALID_RESPONSE"
    row = gateway.call(answer.headers["x-request-id"]).row
    assert (row.status, row.error_code) == ("failed", "upstream_invalid_response")


@pytest.mark.parametrize("end", ["", ",", "\n, {", "<html>"])
def test_an_array_that_ends_without_its_bracket_has_failed(
    gateway: GatewayServer, replay: ReplayServer, end: str
) -> None:
    answer = replayed(gateway, replay, written(chunk("Rain.", finishReason="STOP"), end=end))
    first, failure = json.loads(answer.body + b"]")
    assert first == chunk("Rain.", finishReason="STOP")
    assert failure["error"]["code"] == 502
    assert gateway.call(answer.headers["x-request-id"]).row.status == "failed"


@pytest.mark.parametrize("body", [b"[]", b"", b"[\n]", b"[1]", b"<html>", b"[{]"])
def test_what_is_no_answer_is_a_502(gateway: GatewayServer, replay: ReplayServer, body: bytes) -> None:
    answer = replayed(gateway, replay, body)
    assert answer.status == 502
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["status"]) == (502, "UNAVAILABLE")


def test_an_error_in_place_of_the_first_element_is_an_http_error(gateway: GatewayServer, replay: ReplayServer) -> None:
    failure = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    answer = replayed(gateway, replay, written(failure))
    assert (answer.status, json.loads(answer.body)) == (503, failure)


def test_a_refusal_in_an_array_of_one_passes_as_it_is(gateway: GatewayServer, replay: ReplayServer) -> None:
    body = written({"error": {"code": 400, "message": "No contents.", "status": "INVALID_ARGUMENT"}})
    answer = replayed(gateway, replay, body, 400, in_one_piece)
    assert (answer.status, answer.headers["content-type"], answer.body) == (400, JSON, body)
