"""Everything a provider does wrong, through a real server: what the caller gets, what the books say, what is billed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.gateway.server import ALIAS, SECRET, Call, GatewayServer, eventually
from tests.services import find_free_port
from tikhub_app.models import Upstream
from tikhub_app.sandbox.faults import FAULTS
from tikhub_app.sandbox.process import SandboxProcess

MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "Where does the Danube meet the sea?"}]
#: For faults that last until somebody loses patience. All others are given time, however slow the machine is.
HASTY = "hasty"
IMPATIENT: dict[str, Any] = {"first_byte_timeout_s": 0.8, "idle_timeout_s": 0.8}
INPUT_USD, OUTPUT_USD = Decimal("0.15"), Decimal("0.60")


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[tuple[SandboxProcess, SandboxProcess]]:
    with SandboxProcess() as one, SandboxProcess() as two:
        yield one, two


@pytest.fixture(scope="module")
def gateway(
    stopped_gateway: GatewayServer, sandboxes: tuple[SandboxProcess, SandboxProcess]
) -> Iterator[GatewayServer]:
    server, (one, two) = stopped_gateway, sandboxes
    server.add_price(
        provider="openai",
        model=MODEL,
        effective_from=date(2024, 7, 18),
        input_usd=INPUT_USD,
        cache_read_usd=INPUT_USD / 2,
        output_usd=OUTPUT_USD,
    )
    server.add_route(MODEL, server.add_upstream("one", one.openai_url))
    server.add_route(HASTY, server.add_upstream("hasty", one.openai_url, **IMPATIENT), upstream_model=MODEL)
    second = server.add_upstream("two", two.openai_url)
    # Each case has a first account of its own, because one that failed rests and would be tried last.
    for case in FALLBACKS:
        url = dead_url() if case == "refused_connection" else one.openai_url
        for stream in ("plain", "stream"):
            add_pair(server, f"{case}-{stream}", server.add_upstream(f"{case}-{stream}", url), second)
    for case in NO_FALLBACKS:
        limits = IMPATIENT if case == "hang" else {}
        add_pair(server, case, server.add_upstream(case, one.openai_url, **limits), second)
    for number in range(4):
        add_pair(server, "many", server.add_upstream(f"dead-{number}", dead_url()), None, priority=number)
    server.add_route("many", second, upstream_model=MODEL, priority=9)
    with server:
        yield server


def dead_url() -> str:
    return f"http://127.0.0.1:{find_free_port()}/v1"


def add_pair(server: GatewayServer, name: str, first: Upstream, second: Upstream | None, *, priority: int = 1) -> None:
    server.add_route(name, first, upstream_model=MODEL, priority=priority)
    if second is not None:
        server.add_route(name, second, upstream_model=MODEL, priority=2)


@dataclass
class Outcome:
    """What a caller with OpenAI's own library experienced."""

    error: openai.APIError | None
    headers: Any
    text: str
    request_id: str

    @property
    def status(self) -> int:
        return self.error.status_code if isinstance(self.error, openai.APIStatusError) else 200


def ask(gateway: GatewayServer, model: str, fault: str, *, stream: bool, retries: int = 0, **more: Any) -> Outcome:
    controls = {"sandbox": {"fault": fault, "pace_ms": 100 if stream else 0, "tokens": 8} if fault else {"tokens": 8}}
    with openai.OpenAI(api_key=SECRET, base_url=gateway.openai_url, max_retries=retries, timeout=30) as client:
        create = client.chat.completions.with_raw_response.create
        options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        try:
            raw = create(model=model, messages=MESSAGES, extra_body=controls | more, **options)  # type: ignore[arg-type]
        except openai.APIStatusError as error:
            return Outcome(error, error.response.headers, "", error.response.headers["x-request-id"])
        text, failed = "", None
        try:
            answer: Any = raw.parse()
            for chunk in answer if stream else [answer]:
                for choice in chunk.choices:
                    text += (choice.delta if stream else choice.message).content or ""
        except openai.APIError as error:
            failed = error
        return Outcome(failed, raw.headers, text, raw.headers["x-request-id"])


