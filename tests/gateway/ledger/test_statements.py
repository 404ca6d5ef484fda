"""The ledger's SQL against the models: a new column must find its place, and what is left out gets its default."""

from __future__ import annotations

from contextlib import closing

import pytest
from django.db import connection, models

from tikhub_app.gateway.ledger import AttemptRow, RequestRow
from tikhub_app.gateway.ledger.rows import (
    ATTEMPT_BEGIN,
    ATTEMPT_FINISH,
    REQUEST_BEGIN,
    REQUEST_FINISH,
    attempt_begin_values,
    request_begin_values,
)
from tikhub_app.gateway.ledger.statements import FINDING_COLUMNS, PAYLOAD_COLUMNS, Statements
from tikhub_app.models import Attempt, ContentFilterResult, GatewayRequest, RequestPayload

#: Written by others, later.
NOT_OURS = {"reconciled_at"}


def columns(model: type[models.Model]) -> set[str]:
    return {field.attname for field in model._meta.concrete_fields}


@pytest.mark.parametrize(
    ("model", "written"),
    [
        (GatewayRequest, {*REQUEST_BEGIN, *REQUEST_FINISH, *NOT_OURS}),
        (Attempt, {*ATTEMPT_BEGIN, *ATTEMPT_FINISH, *NOT_OURS}),
        (RequestPayload, {*PAYLOAD_COLUMNS}),
        (ContentFilterResult, {*FINDING_COLUMNS, "id"}),
    ],
)
def test_every_column_of_a_model_has_its_place(model: type[models.Model], written: set[str]) -> None:
    assert columns(model) == written


@pytest.mark.parametrize("names", [REQUEST_BEGIN, REQUEST_FINISH, ATTEMPT_BEGIN, ATTEMPT_FINISH])
def test_no_column_is_written_twice_by_one_statement(names: tuple[str, ...]) -> None:
    assert len(set(names)) == len(names)


@pytest.mark.django_db
def test_an_inserted_row_is_what_the_model_would_have_made_of_it() -> None:
    request, statements = RequestRow(asked_model="gpt-4o", door="asgi"), Statements(connection)
    attempt = AttemptRow(request_id=request.id, provider="openai")
    connection.ensure_connection()
    with closing(connection.connection.cursor()) as cursor:
        statements.insert_request.run(cursor, [request_begin_values(request)])
        statements.insert_attempt.run(cursor, [attempt_begin_values(attempt)])

    by_model = GatewayRequest(id=request.id, asked_model="gpt-4o", door="asgi", started_at=request.started_at)
    assert GatewayRequest.objects.values().get() == {name: getattr(by_model, name) for name in columns(GatewayRequest)}
    tried = Attempt(id=attempt.id, request_id=request.id, provider="openai", started_at=attempt.started_at)
    assert Attempt.objects.values().get() == {name: getattr(tried, name) for name in columns(Attempt)}
