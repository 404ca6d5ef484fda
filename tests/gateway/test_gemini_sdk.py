"""Google's own SDK against a gateway in front of the sandbox: what works with Gemini works here."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.gateway.server import ALIAS, SECRET, Call, GatewayServer
from tikhub_app.models import Upstream
from tikhub_app.sandbox.process import SandboxProcess

# The SDK's asynchronous client inherits from aiohttp's session, which aiohttp discourages.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class .* from ClientSession:DeprecationWarning")

QUESTION = "What is the weather in Lisbon and in Porto?"
MODEL = "gemini-2.5-flash"
THINKER = "gemini-3-flash-preview"
RIGHT_KEY = "sk-upstream-secret"  # as add_upstream sets it


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess("--require-key", RIGHT_KEY) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: SandboxProcess) -> SandboxProcess:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture(scope="module")
def gateway(stopped_gateway: GatewayServer, running_sandbox: SandboxProcess) -> Iterator[GatewayServer]:
    upstream = stopped_gateway.add_upstream("sandbox", running_sandbox.gemini_url, provider="gemini")
    stopped_gateway.add_route("gemini-*", upstream)
    stopped_gateway.add_route("our-gemini", upstream, upstream_model=MODEL)
    wrong = stopped_gateway.add_upstream("wrong-key", running_sandbox.gemini_url, provider="gemini")
    wrong.set_credential("a-key-that-google-does-not-know")
    wrong.save(using=ALIAS)
    stopped_gateway.add_route("locked-gemini", wrong, upstream_model=MODEL)
    # Tried first; where its account is refused, the next one answers.
    stopped_gateway.add_route("spare-gemini", wrong, upstream_model=MODEL, priority=1)
    stopped_gateway.add_route("spare-gemini", upstream, upstream_model=MODEL, priority=2)
    openai = stopped_gateway.add_upstream("openai", running_sandbox.openai_url)
    stopped_gateway.add_route("gpt-*", openai)
    stopped_gateway.add_price(
        provider="gemini", model="gemini-*", effective_from="2024-01-01", input_usd="1", cache_read_usd="0.1",
        output_usd="5",
    )  # fmt: skip
    with stopped_gateway:
        yield stopped_gateway


@pytest.fixture
def gemini(gateway: GatewayServer, sandbox: SandboxProcess) -> Iterator[genai.Client]:
    with genai.Client(api_key=SECRET, http_options=types.HttpOptions(base_url=gateway.url)) as client:
        yield client


def request_id(answer: Any) -> str:
    found: str = answer.sdk_http_response.headers["x-request-id"]
    return found


def booked(gateway: GatewayServer, sandbox: SandboxProcess, identity: str) -> Call:
    """The row of a call, after it was compared with the one line of the sandbox's bill."""
    call = gateway.call(identity)
    (line,) = sandbox.bill(call.attempts[-1].attempt_id)
    assert call.row.input_tokens == line["prompt_tokens"]
    assert call.row.cache_read == line["cached_tokens"]
    assert (call.row.output_tokens, call.row.reasoning) == (line["completion_tokens"], line["reasoning_tokens"])
    assert (call.row.usage_source, call.row.usage_mismatch) == ("provider", False)
    return call


