"""Messages of the sandbox's Anthropic, through Anthropic's own SDK over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import jsonschema_rs
import pytest
from anthropic.types import Message
from pydantic import BaseModel

from tests.sandbox.raw_http import RawReply, post
from tikhub_app.sandbox.process import SandboxProcess
from tikhub_app.sandbox.tokens import count_tokens

QUESTION: list[Any] = [{"role": "user", "content": "What is the weather in Lisbon and in Porto?"}]
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["location", "days"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {"name": "get_weather", "description": "Forecast", "input_schema": WEATHER},
    {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
]
BUDGET: Any = {"type": "enabled", "budget_tokens": 1024}
MODEL = "claude-haiku-4-5"


@pytest.fixture
def claude(sandbox: SandboxProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="any", base_url=sandbox.anthropic_url, max_retries=0) as client:
        yield client


def ask(claude: anthropic.Anthropic, **options: Any) -> Message:
    message: Message = claude.messages.create(**{"model": MODEL, "max_tokens": 2000, "messages": QUESTION, **options})
    return message


def post_message(sandbox: SandboxProcess, **fields: Any) -> RawReply:
    body = {"model": MODEL, "max_tokens": 2000, "messages": QUESTION, **fields}
    return post(f"{sandbox.anthropic_url}/v1/messages", body, {"anthropic-version": "2023-06-01"})


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_it_answers_in_a_few_words_about_the_prompt(claude: anthropic.Anthropic) -> None:
    raw = claude.messages.with_raw_response.create(model=MODEL, max_tokens=200, messages=QUESTION)
    message = raw.parse()
    assert "Lisbon" in text_of(message)
    assert message.model == "claude-haiku-4-5-20251001"
    assert message.id.startswith("msg_01")
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.usage.output_tokens == count_tokens(text_of(message))
    assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (0, 0)
    assert raw.headers["request-id"].startswith("req_")
    assert raw.headers["anthropic-ratelimit-requests-limit"] == "4000"
    assert raw.headers["x-tikhub-sandbox"] == "1"


@pytest.mark.parametrize("options", [{}, {"tools": TOOLS}, {"tools": TOOLS, "thinking": BUDGET}, {"thinking": BUDGET}])
def test_a_stream_says_what_the_plain_answer_says(claude: anthropic.Anthropic, options: Any) -> None:
    plain = ask(claude, **options)
    with claude.messages.stream(model=MODEL, max_tokens=2000, messages=QUESTION, **options) as stream:
        final = stream.get_final_message()
    assert final.to_dict() == plain.to_dict()


def test_the_events_of_a_stream_come_in_the_order_and_form_of_anthropic(sandbox: SandboxProcess) -> None:
    reply = post_message(sandbox, stream=True, tools=TOOLS, thinking=BUDGET)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.complete
    seen: list[tuple[int | None, str]] = []
    events: list[dict[str, Any]] = []
    for raw in reply.events:
        name, data = raw.split(b"\n")
        event = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        kind = event.get("delta", event.get("content_block", event)).get("type", event["type"])
        if not seen or seen[-1] != (event.get("index"), kind):
            seen.append((event.get("index"), kind))
        events.append(event)
    tool = ["tool_use", "input_json_delta", "content_block_stop"]
    assert seen == [
        (None, "message_start"),
        (0, "thinking"), (None, "ping"), (0, "thinking_delta"), (0, "signature_delta"), (0, "content_block_stop"),
        *[(1, kind) for kind in tool],
        *[(2, kind) for kind in tool],
        (None, "message_delta"),
        (None, "message_stop"),
    ]  # fmt: skip
    start, end = events[0]["message"], events[-2]
    assert (start["content"], start["stop_reason"], start["usage"]["output_tokens"]) == ([], None, 1)
    assert end["delta"] == {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None}
    assert end["usage"]["input_tokens"] == start["usage"]["input_tokens"]
    assert end["usage"]["output_tokens"] > end["usage"]["output_tokens_details"]["thinking_tokens"] > 0
    assert "cache_creation" not in end["usage"]
    assert b"[DONE]" not in reply.body


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "auto"}, ["get_weather", "get_time"]),
        ({"type": "auto", "disable_parallel_tool_use": True}, ["get_weather"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
        ({"type": "none"}, []),
    ],
)
def test_it_calls_only_what_the_caller_permits(claude: anthropic.Anthropic, choice: Any, names: list[str]) -> None:
    message = ask(claude, tools=TOOLS, tool_choice=choice)
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.name for call in calls] == names
    assert all(call.id.startswith("toolu_") for call in calls)
    assert all(jsonschema_rs.is_valid(WEATHER, call.input) for call in calls if call.name == "get_weather")
    assert message.stop_reason == ("tool_use" if names else "end_turn")


def answered(message: Message) -> list[Any]:
    """The conversation with the answer, and with results for its tools."""
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "21 degrees, sunny"}
        for block in message.content
        if block.type == "tool_use"
    ]
    return [
        *QUESTION,
        {"role": "assistant", "content": message.to_dict()["content"]},
        {"role": "user", "content": results},
    ]


def test_it_puts_the_results_of_tools_in_words_and_knows_its_own_thoughts(claude: anthropic.Anthropic) -> None:
    first = ask(claude, tools=TOOLS, thinking=BUDGET)
    answer = ask(claude, tools=TOOLS, thinking=BUDGET, messages=answered(first))
    assert "get_weather returned 21 degrees, sunny" in text_of(answer)
    assert answer.stop_reason == "end_turn"


@pytest.mark.parametrize("spoil", ["signature", "thinking", "block"])
def test_it_refuses_thoughts_that_were_not_its_own(claude: anthropic.Anthropic, spoil: str) -> None:
    conversation = answered(ask(claude, tools=TOOLS, thinking=BUDGET))
    content = conversation[1]["content"]
    if spoil == "block":
        content.pop(0)
    else:
        content[0][spoil] = content[0][spoil][:-8] + "AAAAAAA="
    with pytest.raises(anthropic.BadRequestError, match=r"must start with a thinking block|Invalid `signature`"):
        ask(claude, tools=TOOLS, thinking=BUDGET, messages=conversation)


def test_newer_models_think_unasked_and_keep_it_to_themselves(claude: anthropic.Anthropic) -> None:
    message = ask(claude, model="claude-sonnet-5")
    first = message.content[0]
    assert first.type == "thinking"
    assert first.thinking == ""
    assert first.signature
    shown = ask(claude, model="claude-sonnet-5", thinking={"type": "adaptive", "display": "summarized"})
    assert shown.content[0].type == "thinking"
    details = shown.usage.output_tokens_details
    assert details
    assert details.thinking_tokens == count_tokens(shown.content[0].thinking)
    again = ask(
        claude,
        model="claude-sonnet-5",
        messages=[*QUESTION, {"role": "assistant", "content": message.to_dict()["content"]}, *QUESTION],
    )
    assert again.stop_reason == "end_turn"


class Recipe(BaseModel):
    title: str
    minutes: int
    steps: list[str]


def test_the_sdk_parses_structured_output(claude: anthropic.Anthropic) -> None:
    parsed = claude.messages.parse(model=MODEL, max_tokens=500, messages=QUESTION, output_format=Recipe)
    assert parsed.parsed_output is not None
    assert parsed.parsed_output.steps


def test_max_tokens_cut_text_thinking_and_arguments(claude: anthropic.Anthropic) -> None:
    text = ask(claude, max_tokens=5)
    assert (text.stop_reason, text.usage.output_tokens) == ("max_tokens", 5)
    call = ask(claude, tools=TOOLS, max_tokens=12)
    assert (call.stop_reason, call.usage.output_tokens) == ("max_tokens", 12)
    thought = ask(claude, model="claude-sonnet-5", max_tokens=3)
    assert (thought.stop_reason, thought.usage.output_tokens) == ("max_tokens", 3)
    assert [block.type for block in thought.content] == ["thinking"]


def test_a_stop_sequence_ends_the_answer_before_itself(claude: anthropic.Anthropic) -> None:
    extra = {"sandbox": {"text": "a b c"}}
    message = ask(claude, stop_sequences=["c", "b"], extra_body=extra)
    assert (text_of(message), message.stop_reason, message.stop_sequence) == ("a ", "stop_sequence", "b")
    assert ask(claude, stop_sequences=["x"], extra_body=extra).stop_reason == "end_turn"


def test_a_full_context_ends_the_answer(claude: anthropic.Anthropic) -> None:
    long = [{"role": "user", "content": "word " * 199_980}]
    message = ask(claude, messages=long, extra_body={"sandbox": {"tokens": 100}})
    assert message.stop_reason == "model_context_window_exceeded"
    assert message.usage.input_tokens + message.usage.output_tokens == 200_000
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        ask(claude, messages=[{"role": "user", "content": "word " * 200_001}])


def test_what_is_marked_is_written_to_the_cache_and_then_read(claude: anthropic.Anthropic) -> None:
    def usage(ttl: str, more: str = "") -> tuple[int | None, int, int]:
        system = [
            {"type": "text", "text": "Answer with care. " * 400, "cache_control": {"type": "ephemeral", "ttl": ttl}},
            {"type": "text", "text": f"Today is {ttl}.{more}"},
        ]
        found = ask(claude, system=system, tools=[{**TOOLS[0], "description": f"Forecast {ttl}"}]).usage
        assert found.cache_creation
        total = found.input_tokens + (found.cache_read_input_tokens or 0) + (found.cache_creation_input_tokens or 0)
        assert total > 1_600
        split = found.cache_creation
        return found.cache_read_input_tokens, split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens

    read, five, hour = usage("5m")
    assert (read, hour) == (0, 0)
    assert five > 1_600
    assert usage("5m", more=" It rains.") == (five, 0, 0)
    read, five, hour = usage("1h")
    assert (read, five) == (0, 0)
    assert hour > 1_600


def test_a_short_prompt_is_not_cached(claude: anthropic.Anthropic) -> None:
    usage = ask(claude, cache_control={"type": "ephemeral"}).usage
    assert (usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (0, 0)


def test_counting_tokens_agrees_with_the_bill_and_is_not_on_it(
    claude: anthropic.Anthropic, sandbox: SandboxProcess
) -> None:
    message = ask(claude, system="Be brief.", tools=TOOLS)
    counted = claude.messages.count_tokens(model=MODEL, messages=QUESTION, system="Be brief.", tools=TOOLS)
    assert counted.input_tokens == message.usage.input_tokens
    (line,) = sandbox.bill()
    assert (line["vendor"], line["operation"], line["prompt_tokens"]) == ("anthropic", "messages", counted.input_tokens)
    assert line["completion_tokens"] == message.usage.output_tokens


def test_it_refuses_and_filters_when_told_to(claude: anthropic.Anthropic) -> None:
    refused = ask(claude, extra_body={"sandbox": {"outcome": "refusal"}})
    assert (refused.stop_reason, refused.content, refused.usage.output_tokens) == ("refusal", [], 0)
    assert refused.stop_details
    assert refused.stop_details.category == "cyber"
    filtered = ask(claude, extra_body={"sandbox": {"outcome": "content_filter"}})
    assert filtered.stop_reason == "refusal"
    assert text_of(filtered)
    assert filtered.stop_details
    assert filtered.stop_details.category is None
    with claude.messages.stream(
        model=MODEL, max_tokens=9, messages=QUESTION, extra_body={"sandbox": {"outcome": "refusal"}}
    ) as stream:
        assert stream.get_final_message().stop_reason == "refusal"


def test_images_and_documents_count(claude: anthropic.Anthropic) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    paper = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "One two three."}}
    words = {"type": "text", "text": "What is the weather in Lisbon and in Porto?"}
    usual = ask(claude).usage.input_tokens
    assert ask(claude, messages=[{"role": "user", "content": [picture, words]}]).usage.input_tokens == usual + 1_300
    assert ask(claude, messages=[{"role": "user", "content": [paper, words]}]).usage.input_tokens > usual + 10


def test_the_models_are_listed(claude: anthropic.Anthropic) -> None:
    names = [model.id for model in claude.models.list(limit=1000)]
    assert "claude-haiku-4-5-20251001" in names
    assert len(names) == len(set(names))
    assert claude.models.retrieve("claude-haiku-4-5").display_name == "Claude Haiku 4.5"


def test_the_asynchronous_sdk_streams_many_at_once(sandbox: SandboxProcess) -> None:
    async def one(client: anthropic.AsyncAnthropic, number: int) -> str:
        messages: Any = [{"role": "user", "content": f"Question {number}"}]
        async with client.messages.stream(
            model=MODEL, max_tokens=99, messages=messages, extra_body={"sandbox": {"pace_ms": 5}}
        ) as stream:
            return "".join([text async for text in stream.text_stream])

    async def everything() -> list[str]:
        async with anthropic.AsyncAnthropic(api_key="any", base_url=sandbox.anthropic_url, max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(20)))

    answers = asyncio.run(everything())
    assert len(answers) == 20
    assert all("Question" in answer for answer in answers)
