"""A user who may do just what docs/redis.md grants can do all that the crawler does, and cannot touch anything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from crawler.frontier.keys import channel
from tests.stories.commands import Commands, wait_until
from tests.stories.sites import Sites, html
from tests.stories.tcp_redis import TcpRedis

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")
PASSWORD: Final = "s%2F cr:t"
IN_URL: Final = "s%252F%20cr%3At"


def granted(user: str) -> list[str]:
    """The rules of the line in the page that makes *user*, without its password."""
    (line,) = re.findall(rf"^ACL SETUSER {user} ((?:.*\\\n)*.*)", PAGE, re.MULTILINE)
    return [rule for rule in line.replace("\\\n", " ").split() if not rule.startswith(">")]


@pytest.fixture
def server(tcp_redis: Callable[..., TcpRedis]) -> Iterator[TcpRedis]:
    made = tcp_redis()
    for user in ("crawler", "reader"):
        with made.client() as client:
            client.execute_command("ACL", "SETUSER", user, f">{PASSWORD}", *granted(user))
    yield made


def _denied(server: TcpRedis) -> list[Any]:
    with server.client() as client:
        return [(row["context"], row["object"], row["username"]) for row in client.acl_log()]


def _as(user: str, server: TcpRedis) -> str:
    return server.url.replace("redis://", f"redis://{user}:{IN_URL}@")


def test_every_command_with_the_least_rights(
    server: TcpRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Nothing is denied on the way, and the reader can look at all of it."""
    site = sites.add()
    home = site.serve("/", html(["/a", "/bad", "/private"]))
    site.serve("/a", html(title="a"))
    site.serve("/bad", b"no", 500)
    site.robots = b"User-agent: *\nDisallow: /private\n"
    crawler, reader = commands_on(_as("crawler", server)), commands_on(_as("reader", server))
    events = reader.start("events")
    events.wait_to_say("waiting for crawl")
    for line, code in (
        ("seed URL --delay 0 --retries 0", 0),
        ("pause", 0),
        ("resume", 0),
        ("run -n 2 -o out.jsonl", 0),
        ("set delay 10ms", 0),
        ("retry --all", 0),
        ("work -n 1 --until-done", 0),
        ("quarantine --release all", 0),
        ("export -o kept.jsonl --drain", 0),
        ("status --json", 0),
        ("list", 0),
        ("explain URL", 0),
        ("hosts --failing", 0),
        ("set delay 1ms --host *.example.org", 0),
        ("block *.example.org 127.0.0.1", 0),
        ("unblock *.example.org 127.0.0.1", 0),
        ("check URL --delay 0 --retries 0 --crawl checked", 1),
        ("check URL --delay 0 --retries 0 --crawl checked", 1),
        ("check --report-only --crawl checked", 1),
    ):
        done = crawler.run(*line.replace("URL", home).split())
        assert done.code == code, (line, done.err)
        assert "permission" not in done.err, (line, done.err)
        if line == "resume":
            with server.client() as client:
                wait_until(lambda: client.pubsub_numsub(channel("default"))[0][1], "the reader to listen")
    assert '"event":"worker-started"' in events.out
    for line in (
        "status",
        "hosts",
        "list",
        "explain URL",
        "failed --list",
        "quarantine",
        "export -o -",
        "set",
        "metrics",
        "report -o -",
    ):
        done = reader.run(*line.replace("URL", home).split())
        assert done.code == 0, (line, done.err)
    assert _denied(server) == []
    with server.client() as client:
        client.delete(*client.keys("*:findings"))
    report = reader.run("check", "--report-only", "--crawl", "checked")
    assert (report.code, report.err.count("is not noted")) == (1, 1), report.err
    assert home in report.out
    refused = reader.run("pause")
    assert (refused.code, len(refused.lines)) == (3, 1)
    assert "does not give this user the permissions" in refused.err
    assert crawler.run("delete", "--yes").code == 0
    assert {user for *_, user in _denied(server)} == {"reader"}


def test_without_the_right_to_publish_one_line_says_so(
    server: TcpRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "crawler", "-publish")
    done = commands_on(_as("crawler", server)).run("run", sites.add().serve("/", html(title="a")), "-n", "2")
    assert done.code == 0, done.err
    assert done.err.count("events are not published") == 1


def test_nothing_else_can_be_touched(server: TcpRedis) -> None:
    """Other keys, and what could take the server away or read its settings."""
    with server.client() as client:
        client.set("mine", "1")
    with redis.Redis.from_url(_as("crawler", server)) as client:
        for command in (
            ["GET", "mine"],
            ["SET", "mine", "2"],
            ["FLUSHALL"],
            ["CONFIG", "SET", "dir", "/"],
            ["KEYS", "*"],
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)


def test_no_right_is_granted_that_nobody_needs() -> None:
    """What scripts call, and what Python sends: each of them, and no more."""
    scripts = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "crawler" / "frontier" / "lua").rglob("*.lua")
    )
    python = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "crawler").rglob("*.py"))
    sent = set(re.findall(r"call\('([A-Z]+)'", scripts)) | set(re.findall(r'"([A-Z]+)"', python))
    sent |= {
        name.upper()
        for name in re.findall(r"(?:client|redis|waiting|pipe|pubsub|script)[._]([a-z]+)(?:_iter)?\(", python)
    }
    by_subcommand = {"SCRIPT", "CONFIG", "MEMORY", "HSCAN"}
    rules = [rule[1:].partition("|")[0].upper() for rule in granted("crawler") if rule.startswith("+")]
    assert set(rules) - sent - by_subcommand == set()
    assert set(granted("reader")) < set(granted("crawler"))
