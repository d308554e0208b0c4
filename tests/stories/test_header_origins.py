"""Where the lines of --header go, in the access logs of all hosts that a crawl comes to: to those that were named.

Each way to a foreign host is walked by both fetchers, and by `crawler fetch` where it follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from crawler import fetch as engines
from crawler.crawl.seeds import Seeded
from crawler.headers import MAX_ORIGINS
from tests.fetch.hostile import self_signed
from tests.redis_for_tests import PrivateRedis
from tests.servers import Server, page
from tests.stories.commands import Commands, Done
from tests.stories.sites import ROBOTS, Site, Sites, html

pytestmark = pytest.mark.slow

SECRET: Final = "s3cr3t"
LINES: Final = (
    *("--header", f"Authorization: Bearer {SECRET}", "--header", f"Cookie: {SECRET}=1"),
    *("--header", f"X-Own: {SECRET}", "--header", "Accept-Language: de"),
)
QUICK: Final = ("--allow-private", "--delay", "0", "--workers", "1", "--retries", "0")


@pytest.fixture(params=engines.ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def got(site: Server) -> set[str]:
    """The targets that were asked for with a secret."""
    return {seen.target for seen in site.seen if SECRET in "".join(seen.lines)}


def asked(site: Server) -> set[str]:
    return {seen.target for seen in site.seen}


def crawl(commands: Commands, engine: str, *arguments: str) -> Done:
    done = commands.run("run", *arguments, *QUICK, *LINES, "--fetcher", engine)
    assert SECRET not in done.err + done.out
    return done


def hints(done: Done, site: Server) -> list[str]:
    """The lines that say that a host does not get a header."""
    return [line for line in done.err.splitlines() if "does not get --header" in line and site.authority in line]


def test_a_link_takes_no_secret_along(commands: Commands, sites: Sites, engine: str) -> None:
    """Another host, another port of the same host, a sitemap that robots.txt names, and what that lists."""
    site, other, port = sites.add(), sites.add("127.0.0.2"), sites.add()
    site.serve("/", html([other.url("/page"), port.url("/page"), "/own"]))
    site.serve("/own", html())
    site.robots = f"Sitemap: {other.url('/map.xml')}\nSitemap: {site.url('/map.xml')}\n".encode()
    entries = "".join(f"<url><loc>{url}</loc></url>" for url in (other.url("/listed"), site.url("/listed")))
    for where in (site, other):
        where.serve("/map.xml", f"<urlset>{entries}</urlset>".encode(), headers=[("Content-Type", "text/xml")])
        where.serve("/listed", html())
        where.serve("/page", html())
    assert crawl(commands, engine, site.url("/"), "--scope", "all").code == 0
    assert got(site) == asked(site) == {ROBOTS, "/", "/own", "/map.xml", "/listed"}
    assert asked(other) >= {ROBOTS, "/page", "/map.xml", "/listed"}
    assert asked(port) == {ROBOTS, "/page"}
    assert got(other) == got(port) == set()
    for seen in [*site.seen, *other.seen, *port.seen]:
        assert seen.headers["accept-language"] == "de"


def test_no_redirect_takes_a_secret_along(commands: Commands, sites: Sites, engine: str) -> None:
    """Of a seed, of robots.txt, of a sitemap that is named, and what lies behind; one line says so, once a host."""
    site, other = sites.add(), sites.add("127.0.0.2")
    site.redirect(ROBOTS, other.url("/rules.txt"))
    site.redirect("/map.xml", other.url("/map.xml"))
    site.redirect("/", other.url("/landing"))
    site.redirect("/second", other.url("/second"))
    other.serve("/landing", html(["/inner"]))
    for target in ("/second", "/inner"):
        other.serve(target, html())
    other.serve("/rules.txt", b"User-agent: *\nDisallow: /no\n")
    other.serve("/map.xml", b"<urlset/>", headers=[("Content-Type", "text/xml")])
    seeds = [site.url("/"), site.url("/second"), "--sitemap", site.url("/map.xml"), "--sitemap", other.url("/named")]
    done = crawl(commands, engine, *seeds)
    assert done.code == 0, done.err
    assert got(site) == asked(site) == {ROBOTS, "/", "/second", "/map.xml"}
    assert asked(other) >= {ROBOTS, "/rules.txt", "/landing", "/second", "/inner", "/named"}
    assert got(other) == set()
    assert len(hints(done, other)) == 1
    assert f"CRAWLER_HEADER='{other.url('')}: Authorization: ...'" in hints(done, other)[0]


def test_a_host_that_is_named_gets_its_own_line(commands: Commands, sites: Sites, engine: str) -> None:
    site, other, third = sites.add(), sites.add("127.0.0.2"), sites.add("127.0.0.3")
    site.redirect("/", other.url("/landing"))
    other.serve("/landing", html([third.url("/")]))
    commands.env["CRAWLER_HEADER"] = f"{other.authority}: Authorization: Bearer {SECRET}"
    done = commands.run("run", site.url("/"), *QUICK, "--scope", "all", "--fetcher", engine)
    assert done.code == 0
    assert got(other) == asked(other) == {ROBOTS, "/landing"}
    assert got(site) == got(third) == set()
    assert asked(third) == {ROBOTS, "/"}
    assert hints(done, other) == []


def test_https_gives_nothing_to_http(commands: Commands, sites: Sites, engine: str) -> None:
    plain = sites.add()
    plain.serve("/landing", html())
    with Server(tls=self_signed()) as secure:
        secure.on("/", page(b"", 302, [("Location", plain.url("/landing"))]))
        done = crawl(commands, engine, secure.url("/"), "--insecure")
        assert got(secure) == {ROBOTS, "/"}
    assert asked(plain) == {ROBOTS, "/landing"}
    assert got(plain) == set()
    assert len(hints(done, plain)) == 1


def test_seeds_of_other_commands_get_nothing(commands: Commands, sites: Sites, engine: str) -> None:
    """What is in Redis names no host: what was seeded before stays without, those of a file get it."""
    before, site, other = sites.add(), sites.add("127.0.0.2"), sites.add("127.0.0.3")
    for where in (before, site, other):
        where.serve("/", html(["/next"]))
    assert commands.run("seed", before.url("/"), "--allow-private", "--delay", "0").code == 0
    commands.write("urls.txt", f"# two\n{site.url('/')}\n\n{other.url('/')}\n")
    assert crawl(commands, engine, "urls.txt", "--add").code == 0
    assert asked(before) == got(site) == got(other) == {ROBOTS, "/", "/next"}
    assert got(before) == set()


def test_seeds_from_stdin_name_their_origins(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html())
    done = commands.run("run", "-", *QUICK, *LINES, stdin=f"{site.url('/')}\n")
    assert done.code == 0, done.err
    assert got(site) == {ROBOTS, "/"}


@pytest.mark.parametrize("arguments", [("work", "--until-done"), ("run",), ("run", "--sitemap", "http://a.example/")])
def test_a_command_without_a_source_needs_a_host_in_the_line(
    commands: Commands, sites: Sites, arguments: tuple[str, ...]
) -> None:
    site, other = sites.add(), sites.add("127.0.0.2")
    site.serve("/", html([other.url("/")]))
    assert commands.run("seed", site.url("/"), *QUICK[:3], "--scope", "all").code == 0
    commands.env["CRAWLER_HEADER"] = f"Authorization: Bearer {SECRET}"
    refused = commands.run(*arguments)
    assert refused.code == 2
    assert len(refused.lines) == 1
    assert "CRAWLER_HEADER='HOST: Authorization: ...'" in refused.err
    assert SECRET not in refused.err
    assert site.seen == []
    if "--sitemap" in arguments:
        return
    commands.env["CRAWLER_HEADER"] = f"{site.authority}: Authorization: Bearer {SECRET}"
    assert commands.run(*arguments, "-n", "1").code == 0
    assert got(site) == {ROBOTS, "/"}
    assert asked(other) == {ROBOTS, "/"}
    assert got(other) == set()


def test_fetch_gives_a_secret_to_its_url_alone(commands: Commands, sites: Sites, engine: str) -> None:
    site, other = sites.add(), sites.add("127.0.0.2")
    site.redirect(ROBOTS, other.url("/rules.txt"))
    site.redirect("/", "/here")
    site.redirect("/here", other.url("/landing"))
    other.serve("/landing", html())
    done = commands.run("fetch", site.url("/"), "--allow-private", *LINES, "--fetcher", engine, "--json")
    assert done.code == 0, done.err
    assert got(site) == asked(site) == {ROBOTS, "/", "/here"}
    assert asked(other) == {"/rules.txt", ROBOTS, "/landing"}
    assert got(other) == set()
    assert len(hints(done, other)) == 1
    assert SECRET not in done.err + done.out


SCRIPT: Final = f"""
import sys
from crawler import Crawl, CrawlerError

