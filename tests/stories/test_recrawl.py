"""`crawler recrawl` from end to end: what is due is visited again, once, whoever dies or sweeps as well."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable

import pytest
import redis

from tests.redis_for_tests import PrivateRedis
from tests.servers import Call
from tests.stories.commands import Commands, Done, Json, outcomes, wait_until
from tests.stories.sites import Site, Sites, html
from tests.stories.test_sitemaps import XML, urlset

pytestmark = pytest.mark.slow

OPTIONS = ("--delay", "0", "--per-host", "8", "--ignore-traps")
WORK = ("--workers", "1", "--plain")
ALL = ("--older-than", "0")


def flat(site: Site, pages: int = 20) -> str:
    """A page that leads to others; its URL."""
    for n in range(pages):
        site.serve(f"/{n}", html(title=str(n)))
    return site.serve("/", html([f"/{n}" for n in range(pages)]))


def crawled(commands: Commands, *arguments: str) -> Done:
    done = commands.run("run", *arguments, *OPTIONS, *WORK)
    assert done.code == 0, done.err
    return done


def recrawled(commands: Commands, *arguments: str, code: int = 0) -> Done:
    done = commands.run("recrawl", *arguments, *WORK)
    assert done.code == code, done.err
    return done


def asked(site: Site) -> dict[str, int]:
    """How often each page was asked for since the last call."""
    counts = dict(site.asked_of_pages())
    site.seen.clear()
    return counts


@pytest.fixture
def site(sites: Sites) -> Site:
    return sites.add()


# -- what is visited ---------------------------------------------------------------------------------------------------


def test_each_url_is_visited_again_once_and_new_links_are_followed(commands: Commands, site: Site) -> None:
    home = flat(site)
    crawled(commands, home)
    first = asked(site)
    site.serve("/0", html(["/new"], title="another"))
    site.serve("/new", html(title="new"))
    recrawled(commands, *ALL)
    assert asked(site) == first | {"/new": 1}
    records = commands.records()
    assert records[site.url("/0")]["title"] == "another"
    assert records[site.url("/0")]["visits"] == 2
    assert "visits" not in records[site.url("/new")]
    status = commands.status()
    assert (status["state"], status["visit"], status["revisited"], status["sweep"]) == ("done", 2, len(first), None)
    assert status["found"] == {"new": 1, "changed": 1, "unchanged": len(first) - 1}


def test_nothing_due_is_said_and_asked_for_by_nobody(commands: Commands, site: Site) -> None:
    crawled(commands, flat(site))
    asked(site)
    assert recrawled(commands).lines == ["crawler: nothing is due; the next URL will be in 7 days"]
    assert asked(site) == {}
    assert commands.status()["visit"] == 1


def test_the_schedule_decides_and_can_be_changed(commands: Commands, site: Site) -> None:
    crawled(commands, flat(site, 3))
    first = asked(site)
    time.sleep(2.1)
    done = recrawled(commands, "--interval", "2s", "--min-interval", "1s")
    assert "counts as" not in done.err
    assert asked(site) == first
    assert commands.run("set", "interval").out == "2s\n"


def test_an_interval_outside_its_bounds_is_named(commands: Commands, site: Site) -> None:
    first = crawled(commands, flat(site, 1), "--interval", "10m")
    assert "crawler: interval is shorter than min-interval, so it counts as 1h" in first.lines
    again = commands.run("set", "max-interval", "1m")
    assert again.code == 0
    assert "min-interval is longer than max-interval, so each page is visited every 1m" in again.err


def test_one_outcome_is_chosen(commands: Commands, site: Site) -> None:
    crawled(commands, site.serve("/", html(["/gone", "/there"])), site.serve("/there", html()))
    asked(site)
    site.serve("/gone", html(title="back"))
    recrawled(commands, "--status", "404")
    assert asked(site) == {"/gone": 1}
    assert commands.records()[site.url("/gone")]["title"] == "back"


def test_what_is_queued_alone_waits_for_workers(commands: Commands, site: Site) -> None:
    crawled(commands, flat(site))
    first = asked(site)
    done = commands.run("recrawl", *ALL, "--queue-only")
    assert (done.code, done.lines) == (0, ["crawler: 21 URLs queued (visit 2); `crawler work` visits them"])
    assert asked(site) == {}
    assert commands.run("work", "--until-done", *WORK).code == 0
    assert asked(site) == first


def test_a_page_that_a_sitemap_says_has_changed_is_due_at_once(commands: Commands, site: Site) -> None:
    a, b = site.serve("/a", html(title="a")), site.serve("/b", html(title="b"))
    named = site.serve("/sitemap.xml", urlset(a, b, lastmod="2024-01-01"), headers=XML)
    site.robots = f"Sitemap: {named}\n".encode()
    crawled(commands, site.serve("/", html()), "--min-interval", "1s")
    asked(site)
    time.sleep(1.1)
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    body = urlset(a, lastmod=tomorrow).replace(b"</urlset>", f"<url><loc>{b}</loc></url></urlset>".encode())
    site.serve("/sitemap.xml", body, headers=XML)
    recrawled(commands, "--match", "sitemap")
    assert asked(site) == {"/sitemap.xml": 1, "/a": 1}


def test_what_failed_and_what_redirects_is_visited_again(commands: Commands, site: Site) -> None:
    site.redirect("/moves", "/target")
    home = site.serve("/", html(["/moves", "/broken"]))
    site.serve("/target", html(title="target"))
    site.serve("/broken", b"", 500)
    crawled(commands, home, "--retries", "0")
    assert outcomes(commands.records())[site.url("/broken")] == "failed:http"
    asked(site)
    site.serve("/broken", html(title="whole"))
    site.redirect("/moves", "/other")
    site.serve("/other", html(title="other"))
    recrawled(commands, *ALL)
    assert asked(site) == {"/": 1, "/moves": 1, "/target": 1, "/broken": 1, "/other": 1}
    found = commands.records()
    assert (found[site.url("/broken")]["title"], found[site.url("/moves")]["redirect_to"]) == (
        "whole",
        site.url("/other"),
    )
    assert commands.run("failed").out.endswith("no dead letters\n")


def test_what_robots_txt_disallows_now_is_not_asked_for(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], site: Site
) -> None:
    commands = commands_on(redis_server.url)
    crawled(commands, flat(site, 5))
    asked(site)
    site.robots = b"User-agent: *\nDisallow: /1\n"
    with redis_server.client() as client:  # a day later
        for key in client.scan_iter("crawler:*:host:*"):
            client.hset(key, "robots_until:0", 1)
    recrawled(commands, *ALL)
    assert "/1" not in asked(site)
    found = [(one["outcome"], one.get("title")) for one in commands.exported() if one["url"] == site.url("/1")]
    assert found == [("fetched", "1"), ("dropped:robots", None)], "the good record stays, beside that of the visit"


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_blocked_host_is_left_alone_and_comes_later(commands: Commands, sites: Sites) -> None:
    one, two = sites.add(), sites.add("127.0.0.2")
    crawled(commands, flat(one, 3), flat(two, 3))
    first = asked(one), asked(two)
    host = two.url("").removeprefix("http://")
    assert commands.run("block", host).code == 0
    recrawled(commands, *ALL)
    assert (asked(one), asked(two)) == (first[0], {})
    assert commands.status()["held"] == 4
    assert commands.run("unblock", host).code == 0
    assert commands.run("run", *WORK).code == 0
    assert asked(two) == first[1]


def test_a_paused_crawl_is_visited_when_it_is_resumed(commands: Commands, site: Site) -> None:
    crawled(commands, flat(site, 3))
    first = asked(site)
    assert commands.run("pause").code == 0
    going = commands.start("recrawl", *ALL, *WORK)
    going.wait_to_say("is paused: `crawler resume` continues it")
    assert asked(site) == {}
    assert commands.run("resume").code == 0
    assert going.wait().code == 0
    assert asked(site) == first


def test_a_crawl_that_never_visited_anything_is_refused_in_one_line(commands: Commands, site: Site) -> None:
    done = commands.run("recrawl")
    assert (done.code, len(done.lines)) == (2, 1), done.err
    assert "there is no crawl 'default'" in done.err
    assert commands.run("seed", site.url("/")).code == 0
    done = commands.run("recrawl")
    assert (done.code, len(done.lines)) == (2, 1), done.err
    assert "has visited nothing yet" in done.err


@pytest.mark.parametrize(
    "arguments", [("--older-than", "soon"), ("--match", "("), ("--status", "4"), ("--host", "a/b"), ("--follow", *ALL)]
)
def test_a_mistake_is_told_in_one_line(commands: Commands, arguments: tuple[str, ...]) -> None:
    done = commands.run("recrawl", *arguments)
    assert (done.code, len(done.lines)) == (2, 1), done.err


def test_a_run_with_only_old_data_says_how_to_visit_it_again(commands: Commands, site: Site) -> None:
    home = flat(site, 2)
    crawled(commands, home)
    assert "`crawler recrawl` visits them again" in crawled(commands, home).err


def test_all_failed_is_an_exit_code(commands: Commands, site: Site) -> None:
    crawled(commands, flat(site, 2), "--retries", "0", "--host-patience", "1s")
    site.go_away()
    done = recrawled(commands, *ALL, code=4)
    assert "nothing was fetched in this visit" in done.err


# -- who ---------------------------------------------------------------------------------------------------------------


def slow(site: Site, pages: int, seconds: float) -> str:
    """A page that leads to others, each of which takes a while."""

    def late(answer: Callable[[Call], object]) -> Callable[[Call], object]:
        def answer_late(call: Call) -> None:
            time.sleep(seconds)
            answer(call)

        return answer_late

    home = flat(site, pages)
    for n in range(pages):
        site.pages[f"/{n}"] = late(site.pages[f"/{n}"])
    return home


def test_the_same_command_goes_on_after_kill_9_and_asks_for_no_page_twice(commands: Commands, site: Site) -> None:
    crawled(commands, slow(site, 120, 0.01))
    first = asked(site)
    time.sleep(1.0)  # a state knows its time to the second
    going = commands.start("recrawl", *ALL, *WORK, "--lease-term", "3s")
    wait_until(lambda: len(site.seen) > 30, "some visits")
    going.kill()
    seen = asked(site)
    recrawled(commands, *ALL)
    again = asked(site)
    assert seen.keys() | again.keys() == first.keys()
    twice = seen.keys() & again.keys()
    assert len(twice) <= 8, "only what was in flight is asked for again"
    assert commands.status()["visit"] == 2


def test_ctrl_c_is_followed_by_the_command_that_continues(commands: Commands, site: Site) -> None:
    crawled(commands, slow(site, 80, 0.02))
    first = asked(site)
    time.sleep(1.0)
    going = commands.start("recrawl", *ALL, *WORK)
    wait_until(lambda: len(site.seen) > 20, "some visits")
    going.signal(signal.SIGINT)
    done = going.wait()
    assert done.code == 130
    assert "interrupted; continue with `crawler recrawl --older-than 0 -n 1 --plain`" in done.err
    recrawled(commands, *ALL)
    assert asked(site) == first


def test_two_commands_sweep_once_and_another_choice_is_refused(commands: Commands, site: Site) -> None:
    crawled(commands, slow(site, 60, 0.2))
    first = asked(site)
    time.sleep(1.0)
    one = commands.start("recrawl", *ALL, *WORK, "--per-host", "2")
    wait_until(lambda: len(site.seen) > 3, "some visits")
    two = commands.start("recrawl", *ALL, *WORK)
    assert two.wait().code == 0
    assert one.wait().code == 0
    assert asked(site) == first
    following = commands.start("recrawl", "--follow", *WORK)
    wait_until(lambda: commands.status()["workers"], "it to work")
    refused = commands.run("recrawl", "--match", "x")
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert "another recrawl is under way, of what is due by schedule (by " in refused.err
    following.signal(signal.SIGTERM)
    assert following.wait().code in (0, 143)


def test_it_follows_for_ever(commands: Commands, site: Site) -> None:
    crawled(commands, flat(site, 2), "--interval", "2s", "--min-interval", "1s", "--max-interval", "2s")
    going = commands.start("recrawl", "--follow", *WORK)
    wait_until(lambda: site.asked()["/1"] >= 4, "visits, again and again")
    going.signal(signal.SIGINT)
    assert going.wait().code == 0


def test_three_shards_are_swept(commands: Commands, sites: Sites) -> None:
    several = [sites.add(f"127.0.0.{n}") for n in range(2, 7)]
    crawled(commands, *(flat(site, 10) for site in several), "--shards", "3")
    first = [asked(site) for site in several]
    recrawled(commands, *ALL)
    assert [asked(site) for site in several] == first
    status = commands.status()
    assert (status["state"], status["visit"], status["ended"]) == ("done", 2, 55)


def test_a_full_redis_is_waited_for(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], site: Site
) -> None:
    commands = commands_on(redis_server.url)
    crawled(commands, flat(site, 30))
    first = asked(site)
    client: redis.Redis = redis_server.client()
    client.config_set("maxmemory", 1)
    going = commands.start("recrawl", *ALL, *WORK)
    going.wait_to_say("Redis is full")
    client.config_set("maxmemory", 0)
    assert going.wait().code == 0
    assert asked(site) == first


# -- looking -----------------------------------------------------------------------------------------------------------


def test_explain_says_when_a_url_is_due(commands: Commands, site: Site) -> None:
    home = flat(site, 2)
    crawled(commands, home)
    found: Json = json.loads(commands.run("explain", home, "--json").out)
    assert (found["visits"]["visits"], found["visits"]["due"][:10]) == (1, "not before")
    assert commands.run("set", "interval", "1s").code == 0
    assert commands.run("set", "min-interval", "1s").code == 0
    time.sleep(1.1)
    assert "due: `crawler recrawl` takes it now" in commands.run("explain", home).out


def test_the_same_in_python(commands: Commands, site: Site) -> None:
    home = flat(site, 3)
    program = f"""
import crawler
if __name__ == "__main__":
    with crawler.Crawl({home!r}, delay=0, workers=1) as crawl:
        crawl.run(progress=False)
        print(crawl.recrawl(progress=False).visit)
        print(crawl.recrawl(older_than=0, match="/[0-9]$", progress=False).visit)
        try:
            crawl.recrawl(older_then=0)
        except crawler.CrawlerError as error:
            print(error)
"""
    done = commands.run(python=commands.write("program.py", program))
    assert done.out.splitlines() == ["1", "2", "'older_then' is no choice of a recrawl: did you mean older_than?"], (
        done.err
    )
    assert asked(site) == {"/": 1, "/0": 2, "/1": 2, "/2": 2}
