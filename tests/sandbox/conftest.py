"""One sandbox for each worker, emptied before each test, and clients for it."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tikhub_app.sandbox.process import SandboxProcess


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: SandboxProcess) -> SandboxProcess:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="any", base_url=sandbox.openai_url, max_retries=0) as client:
        yield client


@pytest.fixture
def request_body() -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Where does the Danube meet the sea?"}]}