@dataclass(frozen=True)
class Expected:
    """``status`` 200 with a ``code`` means that the failure was told in an event of the stream."""

    status: int
    code: str | None = None
    error: type[openai.APIError] | None = None
    upstream_status: int | None = None
    billed: int = 0
    usage: str = "none"
    retry_after: str | None = None
    should_retry: str | None = None


def broken(code: str, *, status: int = 502, **fields: Any) -> Expected:
    """Sent, and then no proper answer: the provider may charge for it, so the call is booked as an estimate."""
    given: dict[str, Any] = {
        "error": openai.InternalServerError,
        "usage": "estimated",
        "should_retry": "true",
        "billed": 1,
    }
    return Expected(status, code, **given | fields)


def cut(code: str) -> Expected:
    """Broken off in the middle of a stream."""
    return Expected(200, code, openai.APIError, 200, 1, "estimated")


def passed(status: int, error: type[openai.APIError], **fields: Any) -> Expected:
    """Refused by the provider, before any work; passed on."""
    code = {429: "upstream_rate_limited"}.get(status, "upstream_error" if status >= 500 else "upstream_refused")
    return Expected(status, code, error, status, **fields)


INVALID, TIMEOUT = "upstream_invalid_response", "upstream_timeout"
FINE = Expected(200, upstream_status=200, billed=1, usage="provider")


def refused_account(status: int) -> Expected:
    """The operator's to mend, so the caller is told neither the status nor to try again."""
    error = openai.InternalServerError
    return Expected(502, "upstream_auth_error", error, upstream_status=status, should_retry="false")


GARBAGE = broken(INVALID, upstream_status=200)

#: Fault -> what a plain call and a streamed one come to.
TABLE: dict[str, tuple[Expected, Expected]] = {
    "status_400": (passed(400, openai.BadRequestError),) * 2,
    "status_401": (refused_account(401),) * 2,
    "status_403": (refused_account(403),) * 2,
    "status_404": (passed(404, openai.NotFoundError),) * 2,
    "status_408": (passed(408, openai.APIStatusError),) * 2,
    "status_409": (passed(409, openai.ConflictError),) * 2,
    "status_422": (passed(422, openai.UnprocessableEntityError),) * 2,
    "status_429": (passed(429, openai.RateLimitError, retry_after="1"),) * 2,
    "status_500": (passed(500, openai.InternalServerError),) * 2,
    "status_502": (passed(502, openai.InternalServerError),) * 2,
    "status_503": (passed(503, openai.InternalServerError, retry_after="1"),) * 2,
    "status_529": (passed(529, openai.InternalServerError),) * 2,
    "slow_first_byte;seconds=0.3": (FINE, FINE),
    "reset_before_headers": (broken(INVALID, billed=0),) * 2,
    "reset_before_headers;accepted": (broken(INVALID),) * 2,
    "reset_mid_stream": (GARBAGE, cut(INVALID)),
    "end_mid_stream": (GARBAGE, cut(INVALID)),
    "stall_mid_stream": (broken(TIMEOUT, status=504, upstream_status=200), cut(TIMEOUT)),
    "truncated_json": (GARBAGE, cut(INVALID)),
    "malformed_json": (GARBAGE, cut(INVALID)),
    "malformed_sse_event": (GARBAGE, cut(INVALID)),
    "wrong_content_type": (GARBAGE, GARBAGE),
    "empty_body": (GARBAGE, GARBAGE),
    "hang": (broken(TIMEOUT, status=504),) * 2,
    # A late 500 looks like an early one: nothing tells that the work was begun, and billed.
    "error_event_mid_stream": (passed(500, openai.InternalServerError, billed=1), cut("upstream_error")),
    "huge_event": (FINE, FINE),
    "no_usage": (Expected(200, upstream_status=200, billed=1, usage="estimated"),) * 2,
}


def test_every_fault_of_the_sandbox_is_in_the_table() -> None:
    assert {name.partition(";")[0] for name in TABLE} == set(FAULTS)