if __name__ == "__main__":
    options = dict(header="Authorization: Bearer {SECRET}", allow_private=True, delay=0, workers=1, scope="all")
    with Crawl(sys.argv[1], name="one", **options) as crawl:
        crawl.run()
    with Crawl(name="two", **options) as crawl:
        crawl.seed(sys.argv[2])
        crawl.run()
    try:
        with Crawl(name="two", **options) as crawl:
            crawl.run()
    except CrawlerError as error:
        print(error)
"""


def test_from_python_the_seeds_name_the_origins(commands: Commands, sites: Sites) -> None:
    first, second, foreign = sites.add(), sites.add("127.0.0.2"), sites.add("127.0.0.3")
    for site in (first, second):
        site.serve("/", html([foreign.url("/")]))
    commands.write("script.py", SCRIPT)
    done = commands.run(first.url("/"), second.url("/"), python="script.py")
    assert got(first) == got(second) == {ROBOTS, "/"}, done.err
    assert asked(foreign) == {ROBOTS, "/"}
    assert got(foreign) == set()
    assert "HOST: Authorization: ..." in done.out
    assert SECRET not in done.out + done.err


def test_a_writer_of_redis_gets_no_header(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites, engine: str
) -> None:
    """A root and an entry that nobody seeded: the URL is asked for, without what was given for the seed."""
    site, thief = sites.add(), sites.add("127.0.0.2")
    site.serve("/", html([site.url("/own")]))
    site.serve("/own", html())
    commands = commands_on(redis_server.url)
    assert commands.run("seed", site.url("/"), *QUICK[:3]).code == 0
    with redis_server.client() as client:
        _forge(client, site, thief)
    assert crawl(commands, engine, site.url("/")).code == 0
    assert got(site) == {ROBOTS, "/", "/own"}
    assert asked(thief) == {ROBOTS, "/"}
    assert got(thief) == set()


def _forge(client: Any, site: Site, thief: Site) -> None:
    """Write the thief wherever the seed's host stands in Redis: what it queues and what is a root is another's now."""
    copies = {}
    for key in client.keys("crawler:*"):
        if site.authority.encode() in key:
            copies[key] = key.replace(site.authority.encode(), thief.authority.encode())
    for key, copy in copies.items():
        client.copy(key, copy)
    prefix = "crawler:{default.0}:"
    client.sadd(f"{prefix}roots", thief.host)
    for key in client.keys(f"{prefix}*"):
        kind = client.type(key)
        if kind == b"zset" and (score := client.zscore(key, site.authority)) is not None:
            client.zadd(key, {thief.authority: score})
        elif kind == b"hash" and (value := client.hget(key, site.authority)) is not None:
            client.hset(key, thief.authority, value)
    client.hincrby(f"{prefix}meta", "accepted", 1)


def test_so_many_origins_are_remembered_and_no_more() -> None:
    seeded = Seeded()
    for number in range(MAX_ORIGINS):
        seeded.name_origin(f"https://h{number}.example/x")
    seeded.name_origin("https://h0.example/y")
    assert not seeded.more_origins
    seeded.name_origin("https://one.more.example/")
    assert seeded.more_origins
    assert len(seeded.origins) == MAX_ORIGINS


def test_a_password_in_a_seed_is_not_shown(commands: Commands) -> None:
    """Not even where it was not escaped, so that it does not end where a URL's credentials do."""
    seeds = [f"http://user:URL/{SECRET}@h/", f"user:{SECRET}@h/", f"http://user:{SECRET}?@h", f"//u:{SECRET}#x@h"]
    long = f"http://user:{SECRET}{'x' * 70_000}@h/"
    commands.write("urls.txt", "\n".join([*seeds, long]))
    for sources in (["urls.txt"], *([seed] for seed in seeds), [f"{seeds[0]}{'x' * 5000}"]):
        done = commands.run("seed", *sources)
        assert done.code == 2
        assert SECRET not in done.err + done.out
        assert "***@" in done.err or sources == ["urls.txt"]
    for command in ("fetch", "explain", "run"):
        done = commands.run(command, seeds[0])
        assert (done.code, done.out) == (2, "")
        assert SECRET not in done.err
