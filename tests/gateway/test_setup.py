"""Setting up: everything once, whoever runs it how often, and nothing of the operator's changed back."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone
from django_q.models import Schedule
from pytest_django import Settings

from tests.services import REPOSITORY
from tikhub_app.exceptions import ConfigurationError
from tikhub_app.gateway.prices_file import RATES, shipped_prices
from tikhub_app.gateway.setup import OPERATORS, VIEWERS, create_usual_routes, set_up
from tikhub_app.models import ApiKey, ConfigVersion, ModelPrice, PriceSource, Route, Upstream
from tikhub_app.providers.registry import PROVIDERS, get_provider

OPENAI: dict[str, Any] = {
    "name": "env-openai",
    "provider": "openai",
    "base_url": "https://api.openai.example/v1",
    "credential": "env:OPENAI_API_KEY",
    "is_sandbox": False,
    "patterns": ["gpt-*", "o3*"],
}
SANDBOX = OPENAI | {
    "name": "sandbox-openai",
    "base_url": "http://127.0.0.1:8099/openai/v1",
    "credential": "",
    "is_sandbox": True,
}
FIRST_KEY = "chosen-by-the-operator-1"


def describe(settings: Settings, *upstreams: dict[str, Any], **others: Any) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "ENVIRONMENT_UPSTREAMS": list(upstreams), **others}


@pytest.mark.django_db
class TestGroups:
    def test_operators_change_the_configuration_and_only_look_at_facts(self) -> None:
        set_up()
        user = get_user_model().objects.create_user("operator")
        user.groups.add(Group.objects.get(name=OPERATORS))

        for table in ("apikey", "upstream", "route", "modelprice"):
            for action in ("add", "change", "delete", "view"):
                assert user.has_perm(f"tikhub_app.{action}_{table}")
        for table in ("gatewayrequest", "attempt", "requestpayload", "contentfilterresult"):
            assert user.has_perm(f"tikhub_app.view_{table}")
            assert not user.has_perm(f"tikhub_app.change_{table}")
            assert not user.has_perm(f"tikhub_app.delete_{table}")
        assert not user.has_perm("auth.change_user")

    def test_viewers_see_facts_without_payloads_and_change_nothing(self) -> None:
        set_up()
        user = get_user_model().objects.create_user("viewer")
        user.groups.add(Group.objects.get(name=VIEWERS))

        assert user.has_perm("tikhub_app.view_gatewayrequest")
        assert user.has_perm("tikhub_app.view_attempt")
        assert not user.has_perm("tikhub_app.view_requestpayload")
        assert all(name.startswith("tikhub_app.view_") for name in user.get_all_permissions())

    def test_permissions_that_an_operator_added_stay(self) -> None:
        set_up()
        viewers, operators = Group.objects.get(name=VIEWERS), Group.objects.get(name=OPERATORS)
        payloads = operators.permissions.get(codename="view_requestpayload")
        viewers.permissions.add(payloads)

        set_up()

        assert payloads in viewers.permissions.all()


@pytest.mark.django_db
class TestSchedules:
    def test_there_is_one_row_for_each_and_its_next_run_stays(self) -> None:
        set_up()
        later = timezone.now() + timedelta(hours=5)
        Schedule.objects.filter(name="tikhub: prune").update(next_run=later, func="old.path", schedule_type="W")
        Schedule.objects.create(name="tikhub: reconcile", func="tikhub_app.tasks.reconcile")

        set_up()

        rows = Schedule.objects.order_by("name").values_list("name", "func", "schedule_type", "minutes")
        assert list(rows) == [
            ("tikhub: prune", "tikhub_app.tasks.prune", Schedule.DAILY, None),
            ("tikhub: reconcile", "tikhub_app.tasks.reconcile", Schedule.MINUTES, 1),
        ]
        assert Schedule.objects.get(name="tikhub: prune").next_run == later

    def test_without_django_q_it_says_what_is_left_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tikhub_app.gateway.setup.apps.is_installed", lambda name: name != "django_q")

        assert any("run tikhub_reconcile" in line for line in set_up().lines)
        assert not Schedule.objects.exists()


class TestPrices:
    def test_every_shipped_price_is_valid_and_once(self) -> None:
        prices = shipped_prices()

        assert len(prices) > 50
        assert len({(price.provider, price.model, price.effective_from) for price in prices}) == len(prices)
        for price in prices:
            row = ModelPrice(
                provider=price.provider, model=price.model, effective_from=price.effective_from, **price.rates
            )
            row.clean_fields()
            assert set(price.rates) <= set(RATES)
            assert price.provider in PROVIDERS
            assert price.source
            assert date(2023, 1, 1) <= price.effective_from <= date(2027, 1, 1)
            assert all(Decimal(0) <= rate < 1000 for rate in price.rates.values())
            assert price.rates.get("cache_read_usd", Decimal(0)) <= price.rates["input_usd"]

    @pytest.mark.parametrize(
        "model", ["gpt-4o", "gpt-4o-2024-11-20", "gpt-4.1-mini", "gpt-5", "gpt-5-nano-2025-08-07", "o3", "o4-mini"]
    )
    def test_models_and_their_dated_snapshots_are_priced_and_routed(self, model: str) -> None:
        matching = [price for price in shipped_prices() if Route(pattern=price.model).matches(model)]

        assert matching
        assert any(Route(pattern=pattern).matches(model) for pattern in get_provider("openai").model_patterns)

    @pytest.mark.django_db
    def test_rows_of_the_operator_are_never_touched(self) -> None:
        shipped = shipped_prices()[0]
        mine = ModelPrice.objects.create(
            provider=shipped.provider,
            model=shipped.model,
            effective_from=shipped.effective_from,
            input_usd=Decimal(99),
            output_usd=Decimal(99),
        )

        set_up()

        mine.refresh_from_db()
        assert (mine.input_usd, mine.source) == (Decimal(99), PriceSource.OPERATOR)
        assert ModelPrice.objects.filter(source=PriceSource.SEED).count() == len(shipped_prices()) - 1


@pytest.mark.django_db
class TestEnvironmentUpstreams:
    def test_they_are_made_with_a_reference_and_routes(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret")
        describe(settings, OPENAI, SANDBOX)

        set_up()

        upstream = Upstream.objects.get(name="env-openai")
        assert upstream.credential == "env:OPENAI_API_KEY"
        assert upstream.managed_by_environment
        routes = Route.objects.values_list("upstream__name", "pattern", "priority")
        assert set(routes) == {
            ("env-openai", "gpt-*", 100),
            ("env-openai", "o3*", 100),
            ("sandbox-openai", "gpt-*", 1000),
            ("sandbox-openai", "o3*", 1000),
        }

    def test_an_edited_row_is_left_alone(self, settings: Settings) -> None:
        describe(settings, OPENAI)
        set_up()
        Upstream.objects.filter(name="env-openai").update(
            base_url="https://proxy.example/v1", managed_by_environment=False
        )

        set_up()
        describe(settings)
        set_up()

        upstream = Upstream.objects.get(name="env-openai")
        assert (upstream.base_url, upstream.enabled) == ("https://proxy.example/v1", True)

    def test_one_that_an_operator_switched_off_stays_off(self, settings: Settings) -> None:
        describe(settings, OPENAI)
        set_up()
        Upstream.objects.update(enabled=False, managed_by_environment=False)

        set_up()

        assert not Upstream.objects.get().enabled

    def test_an_unedited_row_follows_the_environment(self, settings: Settings) -> None:
        describe(settings, OPENAI)
        set_up()
        describe(settings)
        set_up()
        assert not Upstream.objects.get().enabled

        describe(settings, OPENAI | {"base_url": "https://elsewhere.example/v1"})
        set_up()

        upstream = Upstream.objects.get()
        assert (upstream.enabled, upstream.base_url) == (True, "https://elsewhere.example/v1")

    def test_routes_that_were_deleted_do_not_come_back(self, settings: Settings) -> None:
        describe(settings, OPENAI)
        set_up()
        Route.objects.filter(pattern="o3*").delete()

        set_up()

        assert [route.pattern for route in Route.objects.all()] == ["gpt-*"]

    def test_a_sandbox_that_becomes_a_real_account_moves_its_routes_forward(self, settings: Settings) -> None:
        describe(settings, SANDBOX | {"name": "env-openai"})
        set_up()
        Route.objects.filter(pattern="o3*").update(priority=5)
        describe(settings, OPENAI)

        set_up()

        assert not Upstream.objects.get().is_sandbox
        assert dict(Route.objects.values_list("pattern", "priority")) == {"gpt-*": 100, "o3*": 5}

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"credential": "sk-planted-secret"}, "must be env:NAME"),
            ({"provider": "nobody"}, "no provider 'nobody'"),
            ({"name": "not a slug"}, "name: "),
        ],
    )
    def test_a_wrong_description_changes_nothing_and_keeps_secrets_to_itself(
        self, settings: Settings, wrong: dict[str, Any], words: str
    ) -> None:
        describe(settings, OPENAI | wrong)

        with pytest.raises(ConfigurationError, match=words) as raised:
            set_up()

        assert "planted" not in str(raised.value)
        assert not Upstream.objects.exists()
        assert not ModelPrice.objects.exists()


@pytest.mark.django_db
class TestUsualRoutes:
    def test_they_are_the_families_of_the_provider_and_made_once(self) -> None:
        upstream = Upstream.objects.create(name="main", provider="openai", base_url="https://api.example/v1")

        assert create_usual_routes(upstream) == len(get_provider("openai").model_patterns)
        assert create_usual_routes(upstream) == 0
        assert {route.pattern for route in upstream.routes.all()} == set(get_provider("openai").model_patterns)

    def test_a_compatible_host_has_none(self) -> None:
        upstream = Upstream.objects.create(
            name="ollama", provider="openai_compatible", base_url="http://127.0.0.1:1/v1"
        )

        assert create_usual_routes(upstream) == 0


@pytest.mark.django_db
class TestFirstKey:
    def test_it_is_made_once_and_not_again_after_revocation(self, settings: Settings) -> None:
        describe(settings, FIRST_KEY=FIRST_KEY)
        set_up()
        key = ApiKey.objects.get(name="first key")
        key.revoke()

        set_up()

        assert ApiKey.objects.get().state == "revoked"

    def test_another_value_makes_another_key_and_tells_of_the_earlier_one(self, settings: Settings) -> None:
        describe(settings, FIRST_KEY=FIRST_KEY)
        set_up()
        describe(settings, FIRST_KEY="another-" + FIRST_KEY)

        report = set_up()

        assert ApiKey.objects.count() == 2
        assert any("still works" in line for line in report.lines)
        assert FIRST_KEY not in "\n".join(report.lines)

    def test_one_that_is_too_short_is_an_error_that_does_not_show_it(self, settings: Settings) -> None:
        describe(settings, FIRST_KEY="planted")

        with pytest.raises(ConfigurationError, match="FIRST_KEY") as raised:
            set_up()
        assert "planted" not in str(raised.value)


@pytest.mark.django_db
def test_a_second_run_changes_nothing(settings: Settings) -> None:
    describe(settings, OPENAI, SANDBOX, FIRST_KEY=FIRST_KEY)
    assert set_up().lines
    before = ConfigVersion.objects.get().version

    assert set_up().lines == []

    assert ConfigVersion.objects.get().version == before


SET_UP = """
import sys, django; django.setup()
from tikhub_app.gateway.setup import set_up
sys.stdin.readline()
print(len(set_up().lines))
"""
COUNT = """
import django; django.setup()
from django.contrib.auth.models import Group
from django_q.models import Schedule
from tikhub_app.models import ApiKey, ModelPrice, Route, Upstream
print(*(model.objects.count() for model in (Group, Schedule, Upstream, Route, ApiKey)), ModelPrice.objects.count())
"""


def test_processes_that_set_up_at_once_make_everything_once(database_url: str) -> None:
    environment = os.environ | {
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "OPENAI_API_KEY": "sk-of-the-test",
        "TIKHUB_API_KEY": FIRST_KEY,
    }

    def start(script: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def output(process: subprocess.Popen[str]) -> str:
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        return printed

    together = [start(SET_UP) for _ in range(3)]
    for process in together:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = sorted(int(output(process)) for process in together)

    assert lines[:2] == [0, 0]
    assert lines[2] > 0
    routes = len(get_provider("openai").model_patterns)
    assert output(start(COUNT)).split() == ["2", "2", "1", str(routes), "1", str(len(shipped_prices()))]
