"""Any stream that Claude may send: it never fails, cuts do not matter, and it says what the whole answer says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.translation.chat_caller import hear_stream, hear_whole, translate_stream
from tests.translation.chat_to_messages.claude import block_events, event, finish, message, open_reply, start
from tikhub_app.upstream.sse import EventSplitter

WORDS = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
CITATIONS = st.fixed_dictionaries(
    {"type": st.just("web_search_result_location"), "url": st.just("https://a/b"), "title": WORDS}
)
BLOCKS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": WORDS}, optional={"citations": st.lists(CITATIONS, max_size=2)}
    ),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": WORDS, "signature": WORDS}),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": WORDS}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tool_use", "server_tool_use"]),
            "id": st.from_regex(r"[a-z]{1,6}", fullmatch=True),
            "name": st.sampled_from(["f", "g"]),
            "input": st.dictionaries(WORDS, JSON, max_size=3),
        }
    ),
    st.fixed_dictionaries({"type": st.just("web_search_tool_result"), "content": st.lists(JSON, max_size=1)}),
)
COUNTS = st.integers(0, 10**6)
USAGES = st.fixed_dictionaries(
    {"output_tokens": COUNTS},
    optional={
        "input_tokens": COUNTS | st.none(),
        "cache_read_input_tokens": COUNTS | st.none(),
        "cache_creation_input_tokens": COUNTS | st.none(),
        "output_tokens_details": st.fixed_dictionaries({"thinking_tokens": COUNTS}) | st.none(),
    },
)
STOPS = st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal", "pause_turn", "stop_sequence"])
DETAILS = st.none() | st.fixed_dictionaries({"type": st.just("refusal"), "explanation": st.none() | WORDS})
QUICKLY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A stream, and the whole answer that says the same."""
    blocks = draw(st.lists(BLOCKS, max_size=5))
    stop_reason, details, usage = draw(STOPS), draw(DETAILS), draw(USAGES)
    fragment = draw(st.integers(1, 5))
    body = start(usage | {"output_tokens": 1}) + event("ping")
    for index, block in enumerate(blocks):
        body += block_events(index, block, fragment)
        if draw(st.booleans()):
            body += event("ping")
    body += finish(stop_reason, usage, details)
    return body, message(*blocks, stop_reason=stop_reason, stop_details=details, usage=usage)


def _untimed(body: bytes) -> list[Any]:
    events = [data.removeprefix(b"data: ") for data in body.split(b"\n\n")[:-2]]
    return [{**json.loads(data), "created": 0} for data in events]


@given(answers())
@QUICKLY
def test_a_stream_says_what_the_whole_answer_says(answer: tuple[bytes, bytes]) -> None:
    streamed, whole = open_reply(stream_options={"include_usage": True}), open_reply()
    heard, told = hear_stream(translate_stream(streamed, answer[0])), hear_whole(whole.whole(answer[1]))
    assert heard == told
    assert streamed.kept == whole.kept


@given(answers(), st.data())
@QUICKLY
def test_any_split_of_the_bytes_gives_the_same_events(answer: tuple[bytes, bytes], data: st.DataObject) -> None:
    body = answer[0]
    line_end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    body = body.replace(b"\n", line_end)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=30)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert _untimed(translate_stream(open_reply(), body, pieces)) == _untimed(translate_stream(open_reply(), body))


ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "index", "delta", "content_block", "message", "usage", "text", "input", "id", "model", "name",
             "stop_reason", "stop_details", "citations", "citation", "partial_json", "iterations", "signature", "to"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip
KINDS = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "ping",
        "new",
    ]
)


@given(st.lists(st.tuples(KINDS, st.dictionaries(st.sampled_from(
    ["index", "delta", "content_block", "message", "usage"]), ODD)), max_size=8))  # fmt: skip
@QUICKLY
def test_events_of_another_form_than_documented_never_break_a_call(events: list[tuple[str, dict[str, Any]]]) -> None:
    translator = open_reply(stream_options={"include_usage": True})
    body = b""
    for kind, fields in events:
        body += translator.event(event(kind, **fields))
    hear_stream(body + translator.end())


@given(st.binary(max_size=200))
@QUICKLY
def test_bytes_that_are_no_stream_are_refused_and_nothing_worse(body: bytes) -> None:
    splitter, translator = EventSplitter(1000), open_reply()
    for piece in [*splitter.feed(body), splitter.rest()]:
        try:
            translator.event(piece)
        except ValueError:
            return
    translator.end()
