"""Every fault of the table, seen from a raw socket, and what it does to the bill."""

import time
from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.sandbox.raw_http import RawReply, open_call, post
from tikhub_app.sandbox import wire
from tikhub_app.sandbox.fault_plan import CallFacts, FaultPlan
from tikhub_app.sandbox.faults import DRAWN, FAULTS
from tikhub_app.sandbox.process import SandboxFailed, SandboxProcess

Check = Callable[[RawReply], bool]


def _is_json(content: bytes) -> bool:
    try:
        wire.decode(content)
    except wire.MalformedJson:
        return False
    return True


def _data(reply: RawReply) -> list[bytes]:
    return [event.removeprefix(b"data: ") for event in reply.events]


# What a plain and what a streamed call look like, and whether the vendor bills them.
SEEN: dict[str, tuple[Check, Check, bool]] = {
    "reset_before_headers": (
        lambda reply: reply.ended == "reset" and reply.status is None,
        lambda reply: reply.ended == "reset" and reply.status is None,
        False,
    ),
    "reset_mid_stream": (
        lambda reply: reply.ended == "reset" and not reply.complete and len(reply.body) > 100,
        lambda reply: reply.ended == "reset" and not reply.complete and len(reply.events) == 3,
        True,
    ),
    "end_mid_stream": (
        lambda reply: reply.ended == "eof" and reply.complete and not _is_json(reply.body),
        lambda reply: reply.ended == "eof" and reply.complete and len(reply.events) == 3,
        True,
    ),
    "truncated_json": (
        lambda reply: reply.complete and reply.body.startswith(b"{") and not _is_json(reply.body),
        lambda reply: reply.complete and [*map(_is_json, _data(reply))] == [True, True, True, False],
        True,
    ),
    "malformed_json": (
        lambda reply: reply.status == 200 and reply.complete and not _is_json(reply.body),
        lambda reply: not _is_json(_data(reply)[3]) and _is_json(_data(reply)[4]) and _data(reply)[-1] == b"[DONE]",
        True,
    ),
    "malformed_sse_event": (
        lambda reply: b"\xff" in reply.body,
        lambda reply: b"\xff" in reply.events[3] and reply.events[-1] == b"data: [DONE]",
        True,
    ),
    "wrong_content_type": (
        lambda reply: reply.status == 200 and reply.headers["content-type"].startswith("text/html"),
        lambda reply: reply.status == 200 and b"<html>" in reply.body,
        True,
    ),
    "empty_body": (
        lambda reply: reply.status == 200 and reply.complete and reply.body == b"",
        lambda reply: reply.status == 200 and reply.complete and reply.body == b"",
        True,
    ),
    "error_event_mid_stream": (
        lambda reply: reply.status == 500 and wire.decode(reply.body)["error"]["type"] == "server_error",
        lambda reply: reply.complete and wire.decode(_data(reply)[-1])["error"]["type"] == "server_error",
        True,
    ),
    "huge_event": (
        lambda reply: len(reply.body) > 1_000_000 and _is_json(reply.body),
        lambda reply: max(map(len, reply.events)) > 1_000_000 and reply.events[-1] == b"data: [DONE]",
        True,
    ),
    "no_usage": (
        lambda reply: _is_json(reply.body) and b'"usage"' not in reply.body,
        lambda reply: reply.events[-1] == b"data: [DONE]" and b'"usage"' not in reply.body,
        True,
    ),
}


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_is_seen_on_the_wire(
    sandbox: SandboxProcess, request_body: dict[str, Any], name: str, stream: bool
) -> None:
    plain, streamed, billed = SEEN[name]
    body = request_body | {"sandbox": {"fault": name}}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    reply = post(f"{sandbox.openai_url}/chat/completions", body, {"X-Client-Request-Id": "attempt-1"})
    assert (streamed if stream else plain)(reply)
    lines = sandbox.bill("attempt-1")
    assert [(line["state"], line["fault"]) for line in lines] == ([("settled", name)] if billed else [])


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.status])
def test_a_status_is_refused_in_openais_form_and_never_billed(
    sandbox: SandboxProcess, client: openai.OpenAI, name: str
) -> None:
    status = FAULTS[name].status
    sandbox.fault(name, retry_after=2)
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}])
    assert caught.value.status_code == status
    assert caught.value.response.headers.get("retry-after") == ("2" if status in (429, 503) else None)
    if status == 502:
        assert caught.value.response.headers["content-type"] == "text/html"
    else:
        assert isinstance(caught.value.body, dict)
        assert set(caught.value.body) == {"message", "type", "param", "code"}
    assert sandbox.bill() == []
    assert sandbox.calls()["by_fault"] == {name: 1}


def test_every_row_of_the_table_is_tested() -> None:
    timed = {"hang", "stall_mid_stream", "slow_first_byte"}
    assert timed | set(SEEN) | {name for name, fault in FAULTS.items() if fault.status} == set(FAULTS)


