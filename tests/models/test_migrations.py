"""Every model change ships with its migration."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    output = io.StringIO()
    try:
        call_command("makemigrations", "tikhub_app", check=True, dry_run=True, stdout=output)
    except SystemExit:
        pytest.fail(output.getvalue())
