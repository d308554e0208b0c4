"""The report in a real browser: filters, order, print, narrow screens, no scripts, hostile findings, large checks.

Needs Debian's chromium (or chromium-headless-shell) and playwright; skipped, with the reason, where they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crawler.check.outputs import write
from crawler.findings import CODES, Finding
from tests.check.made import MARKUP, hostile, made, one_of_each, pages, summary

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


class Opened:
    """A report in a browser, and what went wrong in it."""

    def __init__(self, browser: Browser, path: Path, findings: Sequence[Finding], **options: Any) -> None:
        file = path / "report.html"
        write(findings, summary(findings), file, "html")
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def shown(self) -> list[str]:
        script = "items => items.filter(item => !item.hidden).map(item => item.dataset.code)"
        found: list[str] = self.page.locator(".finding").evaluate_all(script)
        return found

    def close(self) -> None:
        """Nothing went wrong, nothing was asked for, and no markup of a site has run."""
        assert self.wrong == []
        assert len(self.asked) == 1
        self.context.close()


def test_filters_and_orders_work(browser: Browser, tmp_path: Path) -> None:
    extra = made("orphan", "https://example.org/many", pages=pages(40), since="2026-01-01T00:00:00Z")
    opened = Opened(browser, tmp_path, [*one_of_each(), extra])
    page, count = opened.page, len(CODES) + 1
    assert page.inner_text("#shown") == f"{count} of {count} shown"
    page.select_option("#severity", "notice")
    assert {CODES[code].severity for code in opened.shown()} == {"notice"}
    page.select_option("#severity", "")
    page.select_option("#code", "orphan")
    assert opened.shown() == ["orphan", "orphan"]
    page.fill("#text", "page/39 MANY")
    assert opened.shown() == ["orphan"]
    assert page.inner_text("#shown") == f"1 of {count} shown"
    page.fill("#text", "")
    page.select_option("#code", "")
    page.select_option("#order", "places")
    assert opened.shown()[0] == "orphan"
    page.select_option("#order", "severity")
    assert opened.shown() == [finding.code for finding in one_of_each()][:13] + opened.shown()[13:]
    page.click(".codes a[data-code=slow]")
    assert opened.shown() == ["slow"]
    page.select_option("#code", "")
    page.click("#open")
    assert page.locator(".finding[open]").count() == count
    page.click("#close")
    assert page.locator(".finding[open]").count() == 0
    opened.close()


def test_without_scripts_it_is_a_list(browser: Browser, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, one_of_each(), java_script_enabled=False)
    assert not opened.page.is_visible("#controls")
    opened.page.click(".finding summary >> nth=0")
    assert opened.page.is_visible(".finding .places >> nth=0")
    assert opened.page.locator(".finding").count() == len(CODES)
    opened.close()


def test_markup_of_sites_stays_text(browser: Browser, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, hostile())
    page = opened.page
    page.click("#open")
    assert MARKUP in page.inner_text("#findings")
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("document.querySelectorAll('img, iframe, [onerror], [href^=javascript]').length") == 0
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Browser, tmp_path: Path, scheme: Any) -> None:
    long = made(target="https://example.org/" + "x" * 500, cause="y" * 400)
    size = {"width": 360, "height": 740}
    opened = Opened(browser, tmp_path, [*one_of_each(), *hostile(), long], viewport=size, color_scheme=scheme)
    opened.page.click("#open")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 360
    light, dark = (246, 247, 249), (18, 21, 26)
    shown = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shown == f"rgb{light if scheme == 'light' else dark}"
    opened.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_what_is_closed_is_printed_too(browser: Browser, tmp_path: Path, scripts: bool) -> None:
    opened = Opened(browser, tmp_path, one_of_each(), java_script_enabled=scripts)
    opened.page.emulate_media(media="print")
    assert not opened.page.is_visible("#controls")
    pdf = opened.page.pdf()
    pdfium = pytest.importorskip("pypdfium2")
    document = pdfium.PdfDocument(pdf)
    text = "".join(page.get_textpage().get_text_range() for page in document)
    assert text.count("Read more") == 2 * len(CODES)
    opened.close()


def test_ten_thousand_findings_stay_usable(browser: Browser, tmp_path: Path) -> None:
    many = pages(100)
    found = [made(target=f"https://example.org/{n}", pages=many) for n in range(9_999)]
    opened = Opened(browser, tmp_path, [*found, made("slow")])
    page = opened.page
    page.fill("#text", "page/4 /7777")
    assert page.inner_text("#shown") == "1 of 10,000 shown"
    page.select_option("#order", "target")
    opened.close()
