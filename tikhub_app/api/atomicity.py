"""Views that must not run inside a transaction, whatever a host's ``ATOMIC_REQUESTS`` say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings as django_settings
from django.db import transaction

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


def never_atomic(view: ViewT) -> ViewT:
    """Mark a view for every database of the host; Django's own decorator takes one alias at a time."""
    for alias in django_settings.DATABASES:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view
