"""Hooks of users: what they return is kept, and whatever they do to their worker costs their page alone."""

from __future__ import annotations

import pytest

from tests.stories.commands import Commands, outcomes, wait_until
from tests.stories.sites import Sites, html

pytestmark = pytest.mark.slow

HOOK = """
import os

def hook(page):
    path = page.url.rpartition("/")[2]
    if path == "abort":
        os.abort()
    if path == "forever":
        while True:
            pass
    if path == "exit":
        raise SystemExit
    if path == "raise":
        raise ValueError("no \\x1b[31mprice\\nhere")
    if path == "odd":
        return {"page": page}
    if path == "none":
        return None
    if path == "items":
        return ({"n": n} for n in range(3))
    return {"title": page.title, "h1": [node.text() for node in page.css("h1")], "soup": page.soup.h1.text}
"""
PAGES = ("abort", "forever", "raise", "exit", "odd", "none", "items")


def test_each_page_pays_for_itself_alone(commands: Commands, sites: Sites) -> None:
    """Abort three times: failed:crash; loop: failed:hang; raise: its error, the page is kept; the rest has data."""
    site = sites.add()
    normal = [f"p{n}" for n in range(30)]
    site.serve("/", b"<title>Start</title><h1>One</h1>" + html(f"/{path}" for path in (*PAGES, *normal)))
    for path in (*PAGES, *normal):
        site.serve(f"/{path}", f"<title>{path}</title><h1>Head of {path}</h1>".encode())
    commands.write("scrape.py", HOOK)
    done = commands.run(
        *("run", site.url("/"), "--delay", "0", "--per-host", "6", "--workers", "2"),
        *("--page-timeout", "2s", "--hook", "scrape:hook", "-o", "-"),
    )
    assert done.code == 0, done.err
    records = {record["url"].rpartition("/")[2]: record for record in done.records()}
    assert {path: records[path]["outcome"] for path in ("abort", "forever")} == {
        "abort": "failed:crash",
        "forever": "failed:hang",
    }
    assert "3 workers died" in records["abort"]["error"]
    assert site.asked()["/abort"] >= 3  # once more whenever it was in flight while the other one killed its worker
    assert records["forever"]["attempts"] == 1
    assert (records["raise"]["outcome"], "data" in records["raise"]) == ("fetched", False)
    assert records["raise"]["error"].startswith("hook: ValueError: no ")
    assert (records["exit"]["outcome"], records["exit"]["error"]) == (
        "fetched",
        "hook: SystemExit (scrape.py, line 12)",
    )
    assert (records["odd"]["outcome"], "data" in records["odd"]) == ("fetched", False)
    assert records["odd"]["error"].startswith("hook: TypeError: JSON cannot hold data['page']: ")
    assert ("data" in records["none"], "error" in records["none"]) == (False, False)
    assert records["items"]["data"] == {"items": [{"n": 0}, {"n": 1}, {"n": 2}]}
    for path in normal:
        head = f"Head of {path}"
        assert records[path]["data"] == {"title": path, "h1": [head], "soup": head}
        assert records[path]["attempts"] == 1, path
    assert "workers: 3 died, 1 were killed on a page that hung" in done.err
    assert "\x1b" not in done.err
    assert commands.watch_files() == []


def test_a_changed_page_timeout_is_obeyed(commands: Commands, sites: Sites) -> None:
    """By the pool as well: a page that may take a minute is given up once it may take a second."""
    site = sites.add()
    bad = site.serve("/forever", html())
    commands.write("scrape.py", HOOK)
    options = ["--delay", "0", "--workers", "1", "--page-timeout", "1m", "--hook", "scrape:hook"]
    going = commands.start("run", bad, *options)
    wait_until(lambda: site.asked()["/forever"], "the page to be asked for")
    assert commands.run("set", "page-timeout", "1s").code == 0
    assert going.wait().code == 4
    assert outcomes(commands.records()) == {bad: "failed:hang"}


def test_a_hook_that_ends_its_process(commands: Commands, sites: Sites) -> None:
    """With whatever exit code: that is a death like any other, and a run afterwards still says what came of it."""
    site = sites.add()
    bad = site.serve("/exit", html())
    commands.write("scrape.py", "import os\n\ndef hook(page):\n    os._exit(0)\n")
    done = commands.run("run", bad, "--delay", "0", "--workers", "1", "--hook", f"{commands.folder}/scrape.py:hook")
    assert done.code == 4
    assert done.err.count("died (exit code 0)") == 3
    assert outcomes(commands.records()) == {bad: "failed:crash"}
    assert commands.run("run", "--no-hook").code == 4
