"""The console in Chromium: it works, loads nothing from elsewhere, and can be looked at.

``TIKHUB_SCREENSHOTS=directory`` keeps the pictures of every page in light, dark and narrow.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect

pytestmark = pytest.mark.browser

PAGES = {
    "index": "/admin/",
    "dashboard": "/admin/tikhub_app/dashboard/",
    "keys": "/admin/tikhub_app/apikey/",
    "key-add": "/admin/tikhub_app/apikey/add/",
    "key": "/admin/tikhub_app/apikey/1/change/",
    "key-revoke": "/admin/tikhub_app/apikey/revoke/?ids=1,2",
    "key-rotate": "/admin/tikhub_app/apikey/rotate/?ids=1",
    "upstreams": "/admin/tikhub_app/upstream/",
    "upstream-add": "/admin/tikhub_app/upstream/add/",
    "upstream": "/admin/tikhub_app/upstream/2/change/",
    "routes": "/admin/tikhub_app/route/?serves=gpt-4o",
    "prices": "/admin/tikhub_app/modelprice/",
    "price-shipped": "/admin/tikhub_app/modelprice/1/change/",
    "requests": "/admin/tikhub_app/gatewayrequest/",
    "attempts": "/admin/tikhub_app/attempt/",
    "content-filter": "/admin/tikhub_app/contentfilterresult/",
    "processes": "/admin/tikhub_app/gatewayprocess/",
}
LOOKS = {
    "light": ({"width": 1360, "height": 900}, "light"),
    "dark": ({"width": 1360, "height": 900}, "dark"),
    "narrow": ({"width": 390, "height": 844}, "light"),
}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("TIKHUB_SCREENSHOTS")
    directory = Path(kept) if kept else tmp_path_factory.mktemp("pictures")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_fits_its_window_and_loads_nothing_from_elsewhere(console: Page, pictures: Path, look: str) -> None:
    size, scheme = LOOKS[look]
    console.set_viewport_size(size)  # type: ignore[arg-type]
    console.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for name, address in PAGES.items():
        answer = console.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        console.screenshot(path=pictures / f"{name}-{look}.png", full_page=True)
        # Wide tables scroll within their box; the page itself never does.
        assert console.evaluate("document.documentElement.scrollWidth") <= size["width"], f"{name} is wider than {look}"
    console.goto("/admin/tikhub_app/gatewayrequest/")
    console.click("#result_list tbody tr:first-child a")
    console.click(".tikhub-payload summary >> nth=0")
    console.screenshot(path=pictures / f"request-{look}.png", full_page=True)
    assert console.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_a_new_key_can_be_copied_once_and_revoked(console: Page, pictures: Path) -> None:
    console.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.goto("/admin/tikhub_app/apikey/add/")
    console.fill("#id_name", "Made in the browser")
    console.fill("#id_allowed_models", "gpt-*\nclaude-*")
    console.click("input[name=_save]")
    secret = console.input_value(".tikhub-secret input")
    assert re.fullmatch(r"sk-tkh-[0-9A-Za-z]{38}", secret)
    console.click("button[data-tikhub-copy]")
    expect(console.locator(".tikhub-copied")).to_have_text("Copied.")
    assert console.evaluate("navigator.clipboard.readText()") == secret
    console.screenshot(path=pictures / "key-secret-light.png", full_page=True)

    console.click("text=Done, to the list of keys")
    assert secret not in console.content()
    row = console.locator("#result_list tbody tr", has_text="Made in the browser")
    expect(row).to_contain_text("Active")
    expect(row).to_contain_text("gpt-*, claude-*")
    with pytest.raises(Error, match="ERR_CACHE_MISS"):  # the browser kept no copy of the page
        console.go_back()
    console.wait_for_url("chrome-error://chromewebdata/")

    console.goto("/admin/tikhub_app/apikey/")
    console.locator("#result_list tbody tr", has_text="Made in the browser").locator("th a").click()
    console.click("text=Revoke")
    console.click("input[type=submit][value='Revoke this key']")
    expect(console.locator(".messagelist")).to_contain_text("revoked")
    expect(console.locator(".field-shown_state")).to_contain_text("Revoked")


def test_the_dashboard_leads_to_the_requests_of_an_hour(console: Page) -> None:
    console.goto("/admin/tikhub_app/dashboard/")
    assert console.locator(".tikhub-bar").count() >= 23
    expect(console.locator("body")).to_contain_text("The provider refuses the API key of openai-eu")
    expect(console.locator("body")).to_contain_text("No price is known for gpt-6-preview-0701")
    expect(console.locator("body")).to_contain_text("1 call is still open although the gateway process has died")
    console.locator(".tikhub-chart a").nth(12).click()
    expect(console.locator("#changelist-filter")).to_contain_text("Hour from")
    assert console.locator("#result_list tbody tr").count() > 10


def test_choosing_a_provider_fills_in_its_address(console: Page) -> None:
    console.goto("/admin/tikhub_app/upstream/add/")
    assert console.input_value("#id_base_url") == "https://api.openai.com/v1"
    console.select_option("#id_provider", "openai_compatible")
    assert console.input_value("#id_base_url") == ""
    console.fill("#id_base_url", "http://127.0.0.1:11434/v1")
    console.select_option("#id_provider", "openai")
    assert console.input_value("#id_base_url") == "http://127.0.0.1:11434/v1"
