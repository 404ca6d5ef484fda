"""What ``make run`` prints once the service answers: where the console is, and lines to paste into a shell."""

from __future__ import annotations

from project.environment import Environment
from project.prepare import ADMINISTRATOR, Prepared
from project.secrets_file import GATEWAY_KEY_FILE

CHAT = (
    'curl "$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer $OPENAI_API_KEY"'
    " -H 'Content-Type: application/json'"
    """ -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'"""
)


def greeting(environment: Environment, prepared: Prepared) -> str:
    base = environment.public_url or environment.local_url
    key, about_key = _key(environment, prepared)
    lines = [
        "",
        "TikHub AI Gateway is ready. Ctrl-C stops it.",
        "",
        f"  console   {base}/admin/",
        f"            user {ADMINISTRATOR}, {_password(environment, prepared)}",
        f"  key       {about_key}",
    ]
    if any(upstream.sandbox for upstream in environment.upstreams):
        names = ", ".join(upstream.provider for upstream in environment.upstreams if upstream.sandbox)
        lines.append(
            f"  sandbox   a fake that answers for {names}; set OPENAI_API_KEY before `make run` for the real one"
        )
    lines += [
        "",
        "Paste into another shell:",
        "",
        f"export OPENAI_BASE_URL={base}/v1",
        f"export OPENAI_API_KEY={key}",
        CHAT,
        "",
        "",
    ]
    return "\n".join(lines)


def _password(environment: Environment, prepared: Prepared) -> str:
    if prepared.admin_password:
        return f"password {prepared.admin_password} (shown this once)"
    if prepared.made_admin:
        return "password as set in TIKHUB_ADMIN_PASSWORD"
    return "password as before (.venv/bin/python manage.py changepassword admin)"


def _key(environment: Environment, prepared: Prepared) -> tuple[str, str]:
    """What to export, and what is said about it."""
    if environment.api_key:
        return '"$TIKHUB_API_KEY"', "the value of TIKHUB_API_KEY"
    if prepared.gateway_key:
        return prepared.gateway_key, f"{prepared.gateway_key} (kept in {environment.var_dir / GATEWAY_KEY_FILE})"
    return "...", "no valid one is kept here; make one: .venv/bin/python manage.py tikhub_key create --name NAME"
