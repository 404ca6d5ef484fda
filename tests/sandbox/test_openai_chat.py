"""Chat completions of the sandbox's OpenAI, through OpenAI's own SDK over a real socket."""

import asyncio
import json
from itertools import groupby
from typing import Any

import jsonschema_rs
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from tests.sandbox.raw_http import post
from tikhub_app.sandbox.process import SandboxProcess
from tikhub_app.sandbox.tokens import count_tokens

QUESTION: list[Any] = [{"role": "user", "content": "What is the weather in Lisbon and in Porto?"}]
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["location", "days", "unit"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "description": "Forecast", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}},
]


def gather(stream: Any) -> tuple[dict[int, dict[str, Any]], list[ChatCompletionChunk]]:
    """The choices of a stream put together again, and its chunks."""
    choices: dict[int, dict[str, Any]] = {}
    chunks = list(stream)
    for chunk in chunks:
        for choice in chunk.choices:
            whole = choices.setdefault(choice.index, {"content": "", "refusal": "", "calls": {}, "finish_reason": None})
            whole["content"] += choice.delta.content or ""
            whole["refusal"] += choice.delta.refusal or ""
            whole["finish_reason"] = choice.finish_reason or whole["finish_reason"]
            for call in choice.delta.tool_calls or ():
                known = whole["calls"].setdefault(call.index, {"arguments": ""})
                if call.id:
                    known.update(id=call.id, name=call.function.name if call.function else None)
                known["arguments"] += (call.function.arguments if call.function else "") or ""
    return choices, chunks


def test_it_answers_in_a_few_words_about_the_prompt(client: openai.OpenAI, sandbox: SandboxProcess) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=QUESTION)
    completion = raw.parse()
    content = completion.choices[0].message.content or ""
    assert "Lisbon" in content
    assert "sandbox" in content
    assert completion.model == "gpt-4o-mini-2024-07-18"
    assert completion.choices[0].finish_reason == "stop"
    usage = completion.usage
    assert usage is not None
    assert usage.completion_tokens == count_tokens(content)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["openai-version"] == "2020-10-01"
    assert raw.headers["x-ratelimit-limit-requests"] == "10000"
    assert raw.headers["x-tikhub-sandbox"] == "1"


def test_a_stream_says_what_the_plain_answer_says(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="gpt-4o", messages=QUESTION, n=3)
    stream = client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, n=3, stream=True, stream_options={"include_usage": True}
    )
    choices, chunks = gather(stream)
    assert [choices[number]["content"] for number in range(3)] == [one.message.content for one in plain.choices]
    assert len({choice["content"] for choice in choices.values()}) > 1
    assert {chunk.id for chunk in chunks} == {plain.id}
    assert chunks[-1].usage == plain.usage


def test_the_chunks_of_a_stream_come_in_the_order_and_form_of_openai(
    sandbox: SandboxProcess, request_body: dict[str, Any]
) -> None:
    body = request_body | {"stream": True, "stream_options": {"include_usage": True}, "n": 2}
    reply = post(f"{sandbox.openai_url}/chat/completions", body)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.complete
    *events, done = reply.events
    assert done == b"data: [DONE]"
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:2]] == [
        {"role": "assistant", "content": "", "refusal": None}
    ] * 2
    assert [chunk["choices"][0]["index"] for chunk in chunks[:6]] == [0, 1, 0, 1, 0, 1]
    closing = [chunk for chunk in chunks[:-1] if chunk["choices"][0]["finish_reason"]]
    assert [(chunk["choices"][0]["delta"], chunk["choices"][0]["finish_reason"]) for chunk in closing] == [
        ({}, "stop")
    ] * 2
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


def test_without_include_usage_no_chunk_speaks_of_usage(sandbox: SandboxProcess, request_body: dict[str, Any]) -> None:
    reply = post(f"{sandbox.openai_url}/chat/completions", request_body | {"stream": True})
    assert b'"usage"' not in reply.body
    assert reply.events[-1] == b"data: [DONE]"


