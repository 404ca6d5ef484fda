"""What an installation needs besides its tables: groups, schedules, prices, upstreams of the environment, a first key.

Every part may be run any number of times, and by several processes at once: they pass one after the other through a
lock on the configuration row. Nothing that an operator has changed is changed back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import Model

from tikhub_app.conf import settings
from tikhub_app.exceptions import ConfigurationError
from tikhub_app.gateway.prices_file import shipped_prices
from tikhub_app.models import (
    ApiKey,
    Attempt,
    ConfigVersion,
    ContentFilterResult,
    GatewayProcess,
    GatewayRequest,
    ModelPrice,
    PriceSource,
    RequestPayload,
    Route,
    Upstream,
)
from tikhub_app.models.encryption import ENVIRONMENT_PREFIX
from tikhub_app.models.key_format import digest
from tikhub_app.providers.registry import get_provider

OPERATORS = "TikHub operators"
VIEWERS = "TikHub viewers"
FIRST_KEY_NAME = "first key"

#: Lower is tried first: an account of the operator's own always goes before the sandbox.
ENVIRONMENT_PRIORITY = 100
SANDBOX_PRIORITY = 1000

_CHANGE = ("add", "change", "delete", "view")
_VIEW = ("view",)
#: Group -> table -> what its members may do in the console and over REST.
PERMISSIONS: Mapping[str, Mapping[type[Model], tuple[str, ...]]] = {
    OPERATORS: {
        ApiKey: _CHANGE,
        Upstream: _CHANGE,
        Route: _CHANGE,
        ModelPrice: _CHANGE,
        GatewayRequest: _VIEW,
        Attempt: _VIEW,
        RequestPayload: _VIEW,
        ContentFilterResult: _VIEW,
        GatewayProcess: _VIEW,
    },
    VIEWERS: {
        GatewayRequest: _VIEW,
        Attempt: _VIEW,
        ContentFilterResult: _VIEW,
        ModelPrice: _VIEW,
    },
}

#: Name -> columns of its schedule. Names stay as they are: they are how the row is found again.
SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "tikhub: reconcile": {"func": "tikhub_app.tasks.reconcile", "schedule_type": "I", "minutes": 1},
    "tikhub: prune": {"func": "tikhub_app.tasks.prune", "schedule_type": "D", "minutes": None},
}


@dataclass(slots=True)
class SetupReport:
    """What was done, one line each; empty when everything was there already."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        self.lines.append(line)


def set_up() -> SetupReport:
    """Make everything that is missing, in one transaction.

    :raises ConfigurationError: a value of ``settings.TIKHUB`` cannot be used; nothing was changed.
    """
    report = SetupReport()
    with transaction.atomic(using=router.db_for_write(ConfigVersion)):
        # The lock: the same row that every change of configuration raises.
        ConfigVersion.objects.select_for_update().get_or_create(pk=1)
        _make_groups(report)
        _make_schedules(report)
        _seed_prices(report)
        _apply_environment(settings.ENVIRONMENT_UPSTREAMS, report)
        _make_first_key(settings.FIRST_KEY, report)
    return report


def create_usual_routes(upstream: Upstream) -> int:
    """Routes for the families of models that usually belong to the upstream's provider; how many were made.

    None for a provider without families (any OpenAI-compatible host): its names are the operator's to give.
    """
    return _create_routes(upstream, get_provider(upstream.provider).model_patterns)


def _create_routes(upstream: Upstream, patterns: Iterable[str]) -> int:
    priority = SANDBOX_PRIORITY if upstream.is_sandbox else ENVIRONMENT_PRIORITY
    made = 0
    for pattern in patterns:
        _, created = Route.all_rows().get_or_create(
            pattern=pattern, upstream=upstream, upstream_model="", defaults={"priority": priority}
        )
        made += created
    return made


def _make_groups(report: SetupReport) -> None:
    for name, tables in PERMISSIONS.items():
        group, created = Group.objects.get_or_create(name=name)
        wanted = [_permission(model, action) for model, actions in tables.items() for action in actions]
        missing = set(wanted) - set(group.permissions.all())
        if missing:
            group.permissions.add(*missing)
            report.add(f"group “{name}” {'made' if created else f'given {len(missing)} permissions'}")


def _permission(model: type[Model], action: str) -> Permission:
    codename = f"{action}_{model._meta.model_name}"
    content_type = ContentType.objects.get_for_model(model)
    try:
        return Permission.objects.get(content_type=content_type, codename=codename)
    except Permission.DoesNotExist:
        # `migrate` makes them at its very end; a host that migrates in its own way may not have got there.
        create_permissions(apps.get_app_config("tikhub_app"), verbosity=0)
        return Permission.objects.get(content_type=content_type, codename=codename)


