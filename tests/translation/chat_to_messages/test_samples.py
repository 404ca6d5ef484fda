"""One conversation from end to end, as files that can be read side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.translation.chat_caller import hear_stream, translate_stream
from tests.translation.chat_to_messages.claude import PAIR
from tikhub_app.translation.base import TranslationOptions

SAMPLES = Path(__file__).parent / "samples"


def _json(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


def test_a_conversation_with_an_image_thinking_and_two_calls() -> None:
    chat = _json("conversation.chat.json")
    assert PAIR.needed_state(chat) == ["toolu_01", "toolu_02"]
    translated = PAIR.request(chat, model="claude-haiku-4-5", kept=_json("kept.json"), options=TranslationOptions())
    assert translated.body == _json("conversation.messages.json")
    assert translated.dropped == []


def test_its_answer_event_by_event() -> None:
    translator = PAIR.open_reply(_json("conversation.chat.json"), request_id="req-1")
    body = translate_stream(translator, (SAMPLES / "answer.messages.sse").read_bytes())
    hear_stream(body)
    *events, last = [event.removeprefix(b"data: ") for event in body.split(b"\n\n")[:-1]]
    assert last == b"[DONE]"
    assert [{**json.loads(event), "created": 0} for event in events] == _json("answer.chat.json")
    assert translator.kept.keys() == {"toolu_03", "toolu_04"}
