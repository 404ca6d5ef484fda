"""The sandbox's Gemini, through Google's own SDK and by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from google import genai
from google.genai import types

from tests.sandbox.raw_http import RawReply, post
from tikhub_app.sandbox.process import SandboxProcess
from tikhub_app.sandbox.tokens import count_tokens

QUESTION = "What is the weather in Lisbon and in Porto?"
CONTENTS: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": QUESTION}]}]
WEATHER: dict[str, Any] = {
    "type": "OBJECT",
    "properties": {"city": {"type": "STRING"}, "days": {"type": "INTEGER", "minimum": 1, "maximum": 7}},
    "required": ["city", "days"],
}
TOOLS: list[dict[str, Any]] = [{"functionDeclarations": [{"name": "get_weather", "parameters": WEATHER}]}]


@pytest.fixture
def gemini(sandbox: SandboxProcess) -> Iterator[genai.Client]:
    with genai.Client(api_key="any", http_options=types.HttpOptions(base_url=sandbox.gemini_url)) as client:
        yield client


def call(sandbox: SandboxProcess, verb: str, body: dict[str, Any], model: str = "gemini-2.5-flash") -> RawReply:
    return post(f"{sandbox.gemini_url}/v1beta/models/{model}:{verb}", {"contents": CONTENTS} | body)


def plain(sandbox: SandboxProcess, body: dict[str, Any], model: str = "gemini-2.5-flash") -> dict[str, Any]:
    reply = call(sandbox, "generateContent", body, model)
    assert reply.status == 200, reply.body
    document: dict[str, Any] = json.loads(reply.body)
    return document


def streamed(sandbox: SandboxProcess, body: dict[str, Any], model: str = "gemini-2.5-flash") -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = json.loads(call(sandbox, "streamGenerateContent", body, model).body)
    return documents


def parts(*documents: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for document in documents for part in document["candidates"][0]["content"]["parts"]]


def test_it_answers_in_a_few_words_about_the_prompt(gemini: genai.Client, sandbox: SandboxProcess) -> None:
    answer = gemini.models.generate_content(model="gemini-2.5-flash", contents=QUESTION)
    assert "Lisbon" in (answer.text or "")
    assert answer.model_version == "gemini-2.5-flash"
    usage = answer.usage_metadata
    assert usage is not None
    assert usage.candidates_token_count == count_tokens(answer.text or "")
    assert usage.thoughts_token_count is not None
    assert usage.prompt_token_count is not None
    assert usage.total_token_count == (
        usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
    )
    [line] = sandbox.bill()
    assert (line["prompt_tokens"], line["reasoning_tokens"]) == (usage.prompt_token_count, usage.thoughts_token_count)
    assert line["completion_tokens"] == usage.candidates_token_count + usage.thoughts_token_count
    assert line["response_id"] == answer.response_id


def test_events_and_array_have_googles_bytes_and_say_what_the_plain_answer_says(sandbox: SandboxProcess) -> None:
    body = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    whole = plain(sandbox, body)
    array = call(sandbox, "streamGenerateContent", body)
    events = post(
        f"{sandbox.gemini_url}/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        {"contents": CONTENTS} | body,
    )
    assert array.headers["content-type"] == "application/json; charset=UTF-8"
    assert array.body.startswith(b'[{\n  "candidates": [\n')
    assert b"\n}\n,\r\n{\n" in array.body
    assert array.body.endswith(b"\n}\n]")
    assert events.headers["content-type"] == "text/event-stream"
    assert events.body.endswith(b"}\r\n\r\n")
    assert events.body.startswith(b'data: {"candidates": [{"content": {"parts": [{"text": "**Considering')
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events.body.split(b"\r\n\r\n") if event]
    assert chunks == json.loads(array.body)

    thought, *said = parts(*chunks)
    assert thought["thought"]
    assert parts(whole) == [thought, {"text": "".join(part["text"] for part in said)}]
    assert {chunk["responseId"] for chunk in chunks} == {whole["responseId"]}
    assert chunks[-1]["usageMetadata"] == whole["usageMetadata"]
    assert "candidatesTokenCount" not in chunks[0]["usageMetadata"]
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks[-2:]] == [None, "STOP"]


def test_it_calls_functions_with_valid_arguments_alike_plain_and_streamed(sandbox: SandboxProcess) -> None:
    whole = plain(sandbox, {"tools": TOOLS})
    [part] = parts(whole)
    assert part["functionCall"]["name"] == "get_weather"
    schema = {**WEATHER, "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    assert jsonschema_rs.is_valid(schema, part["functionCall"]["args"])
    assert whole["candidates"][0]["finishReason"] == "STOP"
    assert [found for found in parts(*streamed(sandbox, {"tools": TOOLS})) if "functionCall" in found] == [part]


def test_modes_of_function_calling(sandbox: SandboxProcess) -> None:
    def names(**calling: Any) -> list[str]:
        both = [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}]
        body = {"tools": both, "toolConfig": {"functionCallingConfig": calling}}
        return [part["functionCall"]["name"] for part in parts(plain(sandbox, body)) if "functionCall" in part]

    assert names(mode="AUTO") == ["a", "b"]
    assert names(mode="NONE") == []
    assert names(mode="ANY", allowedFunctionNames=["b"]) == ["b"]


def conversation(part: dict[str, Any], result: Any = "sunny") -> dict[str, Any]:
    answered = {"functionResponse": {"name": part["functionCall"]["name"], "response": {"output": result}}}
    turns = [{"role": "model", "parts": [part]}, {"role": "user", "parts": [answered]}]
    return {"tools": TOOLS, "contents": [*CONTENTS, *turns]}


def test_gemini_3_wants_the_signature_of_a_call_back(sandbox: SandboxProcess) -> None:
    model = "gemini-3-flash-preview"
    [part] = parts(plain(sandbox, {"tools": TOOLS, "sandbox": {"tool_calls": 1}}, model))
    assert len(part["functionCall"]["id"]) == 8
    assert "sunny" in parts(plain(sandbox, conversation(part), model))[0]["text"]
    # The same bytes in the other alphabet of base64, as Google's SDK writes them.
    same = base64.urlsafe_b64encode(base64.b64decode(part["thoughtSignature"])).decode()
    assert plain(sandbox, conversation({**part, "thoughtSignature": same}), model)
    assert plain(sandbox, conversation({**part, "thoughtSignature": "skip_thought_signature_validator"}), model)

    lost = {name: value for name, value in part.items() if name != "thoughtSignature"}
    altered = {**part, "functionCall": {**part["functionCall"], "args": {"city": "Faro", "days": 1}}}
    for spoiled, words in ((lost, "missing a thought_signature"), (altered, "Corrupted thought signature")):
        reply = call(sandbox, "generateContent", conversation(spoiled), model)
        assert reply.status == 400
        assert words in json.loads(reply.body)["error"]["message"]
    # Calls of turns before the last of the user's need none.
    later = conversation(lost)
    later["contents"] += [{"role": "model", "parts": [{"text": "Sunny."}]}, *CONTENTS]
    assert plain(sandbox, later, model)
    assert plain(sandbox, conversation(lost), "gemini-2.5-flash")


def test_googles_sdk_carries_a_chat_with_functions_through(gemini: genai.Client) -> None:
    def get_weather(city: str, days: int) -> str:
        """The forecast for a city."""
        return f"{days} days of rain in {city}"

    chat = gemini.chats.create(
        model="gemini-3-flash-preview", config=types.GenerateContentConfig(tools=[get_weather], seed=3)
    )
    assert "days of rain" in (chat.send_message(QUESTION).text or "")
    assert "days of rain" in (chat.send_message("And in Faro?").text or "")


def test_a_schema_is_followed(gemini: genai.Client) -> None:
    config = types.GenerateContentConfig(
        response_mime_type="application/json",
        response_schema={"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
    )
    answer = gemini.models.generate_content(model="gemini-2.5-pro", contents=QUESTION, config=config)
    assert json.loads(answer.text or "")["city"] in ("Lisbon", "Porto")
    choice = types.GenerateContentConfig(
        response_mime_type="text/x.enum", response_schema={"type": "STRING", "enum": ["rain", "sun"]}
    )
    assert gemini.models.generate_content(model="gemini-2.5-pro", contents=QUESTION, config=choice).text in (
        "rain",
        "sun",
    )


def test_thinking_follows_the_model_and_the_budget(sandbox: SandboxProcess) -> None:
    def thoughts(model: str, **config: Any) -> int | None:
        body = {"generationConfig": {"thinkingConfig": config}} if config else {}
        found: int | None = plain(sandbox, body, model)["usageMetadata"].get("thoughtsTokenCount")
        return found

    assert thoughts("gemini-2.0-flash") is None
    assert thoughts("gemini-2.5-flash", thinkingBudget=0) is None
    assert thoughts("gemini-2.5-flash", thinkingBudget=20) == 20
    assert thoughts("gemini-2.5-flash-lite") is None
    assert (thoughts("gemini-3-pro-preview", thinkingLevel="LOW") or 0) <= 80


def test_a_thinking_model_that_runs_out_of_tokens_says_nothing(sandbox: SandboxProcess) -> None:
    answer = plain(sandbox, {"generationConfig": {"maxOutputTokens": 5}})
    assert answer["candidates"] == [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}]
    assert answer["usageMetadata"]["thoughtsTokenCount"] == 5


def test_several_candidates_take_turns(sandbox: SandboxProcess) -> None:
    body = {"generationConfig": {"candidateCount": 2}}
    documents = streamed(sandbox, body)
    assert [document["candidates"][0]["index"] for document in documents[:4]] == [0, 1, 0, 1]
    said = ["", ""]
    for document in documents:
        [candidate] = document["candidates"]
        said[candidate["index"]] += "".join(part["text"] for part in candidate["content"]["parts"])
    assert said == [each["content"]["parts"][0]["text"] for each in plain(sandbox, body)["candidates"]]
    assert said[0] != said[1]


def test_media_are_counted_by_kind_and_search_beside_the_prompt(sandbox: SandboxProcess) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    sound = {"inline_data": {"mime_type": "audio/wav", "data": "UklGRg=="}}
    contents = [{"parts": [{"text": "What is this?"}, picture, sound]}]
    usage = plain(sandbox, {"contents": contents})["usageMetadata"]
    assert [detail["modality"] for detail in usage["promptTokensDetails"]] == ["TEXT", "IMAGE", "AUDIO"]
    assert usage["promptTokenCount"] == sum(detail["tokenCount"] for detail in usage["promptTokensDetails"])
    searched = plain(sandbox, {"tools": [{"googleSearch": {}}]})
    assert searched["candidates"][0]["groundingMetadata"]["webSearchQueries"]
    usage = searched["usageMetadata"]
    assert usage["totalTokenCount"] == sum(
        usage[name]
        for name in ("promptTokenCount", "candidatesTokenCount", "toolUsePromptTokenCount", "thoughtsTokenCount")
    )
    assert sandbox.bill()[-1]["prompt_tokens"] == usage["promptTokenCount"] + usage["toolUsePromptTokenCount"]


def test_an_image_model_draws(sandbox: SandboxProcess) -> None:
    answer = plain(sandbox, {"generationConfig": {"responseModalities": ["IMAGE"]}}, "gemini-2.5-flash-image")
    [picture] = [part["inlineData"] for part in parts(answer) if "inlineData" in part]
    assert picture["mimeType"] == "image/png"
    assert base64.b64decode(picture["data"]).startswith(b"\x89PNG\r\n\x1a\n")
    assert answer["usageMetadata"]["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 1290}]


def test_a_long_beginning_is_cached(sandbox: SandboxProcess) -> None:
    long = {"systemInstruction": {"parts": [{"text": "Be brief. " * 800}]}}
    assert "cachedContentTokenCount" not in plain(sandbox, long)["usageMetadata"]
    usage = plain(sandbox, long | {"contents": [{"parts": [{"text": "Another one"}]}]})["usageMetadata"]
    assert 1024 < usage["cachedContentTokenCount"] <= usage["promptTokenCount"]
    assert usage["cacheTokensDetails"] == [{"modality": "TEXT", "tokenCount": usage["cachedContentTokenCount"]}]


def test_filters_stop_answers_and_prompts(sandbox: SandboxProcess) -> None:
    stopped = plain(sandbox, {"sandbox": {"outcome": "content_filter"}})["candidates"][0]
    assert stopped["finishReason"] == "SAFETY"
    assert [rating["category"] for rating in stopped["safetyRatings"] if rating.get("blocked")] == [
        "HARM_CATEGORY_DANGEROUS_CONTENT"
    ]
    blocked = plain(sandbox, {"sandbox": {"outcome": "refusal"}})
    assert "candidates" not in blocked
    assert blocked["promptFeedback"]["blockReason"] == "SAFETY"
    [document] = streamed(sandbox, {"sandbox": {"outcome": "refusal"}})
    assert document == blocked
    assert [line["completion_tokens"] for line in sandbox.bill()[1:]] == [0, 0]


def test_tokens_are_counted_for_nothing(gemini: genai.Client, sandbox: SandboxProcess) -> None:
    counted = gemini.models.count_tokens(model="gemini-2.5-flash", contents=QUESTION)
    assert sandbox.bill() == []
    usage = gemini.models.generate_content(model="gemini-2.5-flash", contents=QUESTION).usage_metadata
    assert usage is not None
    assert counted.total_tokens == usage.prompt_token_count
    nested = {"generateContentRequest": {"model": "models/gemini-2.5-flash", "contents": CONTENTS}}
    assert json.loads(call(sandbox, "countTokens", nested).body)["totalTokens"] == counted.total_tokens


def test_models_are_listed(gemini: genai.Client) -> None:
    names = [model.name for model in gemini.models.list()]
    assert "models/gemini-2.5-flash" in names
    assert gemini.models.get(model="gemini-2.5-pro").input_token_limit == 1_048_576


def test_both_spellings_and_equal_bodies_bring_equal_answers(sandbox: SandboxProcess) -> None:
    camel = {"generationConfig": {"maxOutputTokens": 500, "thinkingConfig": {"thinkingBudget": 30}}, "tools": TOOLS}
    snake = {
        "generation_config": {"max_output_tokens": 500, "thinking_config": {"thinking_budget": 30}},
        "tools": [{"function_declarations": TOOLS[0]["functionDeclarations"]}],
    }
    first = call(sandbox, "generateContent", camel).body
    assert call(sandbox, "generateContent", snake).body == first
    assert call(sandbox, "generateContent", camel | {"labels": {"a": "b"}}).body == first
    assert call(sandbox, "generateContent", camel | {"generationConfig": {"seed": 5}}).body != first
    with SandboxProcess() as another:
        assert call(another, "generateContent", camel).body == first


def test_controls_may_stand_behind_the_models_name(sandbox: SandboxProcess) -> None:
    reply = call(sandbox, "generateContent", {}, "gemini-2.5-flash+text=Hello")
    assert parts(json.loads(reply.body)) == [{"text": "Hello"}]
