"""The ledger: one row per call of a caller, one per try at an upstream, and the payloads apart from both.

Rows are written by ``gateway/ledger.py`` in raw SQL from one thread per process, therefore the relations carry no
database constraint: a key deleted in the middle of a call must not lose the call's row. Names that lists show
(key prefix, upstream name) are copied onto the row. Indexes are few because each one is paid on every call: ids are
time-ordered, so a range of time is a range of ids (``first_uuid_at``).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.db import models
from django.utils import timezone

from tikhub_app.models.identifiers import public_id, uuid7
from tikhub_app.models.keys import ApiKey
from tikhub_app.models.money import UsdField
from tikhub_app.models.upstreams import Upstream


class CallStatus(models.TextChoices):
    """Life of a request and of an attempt; everything but the first two is final."""

    STARTED = "started", "Started"
    STREAMING = "streaming", "Streaming"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CLIENT_GONE = "client_gone", "Caller left"
    INTERRUPTED = "interrupted", "Interrupted"


OPEN_STATUSES = (CallStatus.STARTED, CallStatus.STREAMING)


class UsageSource(models.TextChoices):
    PROVIDER = "provider", "Counted by the provider"
    ESTIMATED = "estimated", "Estimated by the gateway"
    NONE = "none", "Unknown"


class Departure(models.TextChoices):
    STAYED = "", "Stayed"
    CANCELLED = "cancelled", "Left; upstream call cancelled"
    DRAINED = "drained", "Left; upstream answer read to its end"


class UsageCounters(models.Model):
    """Disjoint token counters; they sum to the provider's total, else ``usage_mismatch`` is set."""

    input_uncached = models.IntegerField(default=0, help_text="Input tokens not read from or written to a cache.")
    cache_read = models.IntegerField(default=0, help_text="Input tokens read from a cache.")
    cache_write_5m = models.IntegerField(default=0, help_text="Input tokens written to a cache.")
    cache_write_1h = models.IntegerField(default=0, help_text="Input tokens written to a one-hour cache.")
    image_input = models.IntegerField(
        default=0, help_text="Input tokens of images, where the provider counts them apart."
    )
    audio_input = models.IntegerField(
        default=0, help_text="Input tokens of audio, where the provider counts them apart."
    )
    output_visible = models.IntegerField(default=0, help_text="Output tokens of text and tool calls.")
    reasoning = models.IntegerField(default=0, help_text="Output tokens of reasoning.")
    audio_output = models.IntegerField(default=0, help_text="Output tokens of audio.")
    usage_source = models.CharField(
        max_length=10, choices=UsageSource, default=UsageSource.NONE, help_text="Who counted the tokens."
    )
    usage_mismatch = models.BooleanField(default=False, help_text="The provider's own figures do not sum to its total.")
    cost_usd = UsdField(default=0, help_text="Cost in US dollars.")
    cost_is_estimate = models.BooleanField(
        default=False, help_text="The cost rests on estimated or reserved figures, not on the provider's."
    )
    is_unpriced = models.BooleanField(default=False, help_text="No price is known for the model that answered.")

    class Meta:
        abstract = True

    COUNTERS = (
        "input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "image_input", "audio_input",
        "output_visible", "reasoning", "audio_output",
    )  # fmt: skip

    @property
    def usage(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.COUNTERS}


