"""Brings the database of the standalone service up to date; run by the supervisor before anything is served.

``python -m project.prepare`` migrates, runs ``tikhub_setup``, and on the first run makes the administrator and the
first gateway key. It is safe to run again. What it made for people to read goes to stdout as one JSON object, to the
supervisor alone: the administrator's password is not stored anywhere in clear.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from dataclasses import asdict, dataclass

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError

ADMINISTRATOR = "admin"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run of this module made or found."""

    #: The administrator's new password; empty when there was a superuser before, or the operator chose it.
    admin_password: str
    #: Whether this run made the administrator.
    made_admin: bool
    #: The gateway key kept in ``var/gateway-key``; empty where none is kept.
    gateway_key: str


def prepare() -> Prepared:
    """Migrate, set up, and see that there is somebody to sign in and a key to call with."""
    from django_q.tasks import async_task

    call_command("migrate", interactive=False, verbosity=0, stdout=sys.stderr)
    call_command("tikhub_setup", stdout=sys.stderr)
    # What processes that were killed left open is closed at once; and the sign of life that the task leaves is what
    # /readyz waits for after a long pause. The cluster's own scheduler would come to it half a minute later.
    async_task("tikhub_app.tasks.reconcile")
    made_admin, admin_password = _administrator()
    return Prepared(admin_password=admin_password, made_admin=made_admin, gateway_key=_gateway_key())


def _administrator() -> tuple[bool, str]:
    """Whether the first superuser was made now, and the password made for it."""
    from django.conf import settings
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager
    if users.filter(is_superuser=True).exists():
        return False, ""
    chosen = settings.ENVIRONMENT.admin_password
    password = chosen or secrets.token_urlsafe(12)
    get_user_model().objects.create_superuser(username=ADMINISTRATOR, email="", password=password)
    return True, "" if chosen else password


def _gateway_key() -> str:
    """The key in ``var/gateway-key``, made with the first run; empty where none is kept or it is not valid any more."""
    from django.conf import settings
    from django.contrib.auth import get_user_model

    from project.secrets_file import GATEWAY_KEY_FILE, read_secret, write_secret
    from tikhub_app.models import ApiKey, key_format

    path = settings.ENVIRONMENT.var_dir / GATEWAY_KEY_FILE
    kept = read_secret(path)
    if not ApiKey.objects.exists():
        # Written before it is stored, so that no run can end with a key that nobody knows. A file that outlived its
        # database is used again: callers have that key.
        kept = kept or write_secret(path, key_format.generate())
        owner = get_user_model()._default_manager.filter(is_superuser=True).order_by("pk").first()
        ApiKey.issue(secret=kept, name="first key", owner=owner)
    if kept is None or not ApiKey.objects.active().filter(key_hash=key_format.digest(kept)).exists():
        return ""
    return kept


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    try:
        django.setup()
        prepared = prepare()
    except (ImproperlyConfigured, CommandError, OperationalError) as error:
        # The operator can do something about these, and needs no traceback for it.
        sys.exit(f"tikhub: {str(error).strip()}")
    sys.stdout.write(json.dumps(asdict(prepared)))


if __name__ == "__main__":
    main()