def test_it_calls_the_tools_with_valid_arguments_alike_plain_and_streamed(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="gpt-4o", messages=QUESTION, tools=TOOLS)
    calls = plain.choices[0].message.tool_calls or []
    assert plain.choices[0].finish_reason == "tool_calls"
    assert plain.choices[0].message.content is None
    assert [call.function.name for call in calls if call.type == "function"] == ["get_weather", "get_time"]
    assert calls[0].type == "function"
    arguments = json.loads(calls[0].function.arguments)
    assert jsonschema_rs.is_valid(WEATHER, arguments)
    assert arguments["location"] in ("Lisbon", "Porto")

    stream = client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, tools=TOOLS, stream=True, stream_options={"include_usage": True}
    )
    choices, chunks = gather(stream)
    streamed = [(call["id"], call["name"], call["arguments"]) for call in choices[0]["calls"].values()]
    assert streamed == [
        (call.id, call.function.name, call.function.arguments) for call in calls if call.type == "function"
    ]
    assert choices[0]["finish_reason"] == "tool_calls"
    assert chunks[-1].usage == plain.usage
    fragments = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.tool_calls]
    assert len(fragments) > 6


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"tool_choice": "none"}, []),
        ({"tool_choice": "required", "parallel_tool_calls": False}, ["get_weather"]),
        ({"tool_choice": {"type": "function", "function": {"name": "get_time"}}}, ["get_time"]),
        ({"extra_body": {"sandbox": {"tool_calls": 3}}}, ["get_weather", "get_time", "get_weather"]),
        ({"extra_body": {"sandbox": {"tool_calls": 0}}}, []),
    ],
)
def test_it_calls_only_what_the_caller_permits(client: openai.OpenAI, options: Any, names: list[str]) -> None:
    completion = client.chat.completions.create(model="gpt-4o", messages=QUESTION, tools=TOOLS, **options)
    calls = completion.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == names
    assert completion.choices[0].finish_reason == ("tool_calls" if names else "stop")


def test_it_puts_the_results_of_tools_in_words(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model="gpt-4o", messages=QUESTION, tools=TOOLS)
    calls = first.choices[0].message.tool_calls or []
    results = [{"role": "tool", "tool_call_id": call.id, "content": "21 degrees, sunny"} for call in calls]
    messages = [*QUESTION, first.choices[0].message.model_dump(exclude_none=True), *results]
    answer = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
    assert "get_weather returned 21 degrees, sunny" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"


def test_the_old_functions_get_the_old_answer(client: openai.OpenAI) -> None:
    functions: Any = [{"name": "get_weather", "parameters": WEATHER}]
    completion = client.chat.completions.create(model="gpt-4", messages=QUESTION, functions=functions)
    call = completion.choices[0].message.function_call
    assert call is not None
    assert call.name == "get_weather"
    assert jsonschema_rs.is_valid(WEATHER, json.loads(call.arguments))
    assert completion.choices[0].finish_reason == "function_call"


class Step(BaseModel):
    explanation: str
    minutes: int
    parts: list[str]


class Recipe(BaseModel):
    title: str
    rating: float
    steps: list[Step]
    note: str | None


def test_the_sdk_parses_structured_output(client: openai.OpenAI) -> None:
    completion = client.chat.completions.parse(model="gpt-4o", messages=QUESTION, response_format=Recipe)
    recipe = completion.choices[0].message.parsed
    assert recipe is not None
    assert recipe.steps[0].parts


def test_json_mode_answers_with_an_object(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Describe Lisbon as JSON"}]
    completion = client.chat.completions.create(
        model="gpt-4o", messages=messages, response_format={"type": "json_object"}
    )
    assert json.loads(completion.choices[0].message.content or "")["source"] == "sandbox"


def test_max_tokens_cut_text_and_arguments(client: openai.OpenAI) -> None:
    text = client.chat.completions.create(model="gpt-4o", messages=QUESTION, max_tokens=5)
    assert text.choices[0].finish_reason == "length"
    assert text.usage
    assert text.usage.completion_tokens == 5
    call = client.chat.completions.create(model="gpt-4o", messages=QUESTION, tools=TOOLS, max_completion_tokens=12)
    assert call.choices[0].finish_reason == "length"
    assert call.usage
    assert call.usage.completion_tokens == 12


def test_a_stop_sequence_ends_the_answer_before_itself(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="gpt-4o", messages=QUESTION, extra_body={"sandbox": {"text": "a b c"}})
    cut = client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, stop=["c", "b"], extra_body={"sandbox": {"text": "a b c"}}
    )
    assert whole.choices[0].message.content == "a b c"
    assert cut.choices[0].message.content == "a "
    assert cut.choices[0].finish_reason == "stop"


def test_reasoning_models_count_their_thoughts(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="gpt-5-nano", messages=QUESTION)
    assert completion.usage
    details = completion.usage.completion_tokens_details
    assert details
    assert details.reasoning_tokens
    assert details.reasoning_tokens % 64 == 0
    content = completion.choices[0].message.content or ""
    assert completion.usage.completion_tokens == details.reasoning_tokens + count_tokens(content)
    spent = client.chat.completions.create(model="gpt-5-nano", messages=QUESTION, max_completion_tokens=20)
    assert spent.choices[0].message.content == ""
    assert spent.choices[0].finish_reason == "length"
    assert spent.usage
    assert spent.usage.completion_tokens == 20


