"""The dashboard and the report in a real browser: what they show, what their buttons do, and attacks on them.

Needs Debian's chromium (or chromium-headless-shell) and playwright; skipped, with the reason, where they are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crawler.crawl.session import Session
from crawler.frontier import verbs
from crawler.monitor.report import render
from crawler.record import Record, Request
from crawler.settings import Settings
from tests.monitor.crawls import client_of, end, open_session
from tests.monitor.dashboards import Served, served
from tests.stories.commands import wait_until
from tests.stories.sites import Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>"
ODD = "http://a.example/?q=%22onload=%22pwned"
TABS = ("overview", "hosts", "failures", "url", "settings", "workers")

EVIL = """<!doctype html><title>evil</title>
<form id=f method=post enctype=text/plain target=t action="THERE/api/do/pause"><input name='{"a":"' value='"}'></form>
<iframe name=t></iframe><iframe src="THERE/"></iframe><img src="THERE/api/do/pause">
<script src="THERE/api/hosts"></script><script src="THERE/app.js"></script>
<script>
document.getElementById("f").submit();
const send = (method, path, mode) => fetch("THERE" + path, {method, credentials: "include", mode});
const tries = [["GET", "/session"], ["GET", "/events"], ["POST", "/api/do/pause"]];
const read = tries.map(([method, path]) => send(method, path, "cors").then(() => path, () => ""));
const blind = send("POST", "/api/do/pause", "no-cors").then(() => "", () => "");
Promise.all([...read, blind]).then((found) => { window.read = found.filter(Boolean); });
</script>"""
"""Forms, frames, images, scripts and requests to the dashboard at THERE."""


@pytest.fixture
def session(redis_url: str) -> Iterator[Session]:
    with open_session(redis_url) as made:
        yield made


@pytest.fixture
def dashboard(session: Session) -> Iterator[Served]:
    """The dashboard of a crawl that hostile sites filled."""
    hostile: dict[str, Any] = {"status": 500, "size": 9, "title": MARKUP, "error": MARKUP, "content_type": MARKUP}
    page = Record(url=ODD, outcome="fetched", depth=0, status=200, title=MARKUP, size=5)
    urls = ("http://b.example/0", "http://b.example/1")
    end(session, [page, *(Record(url=url, outcome="failed:http", depth=0, **hostile) for url in urls)])
    client = client_of(session)
    client.put([Request("http://c.example/"), Request("http://c.example/2"), Request("http://b.example/2")])
    facts = json.dumps({"limit": MARKUP, "pages": 7, "trouble": MARKUP}).encode()
    client.shard.ask(verbs.heartbeat(client.shard, MARKUP, facts))
    with served(session) as made:
        yield made


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context()
    yield made
    made.close()


class Seen:
    """A page, and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Dialog) -> None:
        self.wrong.append(dialog.message)
        dialog.dismiss()

    def check(self) -> None:
        """Nothing went wrong, and no markup of a site has run."""
        assert self.wrong == []
        assert self.page.evaluate("window.pwned") is None


def entered(context: BrowserContext, dashboard: Served) -> Seen:
    """The dashboard by the address that it prints."""
    seen = Seen(context.new_page())
    seen.page.goto(dashboard.access.entry)
    seen.page.wait_for_selector("#tiles div")
    return seen


def go(seen: Seen, tab: str) -> None:
    seen.page.click(f'nav a[href="#{tab}"]')
    seen.page.wait_for_selector(f"#{tab}:not([hidden])")


def test_each_page_shows_the_crawl_and_markup_stays_text(context: BrowserContext, dashboard: Served) -> None:
    seen = entered(context, dashboard)
    page = seen.page
    assert "token" not in page.url
    assert page.title() == "Crawl default"
    assert "failed:http" in page.inner_text("#outcomes")
    assert page.inner_text("#charts section:nth-child(2) .now") == "3"
    assert MARKUP in page.inner_text("#failing-list")
    go(seen, "hosts")
    page.wait_for_selector("#hosts-table tr:nth-child(3)")
    assert MARKUP in page.inner_text("#hosts-table")
    go(seen, "failures")
    page.wait_for_selector("#causes td")
    assert MARKUP in page.inner_text("#causes")
    assert page.get_attribute("#causes a", "href") in ("http://b.example/0", "http://b.example/1")
    go(seen, "url")
    page.fill("#explain input", ODD)
    page.click("#explain button")
    page.wait_for_selector("#explained:not([hidden])")
    assert MARKUP in page.inner_text("#explained")
    go(seen, "workers")
    page.wait_for_selector("#workers-table td")
    assert page.inner_text("#workers-table").count(MARKUP) == 2
    seen.check()