@pytest.mark.parametrize(("name", "status"), [("hang", None), ("stall_mid_stream", 200)])
def test_silence_lasts_until_its_bound_and_ends_in_a_reset(
    sandbox: SandboxProcess, request_body: dict[str, Any], name: str, status: int | None
) -> None:
    body = request_body | {"stream": True, "sandbox": {"fault": {"name": name, "seconds": 0.3}}}
    began = time.monotonic()
    reply = post(f"{sandbox.openai_url}/chat/completions", body)
    assert time.monotonic() - began >= 0.3
    assert (reply.ended, reply.status) == ("reset", status)
    assert [line["outcome"] for line in sandbox.bill()] == ["reset"]


def test_a_hang_ends_with_the_caller(sandbox: SandboxProcess, request_body: dict[str, Any]) -> None:
    body = request_body | {"sandbox": {"fault": "hang"}}
    with open_call(f"{sandbox.openai_url}/chat/completions", body):
        while not sandbox.bill():
            time.sleep(0.01)
        assert sandbox.bill()[0]["state"] == "accepted"
    _wait_for(lambda: sandbox.bill()[0]["state"] == "settled")
    assert sandbox.bill()[0]["outcome"] == "client_gone"
    assert sandbox.calls()["open"] == 0


def test_a_slow_first_byte_is_late_and_whole(sandbox: SandboxProcess, request_body: dict[str, Any]) -> None:
    body = request_body | {"sandbox": {"fault": "slow_first_byte;seconds=0.3"}}
    began = time.monotonic()
    reply = post(f"{sandbox.openai_url}/chat/completions", body)
    assert time.monotonic() - began >= 0.3
    assert reply.complete
    assert _is_json(reply.body)


def test_a_reset_before_the_headers_is_billed_where_the_work_was_begun(
    sandbox: SandboxProcess, request_body: dict[str, Any]
) -> None:
    headers = {"X-Sandbox-Fault": "reset_before_headers;accepted"}
    reply = post(f"{sandbox.openai_url}/chat/completions", request_body, headers)
    assert (reply.ended, reply.status) == ("reset", None)
    assert [line["outcome"] for line in sandbox.bill()] == ["reset"]


def test_a_stream_that_breaks_is_billed_for_what_was_generated(
    sandbox: SandboxProcess, request_body: dict[str, Any]
) -> None:
    body = request_body | {"stream": True, "sandbox": {"fault": "reset_mid_stream;after_chunks=5"}}
    reply = post(f"{sandbox.openai_url}/chat/completions", body)
    assert len(reply.events) == 5  # the role, and four tokens
    assert [line["completion_tokens"] for line in sandbox.bill()] == [4]


@pytest.mark.parametrize("name", ["reset_mid_stream", "end_mid_stream", "truncated_json"])
def test_a_break_beyond_the_end_still_keeps_the_terminator_back(
    sandbox: SandboxProcess, request_body: dict[str, Any], name: str
) -> None:
    body = request_body | {"stream": True, "max_tokens": 1, "sandbox": {"fault": f"{name};after_chunks=50"}}
    reply = post(f"{sandbox.openai_url}/chat/completions", body)
    assert len(reply.events) >= 3
    assert b"[DONE]" not in reply.body


def test_armed_faults_meet_the_next_matching_calls(sandbox: SandboxProcess, request_body: dict[str, Any]) -> None:
    url = f"{sandbox.openai_url}/chat/completions"
    sandbox.fault("status_500", count=2, match={"model": "gpt-4o-mini*", "stream": False})
    other = request_body | {"model": "gpt-4.1"}
    bodies = [other, request_body, request_body | {"stream": True}, request_body, request_body]
    assert [post(url, body).status for body in bodies] == [200, 500, 200, 500, 200]


def test_wrong_orders_are_refused_by_name(sandbox: SandboxProcess) -> None:
    with pytest.raises(SandboxFailed, match="unknown fault 'status_999'"):
        sandbox.fault("status_999")
    with pytest.raises(SandboxFailed, match="unknown parameter 'speed'"):
        sandbox.fault("hang", speed=1)
    with pytest.raises(SandboxFailed, match="'match' is an object of"):
        sandbox.fault("hang", match={"colour": "red"})


def test_the_draw_follows_the_seed(request_body: dict[str, Any]) -> None:
    names = ("status_500", "status_429", "status_503")

    def expected(seed: int) -> list[int | None]:
        plan = FaultPlan(seed, 0.5, names)
        facts = CallFacts("openai", "chat", "gpt-4o-mini", stream=False, client_request_id=None)
        choices = [plan.pick(facts, None) for _ in range(16)]
        return [choice.fault.status if choice else 200 for choice in choices]

    with SandboxProcess("--faults", "0.5", "--fault-set", ",".join(names), "--seed", "7") as sandbox:
        statuses = [post(f"{sandbox.openai_url}/chat/completions", request_body).status for _ in range(16)]
    assert statuses == expected(7)
    assert statuses != expected(8)
    assert 200 in statuses
    assert len(set(statuses)) > 2


def test_a_draw_without_names_leaves_out_what_takes_long_or_blames_the_account() -> None:
    assert {"reset_mid_stream", "status_429", "malformed_json"} <= set(DRAWN)
    assert not {"hang", "slow_first_byte", "status_401", "status_400"} & set(DRAWN)


def _wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
