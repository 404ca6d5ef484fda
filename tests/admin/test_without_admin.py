"""A host that has no Django admin: nothing of the console gets in its way."""

from __future__ import annotations

import subprocess
import sys

from tests.services import REPOSITORY

HOST = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "django_q", "tikhub_app"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    SECRET_KEY="tests-only",
)
import django
django.setup()
from django.template import engines
print(engines["django"].from_string("{% load tikhub_console %}{{ share|percent }}").render({"share": 0.5}))
assert "tikhub_app.templatetags.tikhub_console" in sys.modules
assert "django.contrib.admin.models" not in sys.modules
"""


def test_templates_are_rendered_in_a_host_without_the_admin() -> None:
    host = subprocess.run(
        [sys.executable, "-c", HOST], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert host.returncode == 0, host.stderr
    assert host.stdout == "50 %\n"
