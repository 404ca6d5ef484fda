"""The ledger over REST: names, filters, pages."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.conftest import add_relations
from tikhub_app.models import ApiKey, GatewayRequest

pytestmark = pytest.mark.django_db

PATH = "/api/v1/requests/"


def test_a_row_carries_the_documented_names(manager: APIClient, make_request: Callable[..., GatewayRequest]) -> None:
    row = make_request(http_status=200)
    (shown,) = manager.get(PATH).json()["results"]
    expected = {
        "request_id": f"req_{row.id.hex}",
        "dialect": "openai_chat",
        "operation": "chat",
        "asked_model": "gpt-4o-mini",
        "answered_model": "gpt-4o-mini-2024-07-18",
        "status": "done",
        "http_status": 200,
        "upstream": "main",
        "attempts": 1,
        "input_tokens": 30,
        "output_tokens": 12,
        "total_tokens": 42,
        "usage": {
            "input_uncached": 25,
            "cache_read": 5,
            "cache_write_5m": 0,
            "cache_write_1h": 0,
            "image_input": 0,
            "audio_input": 0,
            "output_visible": 12,
            "reasoning": 0,
            "audio_output": 0,
        },
        "usage_source": "provider",
        "cost_usd": "0.000011325000",
        "started_at": "2026-05-04T08:00:00Z",
        "first_byte_ms": 210.5,
        "duration_ms": 900.0,
        "tags": {"team": "a"},
        "end_user": "u1",
    }
    assert {name: shown[name] for name in expected} == expected


def test_cost_is_exact_beyond_what_a_float_holds(
    manager: APIClient, make_request: Callable[..., GatewayRequest]
) -> None:
    amount = "1234567.123456789012"
    row = make_request(cost_usd=Decimal(amount))
    assert manager.get(f"{PATH}{row.request_id}/").json()["cost_usd"] == amount


def test_one_row_comes_with_its_attempts_and_filter_results(manager: APIClient, full_request: GatewayRequest) -> None:
    shown = manager.get(f"{PATH}{full_request.request_id}/").json()
    assert shown["attempts"] == 2
    assert [(row["number"], row["status"], row["upstream"]) for row in shown["attempt_rows"]] == [
        (1, "failed", "main"),
        (2, "done", "spare"),
    ]
    (judged,) = shown["content_filter_results"]
    assert judged["attempt_id"] == shown["attempt_rows"][1]["attempt_id"]
    assert (judged["category"], judged["filtered"], judged["detected"], judged["severity"]) == (
        "hate", False, None, "safe",
    )  # fmt: skip
    assert manager.get(f"{PATH}{full_request.request_id}/attempts/").json() == shown["attempt_rows"]
    assert "payload" not in shown
    assert "request_body" not in shown


def test_a_bare_uuid_is_an_id_too(manager: APIClient, make_request: Callable[..., GatewayRequest]) -> None:
    row = make_request()
    assert manager.get(f"{PATH}{row.id}/").json()["request_id"] == row.request_id


def test_a_payload_that_was_not_kept_is_a_404_that_says_so(
    manager: APIClient, make_request: Callable[..., GatewayRequest]
) -> None:
    answer = manager.get(f"{PATH}{make_request().request_id}/payload/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_payload")


def test_rows_whose_key_and_owner_are_gone_are_shown(
    manager: APIClient, make_request: Callable[..., GatewayRequest]
) -> None:
    make_request(key_id=987, owner_id=654)
    assert manager.get(PATH).json()["results"][0]["key"] == 987


def test_every_documented_filter_finds_its_row_alone(
    manager: APIClient, make_request: Callable[..., GatewayRequest]
) -> None:
    key, _ = ApiKey.issue(name="k")
    other = make_request(0)
    row = make_request(
        10, dialect="anthropic_messages", operation="embed", asked_model="claude-x", answered_model="claude-x-1",
        status="failed", http_status=502, upstream_name="spare", attempts_count=3, input_tokens=7, key=key,
        is_sandbox=True,
    )  # fmt: skip

    def found(**query: Any) -> list[str]:
        return [shown["request_id"] for shown in manager.get(PATH, query).json()["results"]]

    assert found() == [row.request_id, other.request_id]
    for name, value in {
        "request_id": row.request_id, "dialect": "anthropic_messages", "operation": "embed", "asked_model": "claude-x",
        "answered_model": "claude-x-1", "status": "failed", "http_status": 502, "upstream": "spare", "attempts": 3,
        "input_tokens": 7, "key": key.pk, "is_sandbox": "true", "started_after": "2026-05-04T08:10:00Z",
    }.items():  # fmt: skip
        assert found(**{name: value}) == [row.request_id], name
    assert found(is_sandbox="false") == [other.request_id]
    assert found(started_before="2026-05-04T10:10:00+02:00") == [other.request_id]
    assert found(started_after="1900-01-01T00:00:00Z", started_before="9999-12-31T23:59:59Z") == found()
    assert found(status="failed", dialect="openai_chat") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request_id", "req_zz"),
        ("request_id", "req_\x00"),
        ("status", "finished"),
        ("http_status", "2xx"),
        ("http_status", "200.5"),
        ("http_status", "9" * 30),
        ("attempts", "-1"),
        ("input_tokens", "9" * 5_000),
        ("input_tokens", "NaN"),
        ("key", str(2**63)),
        ("is_sandbox", "perhaps"),
        ("asked_model", "a\x00b"),
        ("started_after", "yesterday"),
        ("started_before", "2026-13-01T00:00:00Z"),
        ("page_size", "0"),
        ("page_size", "201"),
        ("page_size", "many"),
        ("page_size", "9" * 5_000),
        ("cursor", "nonsense"),
        ("cursor", "cD1hYmM="),  # p=abc, in the place of an id
        ("asked_modle", "gpt-4o"),
    ],
)
def test_a_filter_that_is_not_understood_is_a_400_that_names_it(manager: APIClient, name: str, value: str) -> None:
    answer = manager.get(PATH, {name: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)


def test_a_cursor_with_a_number_no_column_holds_is_refused(manager: APIClient) -> None:
    cursor = b64encode(b"p=" + b"9" * 40).decode()
    assert manager.get("/api/v1/keys/", {"cursor": cursor}).status_code == 400


@pytest.mark.parametrize("request_id", ["x", "req_", "req_" + "g" * 32, "%00", "att_" + "0" * 32, "0" * 31])
def test_an_id_that_is_none_is_a_404(manager: APIClient, request_id: str) -> None:
    for verb in ("", "attempts/", "payload/"):
        assert manager.get(f"{PATH}{request_id}/{verb}").status_code == 404


def test_pages_neither_repeat_nor_lose_rows_while_others_arrive(
    manager: APIClient, make_request: Callable[..., GatewayRequest]
) -> None:
    before = [make_request(minute).request_id for minute in range(10)]
    seen: list[str] = []
    url: str | None = f"{PATH}?page_size=3&status=done"
    minute = 100
    pages = []
    while url:
        page = manager.get(url).json()
        pages.append(page)
        seen += [row["request_id"] for row in page["results"]]
        url = page["next"]
        make_request(minute)
        minute += 1
    assert seen == before[::-1]
    assert pages[0]["previous"] is None
    assert "status=done" in pages[0]["next"]
    back = manager.get(pages[2]["previous"]).json()["results"]
    assert [row["request_id"] for row in back] == [row["request_id"] for row in pages[1]["results"]]


def test_lists_and_rows_take_a_constant_number_of_queries(
    manager: APIClient, make_request: Callable[..., GatewayRequest], django_assert_num_queries: Any
) -> None:
    for minute in range(60):
        add_relations(make_request(minute))
    manager.get(PATH)
    with django_assert_num_queries(2):  # the key, the rows
        assert len(manager.get(PATH, {"page_size": 60}).json()["results"]) == 60
    row = GatewayRequest.objects.first()
    assert row is not None
    with django_assert_num_queries(4):  # and the attempts, the filter results
        manager.get(f"{PATH}{row.request_id}/")
    with django_assert_num_queries(3):
        manager.get(f"{PATH}{row.request_id}/attempts/")