@pytest.mark.parametrize("fault", TABLE)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_fault(
    gateway: GatewayServer, sandboxes: tuple[SandboxProcess, SandboxProcess], fault: str, stream: bool
) -> None:
    expected = TABLE[fault][stream]

    outcome = ask(gateway, HASTY if fault in ("hang", "stall_mid_stream") else MODEL, fault, stream=stream)

    call = gateway.call(outcome.request_id)
    check_what_the_caller_got(outcome, expected, fault)
    check_the_books(call, expected, stream=stream)
    lines = sandboxes[0].bill(call.attempts[0].attempt_id)
    assert len(lines) == expected.billed
    if expected.usage == "provider":
        check_the_amounts(call, lines[0])


def check_what_the_caller_got(outcome: Outcome, expected: Expected, fault: str) -> None:
    assert outcome.status == expected.status
    assert type(outcome.error) is (expected.error or type(None))
    assert outcome.headers.get("retry-after") == expected.retry_after
    assert outcome.headers.get("x-should-retry") == expected.should_retry
    if outcome.error is not None:
        body = outcome.error.body
        assert isinstance(body, dict)
        assert {"message", "type", "param", "code"} <= set(body)
        is_ours = body["code"] == expected.code
        assert is_ours or expected.code in ("upstream_refused", "upstream_rate_limited", "upstream_error")
        assert is_ours == ("request_id" in body)
        assert "html" not in str(body)
    if expected.status == 200 and not fault.startswith(("huge_event", "error_event")):
        assert outcome.text


def check_the_books(call: Call, expected: Expected, *, stream: bool) -> None:
    row, [attempt] = call.row, call.attempts
    assert (row.http_status, attempt.http_status) == (expected.status, expected.upstream_status)
    assert (row.error_code, attempt.error_code) == (expected.code or "",) * 2
    assert row.status == attempt.status == ("done" if expected.code is None else "failed")
    assert row.usage_source == attempt.usage_source == expected.usage
    assert row.usage == attempt.usage
    assert row.is_stream is stream
    assert row.cost_is_estimate is attempt.cost_is_estimate is (expected.usage == "estimated")
    assert (row.total_tokens > 0) is (row.cost_usd > 0) is (expected.usage != "none")
    assert row.cost_usd == attempt.cost_usd
    assert (attempt.price is not None) is (expected.usage != "none")
    assert row.duration_ms is not None
    assert call.payload is not None
    assert call.payload.response_body


def check_the_amounts(call: Call, line: dict[str, Any]) -> None:
    row = call.row
    assert row.input_tokens == line["prompt_tokens"]
    assert row.cache_read == line["cached_tokens"]
    assert row.output_tokens == line["completion_tokens"]
    assert row.reasoning == line["reasoning_tokens"]
    uncached = line["prompt_tokens"] - line["cached_tokens"]
    cost = uncached * INPUT_USD + line["cached_tokens"] * INPUT_USD / 2 + line["completion_tokens"] * OUTPUT_USD
    assert row.cost_usd == cost / 1_000_000


#: The provider cannot have begun the work, so that the next account may be asked.
FALLBACKS = ("refused_connection", "status_429", "status_500", "status_502", "status_503", "status_401", "status_403")


@pytest.mark.parametrize("fault", FALLBACKS)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_next_account_is_asked_where_no_work_can_have_been_begun(
    gateway: GatewayServer, sandboxes: tuple[SandboxProcess, SandboxProcess], fault: str, stream: bool
) -> None:
    one, two = sandboxes
    if fault != "refused_connection":
        one.fault(fault, retry_after=60)
    model = f"{fault}-{'stream' if stream else 'plain'}"

    outcome = ask(gateway, model, "", stream=stream)

    assert outcome.error is None
    assert outcome.text
    call = gateway.call(outcome.request_id)
    assert [(each.upstream_name, each.status) for each in call.attempts] == [(model, "failed"), ("two", "done")]
    assert (call.row.status, call.row.http_status, call.row.error_code) == ("done", 200, "")
    assert (call.row.upstream_name, call.row.attempts_count, call.row.asked_model) == ("two", 2, model)
    assert [len(one.bill(each.attempt_id)) + len(two.bill(each.attempt_id)) for each in call.attempts] == [0, 1]
    check_the_amounts(call, two.bill(call.attempts[1].attempt_id)[0])

    if fault in ("status_429", "status_503"):
        # The account said how long it wants to rest; the next call goes straight to the other one.
        again = gateway.call(ask(gateway, model, "", stream=stream).request_id)
        assert [each.upstream_name for each in again.attempts] == ["two"]


