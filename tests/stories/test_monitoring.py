"""`crawler metrics`, `report` and `dashboard` as a person types them, on an embedded Redis and on a shared one."""

from __future__ import annotations

import json
import re
import signal
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.stories.commands import Commands, Running, wait_until
from tests.stories.sites import Sites, html

pytestmark = pytest.mark.slow


@pytest.fixture
def crawled(commands: Commands, sites: Sites) -> Commands:
    """The crawl of a small site."""
    site = sites.add()
    site.serve("/a", b"", 500)
    done = commands.run("run", site.serve("/", html(["/a", "/b"])), "--delay", "0", "--retries", "0", "-n", "1")
    assert done.code == 0, done.err
    return commands


def address(running: Running) -> str:
    """The address that it has said."""
    running.wait_to_say("http")
    found = re.search(r"https?://\S+", running.err)
    assert found is not None
    return found[0]


def read(url: str, context: ssl.SSLContext | None = None, **headers: str) -> Any:
    request = urllib.request.Request(url, headers=headers, method="POST" if headers.get("Origin") else "GET")
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        return answer.read()


def test_metrics_are_printed_and_served(crawled: Commands) -> None:
    printed = crawled.run("metrics")
    assert (printed.code, printed.err) == (0, "")
    assert 'crawler_urls_ended{crawl="default",outcome="failed:http"} 1.0' in printed.out
    serving = crawled.start("metrics", "--port", "0")
    assert b'crawler_urls_ended{crawl="default",outcome="missing"} 1.0' in read(address(serving))
    serving.signal(signal.SIGINT)
    assert serving.wait().code == 0


def test_a_report_is_written_whole_or_not_at_all(crawled: Commands) -> None:
    done = crawled.run("report", "-o", "report.html")
    assert (done.code, done.lines) == (0, ["crawler: the report of crawl 'default' is in report.html"])
    page = (crawled.folder / "report.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert "failed:http" in page
    assert crawled.run("report", "-o", "-").out.startswith("<!doctype html>")
    refused = crawled.run("report", "-o", "nowhere/report.html")
    assert (refused.code, len(refused.lines)) == (2, 1)


def test_where_there_is_no_crawl_one_line_says_so(commands: Commands) -> None:
    for line in (["metrics"], ["metrics", "--port", "0"], ["report", "-o", "r.html"], ["dashboard", "--port", "0"]):
        done = commands.run(*line)
        assert (line, done.code, len(done.lines)) == (line, 2, 1)
        assert "crawler run" in done.err
    assert not (commands.folder / ".crawler").exists()


@pytest.mark.parametrize(
    ("library", "line"), [("prometheus_client", "metrics"), ("jinja2", "report -o r"), ("uvicorn", "dashboard")]
)
def test_a_missing_library_is_named_with_its_cure(commands: Commands, library: str, line: str) -> None:
    commands.write(f"{library}.py", f"raise ModuleNotFoundError('no', name={library!r})")
    commands.env["PYTHONPATH"] = str(commands.folder)
    done = commands.run(*line.split())
    said = (
        f"crawler: this command needs {library}; install the extra web: pip install 'crawler[web]' (in a checkout:"
        " pip install '.[web]')"
    )
    assert (done.code, done.lines) == (2, [said])


def enter(entry: str, context: ssl.SSLContext | None = None) -> dict[str, str]:
    """The answer to the token of an address."""
    origin, _, token = entry.partition("/#token=")
    found: dict[str, str] = json.loads(read(f"{origin}/session", context, Origin=origin, **{"X-Crawler-Token": token}))
    return found


def test_the_dashboard_serves_until_ctrl_c(crawled: Commands) -> None:
    running = crawled.start("dashboard", "--port", "0")
    entry = address(running)
    assert entry.startswith("http://127.0.0.1:")
    assert b"<title>Crawler</title>" in read(entry.partition("#")[0])
    assert len(enter(entry)["action_token"]) > 30
    with pytest.raises(urllib.error.HTTPError, match="401"):
        enter(entry)
    running.signal(signal.SIGINT)
    done = running.wait()
    assert (done.code, len(done.lines)) == (0, 1)


def test_the_browser_gets_the_token_by_a_file_that_nobody_else_can_read(crawled: Commands) -> None:
    """Its command line, which all users see, has the name of that file alone."""
    script = crawled.base / "browser"
    script.write_text('#!/bin/sh\nprintf %s "$1" > "$HOME/opened"\n')
    script.chmod(0o755)
    crawled.env["BROWSER"] = str(script)
    running = crawled.start("dashboard", "--port", "0", "--open")
    running.wait_to_say("the dashboard is open in the browser")
    opened = crawled.base / "opened"
    wait_until(lambda: opened.exists() and opened.read_text().endswith(".html"), "the browser")
    file = Path(opened.read_text().removeprefix("file://"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "token" not in running.err + str(file)
    found = re.search(r"url=(\S+)\"", file.read_text())
    assert found is not None
    assert enter(found[1])["action_token"]
    running.signal(signal.SIGTERM)
    running.wait()
    assert not file.exists()


def test_other_machines_get_tls_or_a_warning(crawled: Commands) -> None:
    plain = crawled.start("dashboard", "--port", "0", "--host", "0.0.0.0")
    plain.wait_to_say("warning: without TLS everyone on the way can read and steer")
    address(plain)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(crawled.folder / "cert.pem"))
    secure = crawled.start("dashboard", "--port", "0", "--host", "0.0.0.0", "--tls-certificate", "cert.pem")
    entry = address(secure)
    assert entry.startswith("https://127.0.0.1:")
    assert "warning" not in secure.err
    context = ssl.create_default_context()
    authority.configure_trust(context)
    assert enter(entry, context)["action_token"]
    for running in (plain, secure):
        running.signal(signal.SIGINT)
        assert running.wait().code == 0
    for line in (["--tls-certificate", "none.pem"], ["--tls-key", "cert.pem"], ["--host", "192.0.2.1"]):
        done = crawled.run("dashboard", "--port", "0", *line)
        assert (line, done.code, len(done.lines)) == (line, 2, 1)


def test_the_dashboard_of_a_shared_redis(commands_on: Callable[[str], Commands], redis_url: str, sites: Sites) -> None:
    commands = commands_on(redis_url)
    assert commands.run("run", sites.add().serve("/", html()), "--delay", "0", "-n", "1").code == 0
    running = commands.start("dashboard", "--port", "0")
    assert enter(address(running))["action_token"]
