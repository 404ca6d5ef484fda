"""The ledger in the console: read-only, quick, and content only for those who may see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.admin.ledger_rows import request_at
from tikhub_app.models import (
    ApiKey,
    Attempt,
    CallStatus,
    ContentFilterResult,
    GatewayProcess,
    GatewayRequest,
    RequestPayload,
    Route,
    Upstream,
)

LIST = "/admin/tikhub_app/gatewayrequest/"
PROMPT = {"messages": [{"role": "user", "content": "planted <script>alert(1)</script>"}]}
FACTS = ("gatewayrequest", "attempt", "contentfilterresult", "gatewayprocess")


@pytest.fixture
def call(db: None) -> GatewayRequest:
    """One call with all that can hang on it."""
    row = request_at(timezone.now(), end_user="ada", upstream_request_id="req_upstream_1")
    row.save()
    Attempt.objects.create(request=row, upstream_request_id="req_upstream_1")
    ContentFilterResult.objects.create(request=row, side="prompt", category="hate", vendor="azure", severity="low")
    RequestPayload.objects.create(request=row, policy="full", request_body=json.dumps(PROMPT), response_body="[1,")
    return row


def add_rows(model: str, count: int) -> None:
    """More rows of a table, each with relations of its own."""
    now = timezone.now()
    for number in range(count):
        key, _ = ApiKey.issue(name=f"key {number}")
        upstream = Upstream(name=f"{model}-{key.pk}", provider="openai", base_url="https://api.openai.com/v1")
        upstream.save()
        Route.objects.create(pattern=f"model-{key.pk}", upstream=upstream)
        # A key and an account that do not exist: rows outlive them.
        row = request_at(now, key.pk, key_id=key.pk + 10_000, key_prefix=key.prefix, upstream_id=upstream.pk + 10_000)
        row.save()
        attempt = Attempt.objects.create(request=row, upstream_id=upstream.pk)
        ContentFilterResult.objects.create(request=row, attempt=attempt, side="prompt", category="hate", vendor="a")
        GatewayProcess.objects.create(id=key.pk, hostname="here", pid=number)


@pytest.mark.parametrize("model", [*FACTS, "apikey", "upstream", "route"])
def test_a_list_of_fifty_rows_takes_as_many_queries_as_one_of_five(console: Client, model: str) -> None:
    def queries() -> list[str]:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            page = console.get(f"/admin/tikhub_app/{model}/")
        assert page.status_code == 200
        return [query["sql"] for query in captured]

    add_rows(model, 5)
    console.get(f"/admin/tikhub_app/{model}/")
    few = queries()
    add_rows(model, 45)
    many = queries()
    assert len(few) == len(many)
    assert not [sql for sql in many if RequestPayload._meta.db_table in sql]


def test_a_ledger_of_100_000_rows_is_never_counted_nor_sorted(console: Client) -> None:
    copy_rows(100_000)
    index = "sqlite_autoindex" if connection.vendor == "sqlite" else "tikhub_app_gatewayrequest_pkey"
    for query in ("", "?p=40", "?last=week", "?status__exact=failed"):
        with CaptureQueriesContext(connection) as captured:
            page = console.get(LIST + query)
        assert page.status_code == 200
        statements = [entry["sql"] for entry in captured if GatewayRequest._meta.db_table in entry["sql"]]
        counts = [sql for sql in statements if "COUNT(" in sql]
        pages = [sql for sql in statements if "COUNT(" not in sql]
        assert len(counts) == 1
        assert "LIMIT 10001" in counts[0]
        assert len(pages) == 1
        if "status" in query:
            continue  # for rare values a planner may well read the table instead
        plan = explain(pages[0])
        assert index in plan
        assert "TEMP B-TREE" not in plan
        assert "Sort" not in plan
    assert console.get(LIST).context["cl"].result_count == 10_000
    assert "Counting stops at 10000" in console.get(LIST).content.decode().replace(",", "")


def copy_rows(count: int) -> None:
    """So many rows like one, written by the database itself."""
    row = request_at(timezone.now() - timedelta(minutes=5), status=CallStatus.DONE)
    row.save()
    table = GatewayRequest._meta.db_table
    columns = [str(field.column) for field in GatewayRequest._meta.concrete_fields if not field.primary_key]
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    if connection.vendor == "sqlite":
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
        source, key = "n", "substr(id, 1, 24) || printf('%08x', n.i)"
    else:
        numbers, source = "", f"generate_series(1, {count - 1}) AS n(i)"
        key = "(substr(replace(id::text, '-', ''), 1, 24) || lpad(to_hex(n.i), 8, '0'))::uuid"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} (id, {names}) {numbers} SELECT {key}, {names} FROM {table}, {source}")
        cursor.execute(f"ANALYZE {table}")
    assert GatewayRequest.objects.count() == count


def explain(sql: str) -> str:
    verb = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{verb} {sql}")
        return "\n".join(str(line) for line in cursor.fetchall())


@pytest.mark.parametrize("model", FACTS)
def test_facts_are_changed_by_nobody(console: Client, call: GatewayRequest, model: str) -> None:
    GatewayProcess.objects.create(id=7, hostname="here", pid=1)
    pk = {
        "gatewayrequest": call.pk,
        "attempt": Attempt.objects.get().pk,
        "contentfilterresult": ContentFilterResult.objects.get().pk,
        "gatewayprocess": 7,
    }[model]
    address = f"/admin/tikhub_app/{model}/"
    assert console.get(f"{address}{pk}/change/").status_code == 200
    assert console.post(f"{address}{pk}/change/", {"status": "failed", "vendor": "x"}).status_code == 403
    assert console.post(f"{address}{pk}/delete/", {"post": "yes"}).status_code == 403
    assert console.post(f"{address}add/", {}).status_code == 403
    assert 'type="submit" value="Save"' not in console.get(f"{address}{pk}/change/").content.decode()


def test_content_is_shown_and_read_only_with_its_permission(call: GatewayRequest, staff: Callable[..., Client]) -> None:
    page = f"{LIST}{call.pk}/change/"
    download = f"{LIST}{call.pk}/payload/request/"
    looking = staff("view_gatewayrequest")
    with CaptureQueriesContext(connection) as captured:
        html = looking.get(page).content.decode()
    assert "planted" not in html
    assert not [query for query in captured if RequestPayload._meta.db_table in query["sql"]]
    assert looking.get(download).status_code == 403
    # The permission for content alone does not open requests either.
    assert staff("view_requestpayload").get(download).status_code == 403

    reading = staff("view_gatewayrequest", "view_requestpayload")
    html = reading.get(page).content.decode()
    assert "planted &lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert(1)" not in html
    assert "[1," in html  # a body that was cut is shown as it stands
    answer = reading.get(download)
    assert json.loads(answer.content) == PROMPT
    assert answer["Content-Disposition"] == f'attachment; filename="{call.request_id}-request.json"'
    assert "no-store" in answer["Cache-Control"]
    assert reading.get(f"{LIST}{call.pk}/payload/other/").status_code == 404
    assert "planted" not in reading.get(LIST).content.decode()


def test_without_permission_there_is_nothing_to_see(call: GatewayRequest, staff: Callable[..., Client]) -> None:
    nobody = staff()
    for model in (*FACTS, "apikey", "upstream", "route", "modelprice", "dashboard"):
        assert nobody.get(f"/admin/tikhub_app/{model}/").status_code == 403
    assert nobody.get(f"{LIST}{call.pk}/change/").status_code == 403
    assert "/admin/tikhub_app/" not in nobody.get("/admin/").content.decode()
    html = staff("view_gatewayrequest").get(f"{LIST}{call.pk}/change/").content.decode()
    assert "Attempts, in order" not in html


def test_a_request_is_found_by_any_exact_name_it_has(console: Client, call: GatewayRequest) -> None:
    request_at(timezone.now(), 1, end_user="ada lovelace").save()
    attempt = Attempt.objects.get()
    for term in (call.request_id, str(call.pk), attempt.attempt_id, "ada", "req_upstream_1", f" {call.request_id} "):
        found = console.get(LIST, {"q": term}).context["cl"].result_list
        assert [row.pk for row in found] == [call.pk], term
    for term in ("ad", "req_" + "0" * 32, "att_nonsense"):
        assert list(console.get(LIST, {"q": term}).context["cl"].result_list) == []
    assert console.get(f"{LIST}{call.request_id}/change/").status_code == 200


def test_the_list_filters_by_what_its_columns_show(console: Client, call: GatewayRequest) -> None:
    old = request_at(timezone.now() - timedelta(days=3), 1, status=CallStatus.FAILED, is_sandbox=True, is_stream=True)
    old.save()
    expected: dict[str, Any] = {
        "last=hour": call, "last=week&is_sandbox=1": old, "status__exact=failed": old, "is_sandbox=0": call,
        "is_stream=1": old, f"last={old.started_at:%Y-%m-%dT%HZ}": old,
    }  # fmt: skip
    for query, row in expected.items():
        assert [found.pk for found in console.get(f"{LIST}?{query}").context["cl"].result_list] == [row.pk], query
    assert len(console.get(f"{LIST}?last=nonsense").context["cl"].result_list) == 2
    # A column of the list cannot be made the order of a table scan.
    assert [row.pk for row in console.get(f"{LIST}?o=2.-3").context["cl"].result_list] == [call.pk, old.pk]
