"""The three places that name dependencies agree, and the lock files hold what `make run` relies on."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.services import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def declared(name: str) -> set[str]:
    """The requirement lines of requirements/<name>.in."""
    lines = (REPOSITORY / "requirements" / f"{name}.in").read_text().splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-r"))}


def locked(name: str) -> dict[str, str]:
    """Package to version in requirements/<name>.txt."""
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", text, flags=re.MULTILINE))


def test_the_service_locks_what_the_package_declares() -> None:
    # The lock stays with the long-term release of Django; the package itself works with later ones.
    of_the_package = {*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["service"]}
    assert declared("base") == of_the_package - {"django>=5.2"} | {"django>=5.2,<5.3"}
    assert set(PROJECT["optional-dependencies"]["postgres"]) <= declared("base")


def test_developers_lock_what_the_package_declares() -> None:
    assert declared("dev") == set(PROJECT["optional-dependencies"]["dev"])


def test_tests_run_on_the_versions_that_are_served() -> None:
    assert locked("base").items() <= locked("dev").items()


@pytest.mark.parametrize("name", ["base", "dev"])
def test_every_locked_package_has_hashes_and_no_index_is_named(name: str) -> None:
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=[a-z])", text.strip())
    assert len(entries) == len(locked(name)) > 20
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"https?://|--(?:extra-)?index|--find-\w+|^/", text, flags=re.MULTILINE) == []