class GatewayRequest(UsageCounters):
    """One call of a caller."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False, help_text="Time-ordered; shown as req_….")
    status = models.CharField(
        max_length=12, choices=CallStatus, default=CallStatus.STARTED, help_text="Where it stands."
    )
    door = models.CharField(max_length=8, help_text="How it came in: asgi, django or python.")
    dialect = models.CharField(max_length=24, help_text="Wire format of the caller.")
    operation = models.CharField(max_length=24, help_text="What was asked, for example chat.")
    is_stream = models.BooleanField(default=False, help_text="Whether the caller asked for a stream.")
    key = models.ForeignKey(
        ApiKey,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="requests",
        help_text="Key used.",
    )
    key_prefix = models.CharField(max_length=20, blank=True, help_text="First characters of the key.")
    owner = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text="Owner of the key at the time.",
    )
    asked_model = models.CharField(max_length=200, help_text="Model name in the request.")
    answered_model = models.CharField(max_length=200, blank=True, help_text="Model name in the answer.")
    upstream = models.ForeignKey(
        Upstream,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text="Account that answered, or was tried last.",
    )
    upstream_name = models.CharField(max_length=80, blank=True, help_text="Its name at the time.")
    upstream_request_id = models.CharField(max_length=200, blank=True, help_text="The provider's own id of the call.")
    attempts_count = models.PositiveSmallIntegerField(default=0, help_text="Tries at upstreams.")
    http_status = models.PositiveSmallIntegerField(null=True, help_text="Status that the caller received.")
    error_code = models.CharField(max_length=80, blank=True, help_text="Machine-readable reason of a failure.")
    error_message = models.CharField(max_length=500, blank=True, help_text="Reason in words.")
    finish_reason = models.CharField(max_length=40, blank=True, help_text="Why the model stopped (first choice).")
    input_tokens = models.IntegerField(default=0, help_text="Everything in.")
    output_tokens = models.IntegerField(default=0, help_text="Everything out.")
    total_tokens = models.IntegerField(default=0, help_text="In and out.")
    server_tool_calls = models.JSONField(default=dict, help_text="Tools run by the provider, counted by name.")
    reserved_cost_usd = UsdField(default=0, help_text="Upper estimate written before the call, in US dollars.")
    departure = models.CharField(
        max_length=10,
        choices=Departure,
        default=Departure.STAYED,
        blank=True,
        help_text="What happened when the caller left.",
    )
    tags = models.JSONField(default=dict, help_text="Labels given by the caller.")
    end_user = models.CharField(max_length=200, blank=True, help_text="The caller's own user, as given.")
    user_agent = models.CharField(max_length=200, blank=True, help_text="Client library or program.")
    client_retry = models.PositiveSmallIntegerField(default=0, help_text="How often the caller's SDK had tried before.")
    request_bytes = models.BigIntegerField(default=0, help_text="Size of the request body.")
    response_bytes = models.BigIntegerField(default=0, help_text="Size of the answer's body as sent.")
    started_at = models.DateTimeField(default=timezone.now, help_text="When the call came in.")
    first_byte_ms = models.FloatField(null=True, help_text="Milliseconds until the first byte left for the caller.")
    duration_ms = models.FloatField(null=True, help_text="Milliseconds until the call was over.")
    gateway_ms = models.FloatField(
        null=True, help_text="Milliseconds of the above up to the first byte that were our own."
    )
    is_sandbox = models.BooleanField(default=False, help_text="Answered by the sandbox; left out of spend.")
    process_id = models.BigIntegerField(default=0, help_text="Gateway process that holds the call.")
    reconciled_at = models.DateTimeField(null=True, help_text="Closed afterwards, because its process had died.")

    class Meta:
        verbose_name = "request"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("key", "-id"), name="tikhub_request_by_key"),
            models.Index(
                fields=("owner", "-id"), name="tikhub_request_by_owner", condition=models.Q(owner__isnull=False)
            ),
            models.Index(
                fields=("process_id",),
                name="tikhub_request_open",
                condition=models.Q(status__in=("started", "streaming")),
            ),
        )

    def __str__(self) -> str:
        return self.request_id

    @property
    def request_id(self) -> str:
        return public_id("req", self.id)


class Attempt(UsageCounters):
    """One try at one upstream. Its id goes along as ``X-Client-Request-Id``, so it joins the provider's bill."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False, help_text="Time-ordered; sent as att_….")
    request = models.ForeignKey(
        GatewayRequest, on_delete=models.DO_NOTHING, db_constraint=False, related_name="attempts", help_text="The call."
    )
    number = models.PositiveSmallIntegerField(default=1, help_text="1 for the first try.")
    status = models.CharField(
        max_length=12, choices=CallStatus, default=CallStatus.STARTED, help_text="Where it stands."
    )
    upstream = models.ForeignKey(
        Upstream,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text="Account tried.",
    )
    upstream_name = models.CharField(max_length=80, blank=True, help_text="Its name at the time.")
    provider = models.CharField(max_length=40, blank=True, help_text="Adapter used.")
    upstream_model = models.CharField(max_length=200, blank=True, help_text="Model name sent to the provider.")
    upstream_request_id = models.CharField(max_length=200, blank=True, help_text="The provider's own id of the call.")
    http_status = models.PositiveSmallIntegerField(null=True, help_text="Status of the provider's answer.")
    error_code = models.CharField(max_length=80, blank=True, help_text="Machine-readable reason of a failure.")
    error_message = models.CharField(max_length=500, blank=True, help_text="Reason in words.")
    price = models.JSONField(null=True, help_text="The price used: model, date and US dollars per million tokens.")
    started_at = models.DateTimeField(default=timezone.now, help_text="When it was sent.")
    first_byte_ms = models.FloatField(null=True, help_text="Milliseconds until the provider's first byte.")
    duration_ms = models.FloatField(null=True, help_text="Milliseconds until the try was over.")
    reconciled_at = models.DateTimeField(null=True, help_text="Closed afterwards, because its process had died.")

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.attempt_id

    @property
    def attempt_id(self) -> str:
        return public_id("att", self.id)


class RequestPayload(models.Model):
    """Prompt and answer of one request, as the key's payload policy permits."""

    request = models.OneToOneField(
        GatewayRequest,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="payload",
        help_text="The call.",
    )
    policy = models.CharField(max_length=10, help_text="Policy under which it was kept: full or redacted.")
    request_body = models.TextField(blank=True, help_text="JSON that the caller sent.")
    response_body = models.TextField(blank=True, help_text="JSON that was answered; streams are put together.")
    is_truncated = models.BooleanField(default=False, help_text="Cut at the size limit.")
    created_at = models.DateTimeField(default=timezone.now, help_text="When it was kept.")

    class Meta:
        verbose_name = "payload"

    def __str__(self) -> str:
        return f"payload of {public_id('req', self.request_id)}"

    def as_dict(self) -> dict[str, Any]:
        return {"policy": self.policy, "request": self.request_body, "response": self.response_body}