def test_a_long_prompt_is_cached_the_second_time(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "system", "content": "Answer with care. " * 400}, *QUESTION]
    cached = []
    for _ in range(2):
        usage = client.chat.completions.create(model="gpt-4o", messages=messages).usage
        assert usage
        assert usage.prompt_tokens_details
        cached.append(usage.prompt_tokens_details.cached_tokens)
    assert cached[0] == 0
    assert cached[1] is not None
    assert cached[1] >= 1024
    assert cached[1] % 128 == 0


def test_it_refuses_and_filters_when_told_to(client: openai.OpenAI) -> None:
    def ask(outcome: str, **options: Any) -> Any:
        extra = {"sandbox": {"outcome": outcome}}
        return client.chat.completions.create(model="gpt-4o", messages=QUESTION, extra_body=extra, **options)

    refused: ChatCompletion = ask("refusal")
    assert refused.choices[0].message.content is None
    choices, _ = gather(ask("refusal", stream=True))
    assert choices[0]["refusal"] == refused.choices[0].message.refusal
    assert ask("content_filter").choices[0].finish_reason == "content_filter"


def test_log_probabilities_cover_the_text(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="gpt-4o", messages=QUESTION, logprobs=True, top_logprobs=2)
    logprobs = completion.choices[0].logprobs
    assert logprobs
    assert logprobs.content
    assert "".join(entry.token for entry in logprobs.content) == completion.choices[0].message.content
    assert all(len(entry.top_logprobs) == 2 and entry.logprob < 0 for entry in logprobs.content)


@pytest.mark.parametrize(
    "place",
    [
        {"extra_body": {"sandbox": {"tokens": 7, "chunk_bytes": 10}}},
        {"extra_headers": {"x-sandbox-tokens": "7", "x-sandbox-chunk-bytes": "10"}},
        {"extra_query": {"tokens": "7", "chunk_bytes": "10"}},
        {"model": "gpt-4o+tokens=7+chunk_bytes=10"},
    ],
)
def test_a_call_sets_its_length_and_chunks_in_any_of_four_places(client: openai.OpenAI, place: Any) -> None:
    options = {"model": "gpt-4o", **place}
    stream = client.chat.completions.create(
        messages=QUESTION, stream=True, stream_options={"include_usage": True}, **options
    )
    _, chunks = gather(stream)
    assert chunks[0].model == "gpt-4o-2024-08-06"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 7
    texts = [chunk.choices[0].delta.content for chunk in chunks[1:-2]]
    assert len(texts) < 7
    assert all(len(text or "") >= 10 for text in texts[:-1])


def test_responses_can_come_in_slices_through_the_middle_of_events(
    sandbox: SandboxProcess, client: openai.OpenAI
) -> None:
    controls = {"split_bytes": 7, "text": "Zażółć gęślą jaźń \u2028 日本語 🦆"}
    stream = client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, stream=True, extra_body={"sandbox": controls}
    )
    choices, _ = gather(stream)
    assert choices[0]["content"] == controls["text"]


def test_the_asynchronous_sdk_streams_many_at_once(sandbox: SandboxProcess) -> None:
    async def one(client: openai.AsyncOpenAI, number: int) -> list[str]:
        stream = await client.chat.completions.create(
            model="gpt-4o-mini", messages=QUESTION, stream=True, seed=number, extra_body={"sandbox": {"pace_ms": 5}}
        )
        return [chunk.choices[0].delta.content or "" async for chunk in stream]

    async def everything() -> list[list[str]]:
        async with openai.AsyncOpenAI(api_key="any", base_url=sandbox.openai_url, max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(20)))

    answers = asyncio.run(everything())
    assert all("sandbox" in "".join(parts) and len(parts) > 10 for parts in answers)
    assert len(list(groupby(sorted(map("".join, answers))))) > 3
    assert len(sandbox.bill()) == 20


def test_it_lists_its_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"gpt-4o", "gpt-4o-mini", "gpt-5", "o3", "chatgpt-4o-latest"} <= set(names)
    assert client.models.retrieve("gpt-4o").owned_by == "system"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_a_compatible_host_takes_any_model_and_sends_no_vendor_headers(sandbox: SandboxProcess) -> None:
    with openai.OpenAI(api_key="any", base_url=f"{sandbox.base_url}/openai_compatible/v1", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="phi4:14b", messages=QUESTION, max_tokens=9)
    assert raw.parse().model == "phi4:14b"
    assert "openai-version" not in raw.headers
    assert sandbox.bill()[0]["vendor"] == "openai_compatible"
