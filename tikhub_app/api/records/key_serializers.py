"""Keys as the management REST shows and takes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework import exceptions, serializers

from tikhub_app.api.records.authority import Authority
from tikhub_app.api.records.fields import OwnerField, RowSerializer
from tikhub_app.models import ApiKey, KeyScope

LONGEST_OVERLAP = timedelta(days=30)

_SHOWN = (
    "id", "name", "prefix", "scope", "owner", "allowed_models", "allowed_operations", "payload_policy", "state",
    "expires_at", "revoked_at", "last_used_at", "rotated_from", "created_at",
)  # fmt: skip


def _names(help_text: str, **options: Any) -> serializers.ListField:
    name = serializers.CharField(max_length=200)
    return serializers.ListField(child=name, max_length=200, help_text=help_text, **options)


class ApiKeySerializer(RowSerializer):
    """One key; its secret is not among what can be read."""

    owner = OwnerField(read_only=True, allow_null=True, help_text="The user whose key it is, by login name.")
    state = serializers.ChoiceField(
        choices=("active", "expired", "revoked"), read_only=True, help_text="Whether it is accepted."
    )
    allowed_models = _names("Names or patterns such as gpt-*; empty allows all.", required=False)
    allowed_operations = _names("Operations such as chat or embed; empty allows all.", required=False)
    rotated_from = serializers.IntegerField(
        source="rotated_from_id", read_only=True, allow_null=True, help_text="Id of the key that this one replaces."
    )

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = _SHOWN
        read_only_fields: tuple[str, ...] = ("id", "prefix", "scope", "revoked_at", "last_used_at", "created_at")

    def validate_expires_at(self, value: Any) -> Any:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This moment has passed; give a later one, or revoke the key.")
        return value

    def update(self, instance: ApiKey, validated_data: dict[str, Any]) -> ApiKey:
        for name, value in validated_data.items():
            setattr(instance, name, value)
        if validated_data:
            # Only what was sent: a revocation that came in between must stand.
            instance.save(update_fields=list(validated_data))
        return instance


class NewApiKeySerializer(ApiKeySerializer):
    """What a key is made of. Without ``owner`` it is the caller's own."""

    owner = OwnerField(
        required=False, allow_null=True, help_text="The user whose key it is, by login name; the caller unless given."
    )
    scope = serializers.ChoiceField(
        choices=KeyScope.choices, default=KeyScope.GATEWAY, help_text="Whether it calls models or manages the gateway."
    )

    class Meta(ApiKeySerializer.Meta):
        read_only_fields = ("id", "prefix", "revoked_at", "last_used_at", "created_at")

    def issue(self, authority: Authority) -> tuple[ApiKey, str]:
        """Make the key; returns the row and its secret.

        :raises exceptions.PermissionDenied: the caller may not make such a key.
        """
        attributes = dict(self.validated_data)
        owner = attributes.setdefault("owner", authority.user)
        if not authority.may_issue(attributes["scope"], owner.pk if owner is not None else None):
            raise exceptions.PermissionDenied(
                "A key of scope manage carries its owner's rights; you may only make one for yourself.",
                code="not_allowed",
            )
        return ApiKey.issue(**attributes)


class IssuedApiKeySerializer(ApiKeySerializer):
    """A key that was just made, with its secret, which is shown this once."""

    key = serializers.SerializerMethodField(help_text="The secret. It is not stored and cannot be shown again.")

    class Meta(ApiKeySerializer.Meta):
        fields = (*_SHOWN, "key")

    def get_key(self, key: ApiKey) -> str:
        return str(self.context["secret"])


class RotationSerializer(serializers.Serializer[Any]):
    """How a key is replaced."""

    overlap_s = serializers.IntegerField(
        min_value=0,
        max_value=int(LONGEST_OVERLAP.total_seconds()),
        default=86_400,
        help_text="Seconds for which the old key is still accepted; 0 ends it at once.",
    )

    @property
    def overlap(self) -> timedelta:
        return timedelta(seconds=self.validated_data["overlap_s"])
