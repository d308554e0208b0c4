"""What a run suggests after Ctrl-C: that command, copied into a shell, continues without losing anything."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.stories.commands import PROGRAM, Commands, Done, Json, wait_until
from tests.stories.sites import Site, Sites, html
from tests.stories.tcp_redis import TcpRedis

PAGES = 12
HOOK = "def title(page):\n    return {'title': page.title}\n"
SECRET = "s3cr3t"


def _site(sites: Sites) -> tuple[Site, str]:
    site = sites.add()
    for number in range(PAGES):
        site.serve(f"/{number}", html(title=f"page {number}"))
    return site, site.serve("/", html([f"/{number}" for number in range(PAGES)]))


def _interrupted(commands: Commands, site: Site, *arguments: str) -> Done:
    """A run that got Ctrl-C after some pages."""
    going = commands.start("run", *arguments, "--delay", "100ms", "-n", "1")
    wait_until(lambda: len(site.asked_of_pages()) > 3, "some pages")
    going.signal(signal.SIGINT)
    done = going.wait()
    assert done.code == 130, done.err
    assert SECRET not in done.err
    return done


def _suggested(done: Done, command: str) -> str:
    """The suggested command that begins so, after its variables."""
    found = re.findall(rf"`([^`]*crawler {command}[^`]*)`", done.err)
    assert len(found) == 1, done.err
    return str(found[0])


def _in_shell(commands: Commands, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    program = command.replace("crawler ", f"{PROGRAM} ", 1)
    env = commands.env | variables
    return subprocess.run(
        ["sh", "-c", program], cwd=commands.folder, env=env, capture_output=True, text=True, timeout=99
    )


def test_without_options_it_is_short(commands: Commands, sites: Sites) -> None:
    site, url = _site(sites)
    done = _interrupted(commands, site, url)
    assert _suggested(done, "run") == "crawler run -n 1"
    assert _suggested(done, "export") == "crawler export -o FILE"


def test_hook_output_and_header_are_not_lost(commands: Commands, sites: Sites) -> None:
    """The secret is named by its variable: the shell refuses the command where it is not set."""
    site, url = _site(sites)
    commands.write("my hook.py", HOOK)
    header = f"Authorization: Bearer {SECRET}"
    options = ("--hook", "my hook.py:title", "-o", "a b.jsonl", "--crawl", "mine", "--header", header)
    done = _interrupted(commands, site, url, *options)
    command = _suggested(done, "run")
    assert "set the variables that are not shown here" in done.err
    assert _in_shell(commands, command).returncode != 0
    assert _in_shell(commands, _suggested(done, "export")).returncode == 0
    assert 0 < len(_records(commands)) < PAGES + 1
    again = _in_shell(commands, command, CRAWLER_HEADER=header)
    assert again.returncode == 0, again.stderr
    records = _records(commands)
    assert len(records) == PAGES + 1
    assert all(record["data"]["title"] == record["title"] for record in records if record["url"] != url)
    pages = [seen for seen in site.seen if seen.target != "/robots.txt"]
    assert all(any(SECRET in line for line in seen.lines) for seen in pages)
    assert len(pages) == PAGES + 1


def _records(commands: Commands) -> list[Json]:
    return [json.loads(line) for line in Path(commands.folder, "a b.jsonl").read_text().splitlines()]


def test_where_redis_is_stays_and_its_password_is_not_shown(
    commands: Commands, sites: Sites, tcp_redis: Callable[..., TcpRedis]
) -> None:
    site, url = _site(sites)
    redis = tcp_redis(SECRET).url
    assert SECRET in redis
    done = _interrupted(commands, site, url, "--redis", redis, "--header", "Accept-Language: de")
    command = _suggested(done, "run")
    assert command == """CRAWLER_REDIS="${CRAWLER_REDIS:?}" crawler run -n 1 --header 'Accept-Language: de'"""
    again = _in_shell(commands, command, CRAWLER_REDIS=redis)
    assert again.returncode == 0, again.stderr
    assert set(site.asked_of_pages().values()) == {1}
