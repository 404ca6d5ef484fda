"""What the standalone service makes of its environment variables."""

from __future__ import annotations

import pytest

from project.environment import PROVIDERS, SHORTEST_API_KEY, Environment, InvalidEnvironment
from tikhub_app.models import key_format


def test_it_needs_no_variable_at_all() -> None:
    environment = Environment.read({})
    assert (environment.host, environment.port) == ("127.0.0.1", 8000)
    assert environment.database_url == f"sqlite:///{environment.var_dir}/db.sqlite3"
    assert environment.durability == "process"
    assert environment.all_allowed_hosts() == ["localhost", "127.0.0.1", "[::1]"]
    assert environment.upstreams == ()


def test_a_key_makes_an_upstream_that_holds_a_reference_and_never_the_value() -> None:
    upstreams = Environment.read({"OPENAI_API_KEY": "sk-planted"}).upstreams
    assert [upstream.as_setting() for upstream in upstreams] == [
        {
            "name": "env-openai",
            "provider": "openai",
            "base_url": "https://api.openai.com/v1",
            "credential": "env:OPENAI_API_KEY",
            "is_sandbox": False,
            "patterns": ["gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "text-embedding-*", "whisper-*"],
        }
    ]
    assert "sk-planted" not in repr(upstreams)


def test_a_base_url_without_a_key_is_a_compatible_server_that_asks_for_none() -> None:
    (upstream,) = Environment.read({"OPENAI_BASE_URL": "http://localhost:11434/v1/"}).upstreams
    assert (upstream.provider, upstream.base_url, upstream.credential_reference, upstream.sandbox) == (
        "openai_compatible",
        "http://localhost:11434/v1",
        "",
        False,
    )


def test_the_sandbox_answers_only_where_it_is_asked_for_and_no_account_is_given() -> None:
    upstreams = Environment.read({"TIKHUB_SANDBOX": "1", "SANDBOX_PORT": "9001"}).upstreams
    assert {upstream.name: upstream.base_url for upstream in upstreams} == {
        f"sandbox-{known.provider}": f"http://127.0.0.1:9001{known.sandbox_path}" for known in PROVIDERS
    }
    assert all(upstream.sandbox and upstream.credential_reference == "" for upstream in upstreams)

    with_one_key = {"TIKHUB_SANDBOX": "1", "ANTHROPIC_API_KEY": "sk-ant-planted"}
    names = {upstream.name: upstream.sandbox for upstream in Environment.read(with_one_key).upstreams}
    assert names["env-anthropic"] is False
    assert "sandbox-anthropic" not in names
    assert names["sandbox-openai"] is True
    assert Environment.read({"TIKHUB_SANDBOX": "0"}).upstreams == ()


def test_a_base_url_alone_is_no_account_where_every_server_wants_a_key() -> None:
    assert Environment.read({"ANTHROPIC_BASE_URL": "https://claude.example.com"}).upstreams == ()


@pytest.mark.parametrize(
    "variables",
    [
        {"OPENAI_BASE_URL": "http://localhost:8000/v1"},
        {"OPENAI_BASE_URL": "http://127.0.0.1:9000/v1", "PORT": "9000"},
        {"OPENAI_BASE_URL": "https://ai.example.com/v1", "PUBLIC_URL": "https://ai.example.com"},
    ],
)
def test_the_lines_printed_for_callers_do_not_make_the_service_call_itself(variables: dict[str, str]) -> None:
    pasted = variables | {"OPENAI_API_KEY": "sk-tkh-of-this-service"}
    assert Environment.read(pasted).upstreams == ()
    assert all(upstream.sandbox for upstream in Environment.read(pasted | {"TIKHUB_SANDBOX": "1"}).upstreams)


def test_a_public_url_is_trusted_and_decides_about_https() -> None:
    environment = Environment.read(
        {"HOST": "::", "PUBLIC_URL": "https://ai.example.com:8443/", "ALLOWED_HOSTS": "ai.internal, 10.0.0.5"}
    )
    assert environment.public_url == environment.public_origin == "https://ai.example.com:8443"
    assert environment.is_https
    assert environment.all_allowed_hosts() == [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "ai.example.com",
        "ai.internal",
        "10.0.0.5",
    ]
    assert environment.local_url == "http://[::1]:8000"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("SANDBOX_PORT", "0"),
        ("TIKHUB_SANDBOX", "maybe"),
        ("TIKHUB_DURABILITY", "full"),
        ("TIKHUB_API_KEY", "x" * (SHORTEST_API_KEY - 1)),
        ("PUBLIC_URL", "ai.example.com"),
        ("PUBLIC_URL", "https://user:secret@ai.example.com"),
        ("OPENAI_BASE_URL", "file:///etc/passwd"),
        ("OPENAI_BASE_URL", "http://host:99999/v1"),
        ("DATABASE_CONN_MAX_AGE", "-1"),
    ],
)
def test_a_wrong_value_is_refused_by_its_variables_name(name: str, value: str) -> None:
    with pytest.raises(InvalidEnvironment, match=f"^{name} "):
        Environment.read({name: value})


def test_it_asks_for_keys_as_long_as_the_app_does() -> None:
    assert SHORTEST_API_KEY == key_format.SHORTEST_FOREIGN_KEY
