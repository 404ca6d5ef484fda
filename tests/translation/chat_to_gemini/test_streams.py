"""Any stream that Gemini may send: it never fails, cuts do not matter, and it says what the whole answer says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.translation.chat_caller import hear_stream, hear_whole, translate_stream
from tests.translation.chat_to_gemini.gemini import answer, event, open_reply, stream, whole
from tikhub_app.upstream.sse import EventSplitter

WORDS = st.text(max_size=12)
SIGNED = {"thoughtSignature": st.sampled_from(["c2ln", ""])}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
CALLS = st.fixed_dictionaries(
    {"name": st.sampled_from(["f", "g"]), "args": st.dictionaries(WORDS, JSON, max_size=3)},
    optional={"id": st.sampled_from(["a", "b"])},
)
PARTS = st.one_of(
    st.fixed_dictionaries({"text": WORDS}, optional=SIGNED),
    st.fixed_dictionaries({"text": WORDS, "thought": st.just(True)}),
    st.fixed_dictionaries({"functionCall": CALLS}, optional=SIGNED),
    st.fixed_dictionaries({"executableCode": st.dictionaries(WORDS, JSON, max_size=1)}, optional=SIGNED),
    st.just({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
)
COUNTS = st.integers(0, 10**6)
USAGES = st.dictionaries(
    st.sampled_from(
        ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount", "totalTokenCount"]
    ),
    COUNTS,
    min_size=1,
)
STOPS = st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER", "NEW"])
GROUNDING = st.fixed_dictionaries(
    {
        "groundingChunks": st.just([{"web": {"uri": "https://a/b", "title": "A"}}]),
        "groundingSupports": st.lists(
            st.fixed_dictionaries(
                {
                    "segment": st.fixed_dictionaries({"startIndex": COUNTS, "endIndex": COUNTS, "text": WORDS}),
                    "groundingChunkIndices": st.lists(st.integers(-1, 2), max_size=2),
                }
            ),
            max_size=2,
        ),
    }
)
QUICKLY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A stream, and the whole answer that says the same."""
    parts = draw(st.lists(PARTS, max_size=5))
    fields: dict[str, Any] = {"finish": draw(STOPS), "usage": draw(USAGES)}
    if draw(st.booleans()):
        fields["groundingMetadata"] = draw(GROUNDING)
    return stream(*parts, **fields), whole(*parts, **fields)


def _untimed(body: bytes) -> list[Any]:
    events = [data.removeprefix(b"data: ") for data in body.split(b"\n\n")[:-2]]
    return [{**json.loads(data), "created": 0} for data in events]


@given(answers())
@QUICKLY
def test_a_stream_says_what_the_whole_answer_says(found: tuple[bytes, bytes]) -> None:
    streamed, at_once = open_reply(stream_options={"include_usage": True}), open_reply()
    heard, told = hear_stream(translate_stream(streamed, found[0])), hear_whole(at_once.whole(found[1]))
    assert heard == told
    assert streamed.kept == at_once.kept


@given(answers(), st.data())
@QUICKLY
def test_any_split_of_the_bytes_gives_the_same_events(found: tuple[bytes, bytes], data: st.DataObject) -> None:
    body = found[0].replace(b"\r\n", data.draw(st.sampled_from([b"\n", b"\r\n"])))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=30)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert _untimed(translate_stream(open_reply(), body, pieces)) == _untimed(translate_stream(open_reply(), body))


ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["content", "parts", "text", "thought", "functionCall", "args", "name", "id", "inlineData", "data", "index",
             "finishReason", "groundingMetadata", "groundingChunks", "groundingSupports", "segment", "web", "uri",
             "startIndex", "groundingChunkIndices", "citationMetadata", "citationSources", "logprobsResult",
             "chosenCandidates", "topCandidates", "token", "blockReason", "promptTokenCount", "thoughtSignature"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip
CHUNKS = st.dictionaries(
    st.sampled_from(["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "new"]), ODD
)
CANDIDATES = st.dictionaries(
    st.sampled_from(["content", "groundingMetadata", "citationMetadata", "logprobsResult", "finishReason"]), ODD
)


@given(st.lists(CHUNKS | CANDIDATES.map(lambda odd: {"candidates": [odd]}), max_size=6))
@QUICKLY
def test_chunks_of_another_form_than_documented_never_break_a_call(chunks: list[dict[str, Any]]) -> None:
    translator = open_reply(stream_options={"include_usage": True})
    body = translator.event(event(answer(finish=None)))
    for chunk in chunks:
        body += translator.event(event(chunk))
    body += translator.end()
    assert body.endswith(b"data: [DONE]\n\n")
    for chunk in chunks:
        if chunk.keys() & {"candidates", "promptFeedback", "usageMetadata", "responseId"}:
            open_reply().whole(json.dumps(chunk).encode())


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
