"""The documentation page in a browser: complete without the internet, and usable by a signed-in user."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_the_page_shows_guides_and_operations_and_a_session_may_try_them(console: Page) -> None:
    console.goto("/api/docs/")
    page = console.locator("#swagger-ui")
    for shown in ("Overview", "Authentication", "Streaming API", "OpenAI chat completion", "List requests"):
        expect(page).to_contain_text(shown, timeout=60_000)
    operation = console.locator(".opblock", has_text="Create an API key")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("textarea").first.fill('{"name": "From the documentation"}')
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table")
    expect(answer).to_contain_text("201", timeout=20_000)  # so the token was sent along
    expect(answer).to_contain_text("From the documentation")
