"""Trying candidates in order, until one accepts the call or the last has refused it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isfinite

from tikhub_app.conf import settings
from tikhub_app.exceptions import (
    GatewayError,
    UpstreamAuthError,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRefused,
    UpstreamServerError,
    UpstreamUnreachable,
)
from tikhub_app.gateway.exchange import Exchange
from tikhub_app.gateway.ledger import AttemptRow, UpstreamMark
from tikhub_app.gateway.ledger.rows import clean
from tikhub_app.gateway.routing import RestingUpstreams
from tikhub_app.gateway.snapshot import RouteView
from tikhub_app.models import CallStatus
from tikhub_app.models.identifiers import public_id
from tikhub_app.providers.base import ProviderCall
from tikhub_app.providers.facts import ReplyFacts
from tikhub_app.upstream.aiohttp_transport import AiohttpTransport
from tikhub_app.upstream.values import OpenReply

LONGEST_REFUSAL = 1024 * 1024


@dataclass(slots=True)
class PassedOn(Exception):  # not an error of ours: the provider's own answer, on its way to the caller
    """The provider's refusal, to be passed on with its status, body and Retry-After."""

    error: GatewayError
    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After (seconds or a date) or OpenAI's retry-after-ms; None when there is neither.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit_s
        except ValueError:
            continue
        if isfinite(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


async def find_acceptance(
    exchange: Exchange, routes: list[RouteView], transport: AiohttpTransport, resting: RestingUpstreams
) -> OpenReply:
    """The first reply with a 2xx status; its attempt and route stand on the exchange.

    The next candidate is tried where the provider cannot have begun the work: no connection, 429, 5xx, or an account
    that was refused. A timeout or a broken connection is not tried again, for the provider may be charging already.

    :raises PassedOn: the last candidate's own refusal.
    :raises GatewayError: every other failure.
    """
    limit = min(len(routes), settings.MAX_ATTEMPTS)
    for number, route in enumerate(routes[:limit], start=1):
        is_last = number == limit
        try:
            return await _try(exchange, route, number, transport, resting)
        except PassedOn as passed:
            exchange.end_attempt(CallStatus.FAILED, error=passed.error)
            if is_last or not isinstance(passed.error, UpstreamServerError):
                raise
        except (UpstreamUnreachable, UpstreamAuthError) as error:
            exchange.end_attempt(CallStatus.FAILED, error=error)
            if is_last:
                raise
        except UpstreamError as error:
            # Sent, and then no proper answer: the provider may charge for it, so the input is booked as an estimate.
            exchange.end_attempt(CallStatus.FAILED, error=error, facts=ReplyFacts())
            raise
    raise AssertionError("routing gives one candidate at least")


async def _try(
    exchange: Exchange, route: RouteView, number: int, transport: AiohttpTransport, resting: RestingUpstreams
) -> OpenReply:
    row, parsed, upstream = exchange.row, exchange.parsed, route.upstream
    assert parsed is not None
    model = route.upstream_model or parsed.model
    attempt = AttemptRow(
        request_id=row.id,
        number=number,
        upstream_id=upstream.upstream_id,
        upstream_name=upstream.name,
        provider=upstream.provider.name,
        upstream_model=clean(model, 200),
    )
    changes = dict(parsed.changes)
    if model != parsed.model:
        changes["model"] = model
    headers = exchange.call.headers
    request = upstream.provider.build_request(
        upstream.account,
        ProviderCall(
            operation=row.operation,
            model=model,
            body=upstream.provider.prepare_body(exchange.call.body, changes) if changes else exchange.call.body,
            attempt_id=public_id("att", attempt.id),
            is_stream=parsed.is_stream,
            headers={name: headers[name] for name in upstream.provider.forwarded_headers if name in headers},
            path_parameters=exchange.call.path_parameters,
            query=parsed.query,
        ),
    )
    exchange.route, exchange.attempt = route, attempt
    row.attempts.append(attempt)
    row.attempts_count = number
    row.upstream_id, row.upstream_name, row.is_sandbox = upstream.upstream_id, upstream.name, upstream.is_sandbox
    await exchange.writer.begin(row if number == 1 else None, attempt)
    sent = time.perf_counter()
    try:
        reply = await transport.send(request)
    except UpstreamError as error:
        if isinstance(error, UpstreamUnreachable):
            resting.failed(upstream.upstream_id, None)
        exchange.writer.mark_upstream(UpstreamMark(upstream.upstream_id, error.message))
        raise
    finally:
        waited = time.perf_counter() - sent
        row.waited_s += waited
        attempt.first_byte_ms = round(waited * 1000, 3)
    attempt.http_status = reply.status
    attempt.upstream_request_id = clean(reply.headers.get(upstream.provider.request_id_header, ""), 200)
    row.upstream_request_id = attempt.upstream_request_id
    if 200 <= reply.status < 300:
        resting.succeeded(upstream.upstream_id)
        if resting.account_works(upstream):
            exchange.writer.mark_upstream(UpstreamMark(upstream.upstream_id, ""))
        return reply
    raise await _refusal(exchange, route, reply, resting)


async def _refusal(
    exchange: Exchange, route: RouteView, reply: OpenReply, resting: RestingUpstreams
) -> PassedOn | GatewayError:
    """What a status outside 2xx means; see architecture section 7, "Upstream refusals"."""
    upstream, status = route.upstream, reply.status
    try:
        body = await reply.read(LONGEST_REFUSAL)
    except UpstreamError:
        body = b""
    finally:
        reply.close()
    if upstream.provider.is_account_refusal(status, body):
        reason = f"The provider refused the account with HTTP {status}."
        resting.account_refused(upstream.upstream_id)
        exchange.writer.mark_upstream(UpstreamMark(upstream.upstream_id, reason, is_auth=True))
        return UpstreamAuthError(
            "The gateway's account at the provider was refused; this is for its operator to mend.", http_status=502
        )
    if status < 400:
        return UpstreamInvalidResponse(f"The provider answered with an unexpected status, HTTP {status}.")
    wait = retry_after_s(reply.headers)
    if wait is None:
        wait = upstream.provider.read_retry_after(status, body)
    message = f"The provider answered with HTTP {status}."
    if status == 429 or status >= 500:
        resting.failed(upstream.upstream_id, wait)
        error: GatewayError = UpstreamServerError(
            message, http_status=status, code="upstream_rate_limited" if status == 429 else None, retry_after_s=wait
        )
        if status >= 500:
            exchange.writer.mark_upstream(UpstreamMark(upstream.upstream_id, message))
    else:
        error = UpstreamRefused(message, http_status=status, code="upstream_refused", retry_after_s=wait)
        assert exchange.attempt is not None
        provider = upstream.provider
        exchange.findings += [
            (exchange.attempt, provider.name, finding) for finding in provider.read_error(status, body)
        ]
    if not exchange.dialect.is_readable_error(body):
        # An HTML page of some proxy in between, or nothing: not an error that the caller's SDK could read.
        body = exchange.dialect.error_body(error, exchange.request_id)
        return PassedOn(error, status, body, "application/json", reply.headers)
    return PassedOn(error, status, body, reply.headers.get("content-type", "application/json"), reply.headers)