def test_buttons_steer_the_crawl(context: BrowserContext, dashboard: Served, session: Session) -> None:
    seen = entered(context, dashboard)
    page, frontier = seen.page, session.find()
    page.click("#pause")
    page.wait_for_selector("#pause:text-is('Resume')")
    assert frontier.state().word == "paused"
    page.click("#pause")
    page.wait_for_selector("#pause:text-is('Pause')")
    go(seen, "hosts")
    page.fill("#block input", "*.example")
    page.click("#block button")
    page.wait_for_selector("#blocked:not([hidden]) button")
    assert frontier.state().held == 3
    page.click("#blocked button")
    page.wait_for_selector("#blocked", state="hidden")
    assert frontier.state().held == 0
    go(seen, "settings")
    delay = page.locator("#settings-table tr", has_text="minimum time between")
    delay.locator("input").fill("3s")
    delay.locator("button").click()
    wait_until(lambda: Settings().with_stored(frontier.crawldb.settings()).delay == 3.0, "the new delay")
    page.wait_for_selector("#message:has-text('delay is 3s')")
    go(seen, "failures")
    page.click("#failed-outcomes button")
    wait_until(lambda: frontier.state().queued == 5, "the URLs are queued again")
    page.reload()
    page.wait_for_selector("#state:has-text('waiting')")
    seen.check()


def test_an_error_of_an_action_is_shown(context: BrowserContext, dashboard: Served) -> None:
    seen = entered(context, dashboard)
    go(seen, "hosts")
    seen.page.fill("#block input", MARKUP)
    seen.page.click("#block button")
    seen.page.wait_for_selector("#message.bad")
    assert "a host is needed" in seen.page.inner_text("#message")
    assert seen.page.evaluate("window.pwned") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_fits_a_phone(browser: Browser, dashboard: Served, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    seen = entered(context, dashboard)
    for tab in TABS:
        seen.page.goto(f"{dashboard.access.origin}/#{tab}")
        seen.page.wait_for_selector(f"#{tab}:not([hidden])")
        assert (tab, seen.page.evaluate("document.documentElement.scrollWidth")) == (tab, 360)
    light, dark = (246, 247, 249), (18, 21, 26)
    shown = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shown == f"rgb{light if scheme == 'light' else dark}"
    seen.check()
    context.close()


def test_the_address_opens_one_browser(browser: Browser, context: BrowserContext, dashboard: Served) -> None:
    entered(context, dashboard)
    other = browser.new_context()
    page = other.new_page()
    page.goto(dashboard.access.entry)
    page.wait_for_selector("#message.bad")
    assert "open the address that `crawler dashboard` printed" in page.inner_text("#message")
    assert page.inner_text("#tiles") == ""
    other.close()


def test_another_page_in_the_same_browser_can_do_nothing(
    context: BrowserContext, dashboard: Served, session: Session
) -> None:
    """It has the session's cookie in its browser; it sends forms, scripts, images, frames and event streams."""
    seen = entered(context, dashboard)
    there = dashboard.access.origin
    with Site("127.0.0.1") as site:
        page = context.new_page()
        page.goto(site.serve("/", EVIL.replace("THERE", there).encode()))
        page.wait_for_function("window.read !== undefined")
        assert page.evaluate("window.read") == []
        assert page.evaluate("typeof Chart") == "undefined"
        assert all("dashboard" not in frame.content() for frame in page.frames if frame.url.startswith(there))
    assert session.find().state().word == "waiting"
    seen.check()


@pytest.mark.usefixtures("dashboard")
def test_the_report_runs_nothing_and_asks_nobody(context: BrowserContext, session: Session, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(session.find(), session.settings, 1_800_000_000), encoding="utf-8")
    seen, asked = Seen(context.new_page()), []
    seen.page.on("request", lambda request: asked.append(request.url))
    seen.page.goto(path.as_uri())
    assert MARKUP in seen.page.inner_text("main")
    assert asked == [path.as_uri()]
    assert seen.page.evaluate("document.querySelectorAll('script, img, iframe, [onerror]').length") == 0
    assert seen.page.evaluate("getComputedStyle(document.querySelector('.tiles')).display") == "grid"
    seen.check()
