"""Requests, attempts, filter results and payloads as the management REST shows them; nothing here is writable."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tikhub_app.api.records.fields import AnyField, ObjectField, OptionalObjectField, RowSerializer, UsdStringField
from tikhub_app.models import Attempt, ContentFilterResult, GatewayRequest, RequestPayload, public_id
from tikhub_app.models.requests import UsageCounters


class UsageSerializer(RowSerializer):
    """Disjoint token counters; together they are the total."""

    class Meta:
        model = GatewayRequest
        fields = UsageCounters.COUNTERS
        read_only_fields = fields


class GatewayRequestSerializer(RowSerializer):
    """One call of a caller."""

    request_id = serializers.CharField(read_only=True, help_text="As in the answer's header x-request-id.")
    upstream = serializers.CharField(source="upstream_name", read_only=True, help_text="Account that answered.")
    attempts = serializers.IntegerField(source="attempts_count", read_only=True, help_text="Tries at upstreams.")
    usage = UsageSerializer(source="*", read_only=True)
    cost_usd = UsdStringField(help_text="Cost in US dollars, exact, as text.")
    tags = ObjectField(help_text="Labels given by the caller.")
    server_tool_calls = ObjectField(help_text="Tools run by the provider, counted by name.")
    key = serializers.IntegerField(source="key_id", read_only=True, allow_null=True, help_text="Id of the key used.")

    class Meta:
        model = GatewayRequest
        fields: tuple[str, ...] = (
            "request_id", "dialect", "operation", "asked_model", "answered_model", "status", "http_status", "upstream",
            "attempts", "input_tokens", "output_tokens", "total_tokens", "usage", "usage_source", "usage_mismatch",
            "cost_usd", "cost_is_estimate", "is_unpriced", "started_at", "first_byte_ms", "duration_ms", "gateway_ms",
            "tags", "end_user", "key", "key_prefix", "door", "is_stream", "finish_reason", "error_code",
            "error_message", "departure", "upstream_request_id", "server_tool_calls", "user_agent", "client_retry",
            "request_bytes", "response_bytes", "is_sandbox", "reconciled_at",
        )  # fmt: skip
        read_only_fields = fields


class AttemptSerializer(RowSerializer):
    """One try at one upstream."""

    attempt_id = serializers.CharField(
        read_only=True, help_text="Sent to the provider as X-Client-Request-Id, so it joins its bill."
    )
    upstream = serializers.CharField(source="upstream_name", read_only=True, help_text="Account tried.")
    usage = UsageSerializer(source="*", read_only=True)
    cost_usd = UsdStringField(help_text="Cost in US dollars, exact, as text.")

    price = OptionalObjectField(help_text="The price used: model, date and US dollars per million tokens.")

    class Meta:
        model = Attempt
        fields = (
            "attempt_id", "number", "status", "upstream", "provider", "upstream_model", "upstream_request_id",
            "http_status", "error_code", "error_message", "usage", "usage_source", "usage_mismatch", "cost_usd",
            "cost_is_estimate", "is_unpriced", "price", "started_at", "first_byte_ms", "duration_ms", "reconciled_at",
        )  # fmt: skip
        read_only_fields = fields


class ContentFilterRecordSerializer(RowSerializer):
    """What a vendor's content filter said of one category; what it did not say is null."""

    attempt_id = serializers.SerializerMethodField(help_text="The try that it concerns.")
    raw = AnyField(help_text="The vendor's own words.")

    class Meta:
        model = ContentFilterResult
        fields = (
            "attempt_id", "choice_index", "side", "category", "filtered", "detected", "severity", "vendor", "raw",
            "created_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_attempt_id(self, row: ContentFilterResult) -> str | None:
        return None if row.attempt_id is None else public_id("att", row.attempt_id)


class GatewayRequestDetailSerializer(GatewayRequestSerializer):
    """One call with its tries and what content filters said. ``attempts`` is their number, as in the list."""

    attempt_rows = AttemptSerializer(source="attempts.all", many=True, read_only=True)
    content_filter_results = serializers.SerializerMethodField()

    class Meta(GatewayRequestSerializer.Meta):
        fields = (*GatewayRequestSerializer.Meta.fields, "attempt_rows", "content_filter_results")
        read_only_fields = fields

    @extend_schema_field(ContentFilterRecordSerializer(many=True))
    def get_content_filter_results(self, row: GatewayRequest) -> Any:
        return ContentFilterRecordSerializer(row.filter_results.order_by("id"), many=True).data


class RequestPayloadSerializer(RowSerializer):
    """Prompt and answer of one call, as the key's payload policy kept them."""

    class Meta:
        model = RequestPayload
        fields = ("policy", "request_body", "response_body", "is_truncated", "created_at")
        read_only_fields = fields
