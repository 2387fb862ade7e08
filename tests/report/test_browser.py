"""The page in a real browser without a network: nothing is asked for, nothing complains, plots are drawn."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from align.report.collect import Facts
from align.report.page import render
from tests.report.conftest import PLANTED, PROMPTS

CHROMIUM = Path("/usr/bin/chromium")
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator["object"]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render(facts, datetime(2026, 1, 2)), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_works_offline(browser, address: str, size: str, scheme: str) -> None:
    context = browser.new_context(offline=True, viewport=SIZES[size], color_scheme=scheme)
    page = context.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_function("document.documentElement.dataset.drawn !== undefined")

    plots = page.locator(".plot")
    assert plots.count() > 20
    drawn = page.evaluate(
        "[...document.querySelectorAll('.plot')].map(p => {"
        "  const svg = p.querySelector('svg.main-svg');"
        "  const marks = p.querySelectorAll('.trace, .heatmaplayer image, .points path');"
        "  return svg && svg.clientWidth > 100 && marks.length;"
        "})"
    )
    assert all(drawn), drawn
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(17, 20, 23)") is (scheme == "dark")

    _search(page)
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    assert page.title().startswith("first")  # what the planted script would have changed
    assert page.locator(".said", has_text="document.title").first.inner_text() == PLANTED
    if folder := os.environ.get("ALIGN_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{size}-{scheme}.png", full_page=True)
    assert [url for url in requests if url != address] == []
    assert complaints == []
    context.close()


def _search(page) -> None:
    shown = page.locator(".asked:visible")
    assert shown.count() == 10
    page.locator("#more").click()
    assert shown.count() == 20
    page.locator("#search").fill("WHAT thing 41?")
    assert shown.count() == 1
    assert page.locator("#found").inner_text() == f"1 of {PROMPTS} prompts"
    page.locator("#search").fill("<SCRIPT>")
    assert shown.count() == 1
    page.locator("#search").fill("nothing says this")
    assert shown.count() == 0
    page.locator("#search").fill("onerror")
