"""Who looks at the console in these tests: an operator who may do everything, and staff with chosen permissions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tikhub_app.gateway.statistics import forget_hours


@pytest.fixture(autouse=True)
def no_hours_kept() -> Iterator[None]:
    """Hours kept from another test's database must not be shown in this one."""
    forget_hours()
    yield
    forget_hours()


@pytest.fixture
def operator(db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_superuser("operator", "operator@example.org", "secret")


@pytest.fixture
def console(operator: Any) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def staff(db: None, django_user_model: Any) -> Callable[..., Client]:
    """A client of a staff member with these permissions of the app and no others."""

    def log_in(*permissions: str) -> Client:
        person = django_user_model.objects.create_user(f"staff{django_user_model.objects.count()}", is_staff=True)
        granted = Permission.objects.filter(content_type__app_label="tikhub_app", codename__in=permissions)
        assert granted.count() == len(permissions)
        person.user_permissions.set(granted)
        client = Client()
        client.force_login(person)
        return client

    return log_in