#: The provider may be at work, and charging, already; or it refused the request itself.
NO_FALLBACKS = (
    "hang",
    "reset_before_headers",
    "reset_mid_stream",
    "malformed_json",
    "wrong_content_type",
    "status_400",
)


@pytest.mark.parametrize("fault", NO_FALLBACKS)
def test_no_other_account_is_asked_where_the_work_may_have_been_begun(
    gateway: GatewayServer, sandboxes: tuple[SandboxProcess, SandboxProcess], fault: str
) -> None:
    one, two = sandboxes
    billed = len(two.bill())
    one.fault(fault)
    call = gateway.call(ask(gateway, fault, "", stream=False).request_id)
    assert [(each.upstream_name, each.status) for each in call.attempts] == [(fault, "failed")]
    assert len(two.bill()) == billed


def test_no_more_accounts_are_asked_than_the_setting_allows(gateway: GatewayServer) -> None:
    outcome = ask(gateway, "many", "", stream=False)
    call = gateway.call(outcome.request_id)
    assert [each.upstream_name for each in call.attempts] == ["dead-0", "dead-1", "dead-2"]
    assert (outcome.status, call.row.error_code) == (502, "upstream_unreachable")
    assert outcome.headers["x-should-retry"] == "true"
    assert (call.row.usage_source, call.row.cost_usd) == ("none", Decimal(0))


def test_a_refused_account_is_marked_until_it_works_again(gateway: GatewayServer) -> None:
    def is_marked() -> bool:
        marked = Upstream.all_rows().using(ALIAS).filter(name=HASTY, auth_failed_at__isnull=False)
        return marked.exists()

    ask(gateway, HASTY, "status_401", stream=False)
    eventually(is_marked, within_s=5)
    assert ask(gateway, HASTY, "", stream=False).error is None
    eventually(lambda: not is_marked(), within_s=5)


@pytest.mark.parametrize(("fault", "tries"), [("status_401", 1), ("hang", 2)])
def test_openais_library_tries_again_only_where_it_may_help(gateway: GatewayServer, fault: str, tries: int) -> None:
    before = len(gateway.calls())
    ask(gateway, HASTY, fault, stream=False, retries=1)
    assert [call.row.client_retry for call in gateway.calls()[before:]] == list(range(tries))


def test_every_line_of_the_bill_joins_exactly_one_attempt(
    gateway: GatewayServer, sandboxes: tuple[SandboxProcess, SandboxProcess]
) -> None:
    """Over all that was asked here, and a few calls more."""
    for fault in ("reset_mid_stream", "no_usage", "status_500", "slow_first_byte;seconds=0"):
        ask(gateway, MODEL, fault, stream=True)
    calls = gateway.calls()
    attempts = Counter(attempt.attempt_id for call in calls for attempt in call.attempts)
    billed = Counter(line["client_request_id"] for sandbox in sandboxes for line in sandbox.bill())
    assert set(billed) <= set(attempts)
    assert set(billed.values()) == {1}
    assert set(attempts.values()) == {1}
    counted = {attempt.attempt_id for call in calls for attempt in call.attempts if attempt.usage_source == "provider"}
    assert counted <= set(billed)
    for call in calls:
        assert call.row.cost_usd == sum(attempt.cost_usd for attempt in call.attempts)
        assert call.row.attempts_count == len(call.attempts)