def sandboxed(**controls: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(http_options=types.HttpOptions(extra_body={"sandbox": controls}))


def test_content_is_generated_and_booked(gemini: genai.Client, gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    config = types.GenerateContentConfig(max_output_tokens=900, system_instruction="Be brief.")
    answer = gemini.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    assert "Lisbon" in (answer.text or "")
    row = booked(gateway, sandbox, request_id(answer)).row
    assert (row.dialect, row.operation, row.is_stream) == ("gemini", "generate_content", False)
    assert (row.asked_model, row.answered_model, row.finish_reason) == (MODEL, MODEL, "STOP")
    assert row.cost_usd > 0
    # 900 tokens of output at 5 dollars a million, and the prompt.
    assert row.reserved_cost_usd > row.cost_usd
    [received] = sandbox.calls()["calls"]
    assert received["headers"]["x-goog-api-key"] == RIGHT_KEY
    assert "x-goog-api-client" not in received["headers"]


def test_a_stream_is_relayed_and_booked(gemini: genai.Client, gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    chunks = list(gemini.models.generate_content_stream(model=THINKER, contents=QUESTION, config=config))
    whole = gemini.models.generate_content(model=THINKER, contents=QUESTION, config=config)
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert chunks[-1].usage_metadata == whole.usage_metadata
    row = booked(gateway, sandbox, request_id(chunks[0])).row
    assert (row.operation, row.is_stream, row.status) == ("stream_generate_content", True, "done")
    [call, _] = sandbox.calls()["calls"]
    assert call["query"] == "alt=sse"


def test_the_asynchronous_client_works_too(gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    async def ask() -> tuple[str, str, int | None]:
        options = types.HttpOptions(base_url=gateway.url)
        async with genai.Client(api_key=SECRET, http_options=options).aio as client:
            stream = await client.models.generate_content_stream(model=MODEL, contents=QUESTION)
            streamed = "".join([chunk.text or "" async for chunk in stream])
            answer = await client.models.generate_content(model=MODEL, contents=QUESTION)
            counted = await client.models.count_tokens(model=MODEL, contents=QUESTION)
            with pytest.raises(errors.ClientError) as caught:
                await client.models.generate_content(model="nobody", contents=QUESTION)
            assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
            return streamed, answer.text or "", counted.total_tokens

    streamed, whole, counted = asyncio.run(ask())
    assert streamed == whole
    assert counted
    assert [line["stream"] for line in sandbox.bill()] == [True, False]


def test_a_chat_with_functions_thinks_over_three_turns(
    gemini: genai.Client, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    asked = []

    def get_weather(city: str, days: int) -> str:
        """The forecast for a city."""
        asked.append((city, days))
        return f"{days} days of rain in {city}"

    config = types.GenerateContentConfig(tools=[get_weather])
    chat = gemini.chats.create(model=THINKER, config=config)
    for question in (QUESTION, "And in Faro?", "And in Sintra?"):
        assert "days of rain" in (chat.send_message(question).text or "")
    assert len(asked) == 3
    lines = sandbox.bill()
    assert len(lines) == 6  # each turn is a call and its result
    calls = gateway.calls()[-6:]
    assert [call.attempts[0].attempt_id for call in calls] == [line["client_request_id"] for line in lines]
    signed = json.loads(calls[1].payload.request_body)["contents"][1]["parts"][0] if calls[1].payload else {}
    assert signed["thoughtSignature"]


def test_counting_tokens_costs_nothing(gemini: genai.Client, gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    counted = gemini.models.count_tokens(model=MODEL, contents=QUESTION)
    assert counted.total_tokens
    row = gateway.calls()[-1].row
    assert (row.operation, row.status, row.total_tokens, row.usage_source) == ("count_tokens", "done", 0, "none")
    assert not any((row.cost_usd, row.reserved_cost_usd, row.is_unpriced))
    assert sandbox.bill() == []


def test_another_name_for_a_model(gemini: genai.Client, gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    answer = gemini.models.generate_content(model="our-gemini", contents=QUESTION)
    row = booked(gateway, sandbox, request_id(answer)).row
    assert (row.asked_model, row.answered_model) == ("our-gemini", MODEL)
    [received] = sandbox.calls()["calls"]
    assert received["path"] == f"/gemini/v1/models/{MODEL}:generateContent"  # the version that the SDK asks for


def test_a_blocked_prompt_is_an_answer_without_candidates(
    gemini: genai.Client, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    answer = gemini.models.generate_content(model=MODEL, contents=QUESTION, config=sandboxed(outcome="refusal"))
    assert answer.candidates is None
    call = booked(gateway, sandbox, request_id(answer))
    assert ("prompt", "safety", True) in [(row.side, row.category, row.filtered) for row in call.filters]
    assert call.row.status == "done"


# What goes wrong


def test_a_key_that_google_does_not_know_is_the_operators_to_mend(gemini: genai.Client, gateway: GatewayServer) -> None:
    with pytest.raises(errors.ServerError) as caught:
        gemini.models.generate_content(model="locked-gemini", contents=QUESTION)
    assert (caught.value.code, caught.value.status) == (502, "INTERNAL")
    call = gateway.calls()[-1]
    assert (call.row.error_code, call.attempts[0].http_status) == ("upstream_auth_error", 400)
    assert Upstream.objects.using(ALIAS).get(name="wrong-key").auth_failed_at is not None


def test_the_next_account_answers_where_one_is_refused(
    gemini: genai.Client, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    answer = gemini.models.generate_content(model="spare-gemini", contents=QUESTION)
    call = booked(gateway, sandbox, request_id(answer))
    assert [attempt.http_status for attempt in call.attempts] == [400, 200]


def test_the_wait_that_google_names_in_the_body_stands_in_the_header(
    gemini: genai.Client, sandbox: SandboxProcess
) -> None:
    sandbox.fault("status_429", retry_after=17)
    with pytest.raises(errors.ClientError) as caught:
        gemini.models.generate_content(model=MODEL, contents=QUESTION)
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert caught.value.response.headers["retry-after"] == "17"
    assert "retryDelay" in str(caught.value.details)


@pytest.mark.parametrize("fault", ["error_event_mid_stream", "end_mid_stream", "reset_mid_stream", "malformed_json"])
def test_a_stream_that_breaks_raises(
    gemini: genai.Client, gateway: GatewayServer, sandbox: SandboxProcess, fault: str
) -> None:
    sandbox.fault(fault, after_chunks=3)
    stream = gemini.models.generate_content_stream(model=f"{MODEL}+pace_ms=20", contents=QUESTION)
    assert [next(stream).text for _ in range(3)]
    with pytest.raises(errors.ServerError) as caught:
        next(stream)
    assert caught.value.code in (500, 502)
    row = gateway.calls()[-1].row
    assert (row.status, row.usage_source) == ("failed", "estimated")
    assert row.output_tokens > 0


def test_a_request_that_google_refuses_is_refused_in_its_words(gemini: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        gemini.models.generate_content(model=MODEL, contents=QUESTION, config={"stop_sequences": list("abcdef")})
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert "limited to 5" in (caught.value.message or "")


def test_another_dialects_model_says_that_translation_is_not_built(gemini: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        gemini.models.generate_content(model="gpt-4o", contents=QUESTION)
    assert caught.value.details["error"]["details"][0]["reason"] == "UNSUPPORTED_TRANSLATION"


# By hand: what the SDK does not do.


def post(gateway: GatewayServer, path: str, body: Any, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    content = json.dumps(body).encode()
    connection.request("POST", path, content, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    found = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return found


BODY = {"contents": [{"parts": [{"text": QUESTION}]}]}
STREAM = f"/v1beta/models/{MODEL}:streamGenerateContent"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/v1beta/models/{MODEL}:generateContent?key={SECRET}", {}),
        (f"/v1beta/models/{MODEL}%3AgenerateContent", {"x-goog-api-key": SECRET}),
        (f"/v1/models/{MODEL}:generateContent", {"Authorization": f"Bearer {SECRET}"}),
        (f"/v1beta/models/models/{MODEL}:generateContent", {"x-api-key": SECRET}),
        (f"/v1beta/models/models%2F{MODEL}:generateContent", {"x-goog-api-key": SECRET}),
    ],
)
def test_every_spelling_of_path_and_credential(
    gateway: GatewayServer, sandbox: SandboxProcess, path: str, headers: dict[str, str]
) -> None:
    status, answered, body = post(gateway, path, BODY, **headers)
    assert status == 200, body
    [received] = sandbox.calls()["calls"]
    version = "v1" if path.startswith("/v1/") else "v1beta"
    assert received["path"] == f"/gemini/{version}/models/{MODEL}:generateContent"
    assert received["query"] == ""
    assert SECRET not in json.dumps(received)
    assert booked(gateway, sandbox, answered["x-request-id"]).row.asked_model == MODEL


@pytest.mark.parametrize(
    ("query", "headers", "reason"),
    [
        ("", {}, "MISSING_API_KEY"),
        ("?key=nobody-has-issued-this-key", {}, "API_KEY_INVALID"),
        (f"?key={SECRET}", {"x-goog-api-key": "nobody-has-issued-this-key"}, "CONFLICTING_API_KEYS"),
    ],
)
def test_without_a_valid_key_nothing_is_done(
    gateway: GatewayServer, sandbox: SandboxProcess, query: str, headers: dict[str, str], reason: str
) -> None:
    status, _, body = post(gateway, STREAM + query, BODY, **headers)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["status"]) == (401, 401, "UNAUTHENTICATED")
    assert error["details"][0]["reason"] == reason
    assert sandbox.calls()["total"] == 0


def test_the_query_takes_no_key_on_other_paths(gateway: GatewayServer) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]}
    assert post(gateway, f"/v1/chat/completions?key={SECRET}", body)[0] == 401
