"""All tables, grouped by domain. Code outside this package imports from here."""

from tikhub_app.models.config_version import ConfiguredModel, ConfigVersion
from tikhub_app.models.content_filter import ContentFilterResult, FilterSeverity, FilterSide
from tikhub_app.models.identifiers import first_uuid_at, parse_public_id, public_id, uuid7
from tikhub_app.models.keys import ApiKey, KeyScope, PayloadPolicy
from tikhub_app.models.money import UsdField
from tikhub_app.models.prices import ModelPrice, PriceSource
from tikhub_app.models.processes import GatewayProcess
from tikhub_app.models.requests import (
    OPEN_STATUSES,
    Attempt,
    CallStatus,
    Departure,
    GatewayRequest,
    RequestPayload,
    UsageSource,
)
from tikhub_app.models.routes import Route
from tikhub_app.models.upstreams import Upstream

__all__ = [
    "OPEN_STATUSES",
    "ApiKey",
    "Attempt",
    "CallStatus",
    "ConfigVersion",
    "ConfiguredModel",
    "ContentFilterResult",
    "Departure",
    "FilterSeverity",
    "FilterSide",
    "GatewayProcess",
    "GatewayRequest",
    "KeyScope",
    "ModelPrice",
    "PayloadPolicy",
    "PriceSource",
    "RequestPayload",
    "Route",
    "Upstream",
    "UsageSource",
    "UsdField",
    "first_uuid_at",
    "parse_public_id",
    "public_id",
    "uuid7",
]