def _make_schedules(report: SetupReport) -> None:
    """One row for each schedule; its next run and everything else that an operator may set stays."""
    if not apps.is_installed("django_q"):
        report.add("no schedules made: django_q is not installed; run tikhub_reconcile and tikhub_prune by other means")
        return
    schedules = apps.get_model("django_q", "Schedule")._default_manager
    for name, columns in SCHEDULES.items():
        rows = list(schedules.filter(name=name).order_by("pk"))
        if not rows:
            schedules.create(name=name, **columns)
            report.add(f"schedule “{name}” made")
            continue
        # django-q2 does not keep names unique.
        schedules.filter(pk__in=[row.pk for row in rows[1:]]).delete()
        if any(getattr(rows[0], column) != value for column, value in columns.items()):
            schedules.filter(pk=rows[0].pk).update(**columns)
            report.add(f"schedule “{name}” brought up to date")


def _seed_prices(report: SetupReport) -> None:
    """Add the shipped prices that are not there; a row of the same model and day is never touched."""
    present = set(ModelPrice.all_rows().values_list("provider", "model", "effective_from"))
    missing = [
        ModelPrice(
            provider=price.provider,
            model=price.model,
            effective_from=price.effective_from,
            source=PriceSource.SEED,
            **price.rates,
        )
        for price in shipped_prices()
        if (price.provider, price.model, price.effective_from) not in present
    ]
    if missing:
        ModelPrice.all_rows().bulk_create(missing)
        report.add(f"{len(missing)} prices added")


def _apply_environment(descriptions: Iterable[Mapping[str, Any]], report: SetupReport) -> None:
    """Make the upstreams that the environment describes, and let unedited ones follow it."""
    described: set[str] = set()
    for description in descriptions:
        described.add(description["name"])
        _apply_description(description, report)
    # One by one, so that each change is a save with its signals.
    for upstream in Upstream.all_rows().filter(managed_by_environment=True, enabled=True).exclude(name__in=described):
        upstream.enabled = False
        upstream.save(update_fields=["enabled"])
        report.add(f"upstream {upstream.name} disabled: the environment no longer describes it")


def _apply_description(description: Mapping[str, Any], report: SetupReport) -> None:
    columns = {
        "provider": get_provider(description["provider"]).name,
        "base_url": description["base_url"],
        "credential": _credential_reference(description),
        "is_sandbox": bool(description.get("is_sandbox", False)),
        "enabled": True,
    }
    upstream = Upstream.all_rows().filter(name=description["name"]).first()
    if upstream is None:
        upstream = Upstream(name=description["name"], managed_by_environment=True, **columns)
        _validate(upstream)
        upstream.save()
        routes = _create_routes(upstream, description.get("patterns", ()))
        report.add(f"upstream {upstream.name} made, with {routes} routes")
        return
    if not upstream.managed_by_environment:
        return
    changed = [column for column, value in columns.items() if getattr(upstream, column) != value]
    if not changed:
        return
    if "is_sandbox" in changed:
        _move_routes(upstream, is_sandbox=columns["is_sandbox"])
    for column in changed:
        setattr(upstream, column, columns[column])
    _validate(upstream)
    upstream.save(update_fields=changed)
    report.add(f"upstream {upstream.name} follows the environment: {', '.join(changed)}")


def _move_routes(upstream: Upstream, *, is_sandbox: bool) -> None:
    """Keep the order of sandbox and real accounts when one turns into the other; other priorities stay."""
    before, after = (ENVIRONMENT_PRIORITY, SANDBOX_PRIORITY) if is_sandbox else (SANDBOX_PRIORITY, ENVIRONMENT_PRIORITY)
    Route.all_rows().filter(upstream=upstream, priority=before).update(priority=after)


def _credential_reference(description: Mapping[str, Any]) -> str:
    reference: str = description.get("credential", "")
    if reference and not reference.startswith(ENVIRONMENT_PREFIX):
        # The value is not repeated: it may be a secret.
        raise ConfigurationError(
            f"TIKHUB['ENVIRONMENT_UPSTREAMS'] {description['name']!r}: credential must be env:NAME or empty."
        )
    return reference


def _validate(upstream: Upstream) -> None:
    try:
        upstream.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        problems = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
        raise ConfigurationError(f"TIKHUB['ENVIRONMENT_UPSTREAMS'] {upstream.name!r}: {problems}") from error


def _make_first_key(secret: str, report: SetupReport) -> None:
    """A key with the value that the operator chose, unless it exists; one that was revoked stays so."""
    if not secret or ApiKey.all_rows().filter(key_hash=digest(secret)).exists():
        return
    earlier = ApiKey.objects.active().filter(name=FIRST_KEY_NAME).count()
    try:
        key, _ = ApiKey.issue(secret=secret, name=FIRST_KEY_NAME)
    except ValidationError as error:
        raise ConfigurationError(f"TIKHUB['FIRST_KEY'] cannot be used: {' '.join(error.messages)}") from error
    report.add(f"key “{FIRST_KEY_NAME}” made ({key.prefix}…)")
    if earlier:
        report.add(f"{earlier} earlier “{FIRST_KEY_NAME}” still works; revoke it with tikhub_key revoke PREFIX")
