"""A machine that cannot resolve, connect, reach its proxy or open files ends no URL: it waits, others do its work."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machines import DEAD, NameServer, machine, needs_root
from tests.redis_for_tests import PrivateRedis
from tests.servers import Call, Server, page
from tests.stories.commands import Commands, Running, wait_until
from tests.stories.sites import closed_port

HOSTS, PAGES = 20, 7
pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
ENGINES = pytest.mark.parametrize("engine", ["curl", "requests"])
NAMES = {f"h{n}.example.test": f"127.0.5.{n}" for n in range(1, HOSTS + 1)}
ANY = ("--allow-private", "--scope", "host")


@pytest.fixture
def server() -> Iterator[Server]:
    """One that listens at every address of loopback, with a page under each path but robots.txt."""
    with Server("0.0.0.0") as running:
        running.otherwise = lambda call: page(f"<title>{call.seen.path}</title>".encode())(call)
        running.on("/robots.txt", page(b"", 404))
        yield running


@pytest.fixture
def dns() -> Iterator[NameServer]:
    with NameServer() as running:
        running.names |= NAMES
        yield running


def seeds(commands: Commands, server: Server, names: Any = NAMES, pages: int = PAGES) -> str:
    """A file of URLs: *pages* of each of *names*."""
    urls = [server.url(f"/{n}", name) for name in names for n in range(pages)]
    return commands.write("seeds.txt", "\n".join(urls))


def outcomes(commands: Commands) -> dict[str, int]:
    found: dict[str, int] = commands.status()["outcomes"]
    return found


# -- one machine of two ------------------------------------------------------------------------------------------------


def two_machines(
    on: Callable[[str], Commands], redis: PrivateRedis, server: Server, engine: str, bad: Callable[[Path], list[str]]
) -> tuple[dict[str, int], Running]:
    """A healthy machine begins, a *bad* one comes to help: the outcomes, and what the bad one said."""
    well, ill = on(redis.url), on(redis.url)
    well.within = machine(well.base, names=NAMES)
    ill.within = bad(ill.base)
    source = seeds(well, server)
    assert well.run("seed", source, "--delay", "1", *ANY).code == 0
    first = well.start("work", "-n", "1", "--until-done", "--fetcher", engine)
    wait_until(lambda: len(server.seen) > HOSTS * 2, "some pages")
    well.run("pause")
    second = ill.start("work", "-n", "1", "--until-done", "--fetcher", engine)
    second.wait_for_workers(1)
    well.run("resume")
    second.wait_to_say("crawler: elsewhere: cannot ")
    assert first.wait().code == 0
    assert second.wait().code == 0
    return outcomes(well), second


@needs_root
@ENGINES
@pytest.mark.parametrize("mode", ["nobody", "silent", "fails", "denies"])
def test_a_machine_without_dns_leaves_all_to_the_other(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], server: Server, engine: str, mode: str
) -> None:
    with NameServer("answers" if mode == "nobody" else mode) as bad:  # type: ignore[arg-type]
        address = DEAD if mode == "nobody" else bad.address
        ended, said = two_machines(
            commands_on, redis_server, server, engine, lambda folder: machine(folder, name_server=address)
        )
    assert ended == {"fetched": HOSTS * PAGES}
    assert said.err.count("crawler: elsewhere: cannot resolve any name") == 1


@needs_root
@ENGINES
@pytest.mark.parametrize("network", ["empty", "none"])
def test_a_machine_without_a_network_leaves_all_to_the_other(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], server: Server, engine: str, network: str
) -> None:
    ended, said = two_machines(
        commands_on, redis_server, server, engine, lambda folder: machine(folder, names=NAMES, network=network)
    )
    assert ended == {"fetched": HOSTS * PAGES}
    assert said.err.count("crawler: elsewhere: cannot connect to any host") == 1


# -- one machine alone -------------------------------------------------------------------------------------------------


@needs_root
@ENGINES
def test_names_that_come_back_are_waited_for(commands: Commands, server: Server, dns: NameServer, engine: str) -> None:
    dns.mode = "fails"
    commands.within = dns.machine(commands.base)
    running = commands.start("run", seeds(commands, server), "--delay", "1", "-n", "2", "--fetcher", engine, *ANY)
    running.wait_to_say("elsewhere: cannot resolve any name")
    dns.mode = "answers"
    done = running.wait()
    assert done.code == 0
    assert "crawler: elsewhere: works again" in done.err
    assert outcomes(commands) == {"fetched": HOSTS * PAGES}


@needs_root
@ENGINES
@pytest.mark.parametrize("network", ["shared", "empty", "none"])
def test_where_no_worker_can_work_the_run_ends_and_the_urls_stay(
    commands: Commands, server: Server, engine: str, network: str
) -> None:
    """One host or many: exit code 4, and one line with what to do."""
    names = {} if network == "shared" else NAMES
    commands.within = machine(commands.base, names=names, network=network)
    source = seeds(commands, server)
    done = commands.run("run", source, "--delay", "0", "-n", "2", "--host-patience", "4s", "--fetcher", engine, *ANY)
    why = "cannot connect to any host" if names else "cannot resolve any name: no name server answers"
    left = f"{HOSTS * PAGES} URLs stay queued: fix it, then give the same command again"
    assert done.code == 4
    assert done.lines[-1] == f"crawler: gave up: elsewhere: {why}; {left}"
    commands.within = machine(commands.base, names=NAMES)
    assert (commands.status()["queued"], outcomes(commands)) == (HOSTS * PAGES, {})
    assert commands.run("run").code == 0
    assert outcomes(commands) == {"fetched": HOSTS * PAGES}


@ENGINES
def test_hosts_that_are_away_are_given_up_by_a_crawl_that_is_resumed(
    commands: Commands, server: Server, engine: str
) -> None:
    """None but these is left: what the crawl has fetched before shows that it is not the machine."""
    good, port = server.url("/", "127.0.0.1"), closed_port()
    urls = [good, *(f"http://127.0.6.{n}:{port}/" for n in range(1, 7))]
    running = commands.start("run", *urls, "-n", "1", "--host-patience", "4s", "--fetcher", engine, *ANY)
    wait_until(lambda: any(seen.path == "/" for seen in server.seen), "the page")
    running.signal(signal.SIGINT)
    assert running.wait().code == 130
    done = commands.run("run", "-n", "1")
    assert (done.code, outcomes(commands)) == (0, {"fetched": 1, "failed:connect": 6}), done.err


@needs_root
def test_a_machine_with_two_troubles_says_each_once(commands: Commands) -> None:
    """Names do not resolve and addresses have no route: what it meets changes with each look."""
    commands.within = machine(commands.base, network="none")
    source = commands.write("seeds.txt", "http://h1.example.test/\nhttp://192.0.2.1/\n")
    done = commands.run("run", source, "-n", "1", "--host-patience", "8s", *ANY)
    assert done.code == 4
    for words in ("cannot resolve any name", "cannot connect to any host"):
        assert sum(words in line and "gave up" not in line for line in done.err.splitlines()) == 1, done.err


@needs_root
@ENGINES
def test_one_host_alone_without_dns_stays_queued(commands: Commands, server: Server, engine: str) -> None:
    commands.within = machine(commands.base)
    url = server.url("/", "h1.example.test")
    done = commands.run("run", url, "-n", "1", "--host-patience", "3s", "--fetcher", engine, *ANY)
    assert (done.code, commands.status()["queued"]) == (4, 1)


@needs_root
@ENGINES
def test_a_name_is_given_up_by_the_answer_of_a_name_server(
    commands: Commands, server: Server, dns: NameServer, engine: str
) -> None:
    """NXDOMAIN ends it, a crawl of nothing else too; SERVFAIL does not, beside hosts that do resolve."""
    commands.within = dns.machine(commands.base)
    mistyped = commands.run("run", "http://h1.exmaple.test/", "-n", "1", "--fetcher", engine)
    assert (mistyped.code, outcomes(commands)) == (4, {"failed:dns": 1})
    dns.failing.add("h2.example.test")
    urls = [server.url("/", name) for name in ("h1.example.test", "h2.example.test", "nowhere.example.test")]
    done = commands.run("run", *urls, "-n", "1", "--fetcher", engine, "--fresh", "--yes", "--host-patience", "8s", *ANY)
    assert done.code == 0, done.err
    ended = {url: record["outcome"] for url, record in commands.records().items()}
    assert list(map(ended.get, urls)) == ["fetched", "failed:connect", "failed:dns"]


@needs_root
@ENGINES
def test_a_crawl_that_begins_with_names_that_nobody_answers_for_goes_on(
    commands: Commands, server: Server, dns: NameServer, engine: str
) -> None:
    """No name is known yet that resolves: a name server that denies another one shows that the machine is well."""
    commands.within = dns.machine(commands.base)
    lost = [f"a{n}.example.test" for n in range(20)]
    dns.failing.update(lost)
    source = seeds(commands, server, [*lost, "h1.example.test"])
    done = commands.run("run", source, "-n", "1", "--fetcher", engine, "--host-patience", "2s", "--delay", "0", *ANY)
    assert (done.code, "cannot resolve" in done.err) == (0, False), done.err
    assert outcomes(commands) == {"failed:connect": PAGES * len(lost), "fetched": PAGES}


# -- proxies -----------------------------------------------------------------------------------------------------------


def refuse(call: Call) -> None:
    call.answer(b"no", 407, [("Proxy-Authenticate", 'Basic realm="x"'), ("Connection", "close")])
    call.close()


@ENGINES
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("trouble", ["refuses", "robots refused", "absent", "no such name"])
def test_a_proxy_that_refuses_or_is_not_there_ends_no_url(
    commands: Commands, engine: str, scheme: str, trouble: str
) -> None:
    with Server() as proxy:
        proxy.otherwise = page(b"<p>ok") if trouble == "robots refused" else refuse
        for target in ("/robots.txt", "http://example.test/robots.txt"):
            proxy.on(target, refuse)
        proxy.on("example.test:443", refuse)
        at = {"absent": "127.0.0.1:1", "no such name": "proxy.invalid:3128"}.get(trouble, proxy.authority)
        urls = [f"{scheme}://example.test/{n}" for n in range(20)]
        more = ["--proxy", f"http://user:secret@{at}", "--host-patience", "3s", "--fetcher", engine]
        done = commands.run("run", *urls, "-n", "1", "--delay", "0", *more)
    assert done.code == 4
    assert (commands.status()["queued"], outcomes(commands)) == (20, {})
    assert f"the proxy {at} " in done.err
    assert ("(407)" in done.err) == (trouble in ("refuses", "robots refused"))
    assert "secret" not in done.err


@ENGINES
def test_a_password_that_is_refused_in_the_middle_ends_no_url(commands: Commands, engine: str) -> None:
    with Server() as proxy:
        good = [None] * 6

        def answer(call: Call) -> None:
            if not good:
                return refuse(call)
            good.pop()
            return call.answer(b"<p>ok", 200, [("Content-Type", "text/html")])

        proxy.otherwise = answer
        urls = [f"http://example.test/{n}" for n in range(20)]
        more = ["--proxy", f"http://u:p@{proxy.authority}", "--host-patience", "3s", "--fetcher", engine]
        done = commands.run("run", *urls, "-n", "1", "--delay", "0", "--ignore-robots", *more)
    assert done.code == 4
    assert (commands.status()["queued"], outcomes(commands)) == (14, {"fetched": 6})


@ENGINES
def test_without_a_proxy_407_is_an_answer_like_others(commands: Commands, server: Server, engine: str) -> None:
    server.otherwise = page(b"no", 407)
    done = commands.run("run", server.url("/a", "127.0.0.1"), "-n", "1", "--fetcher", engine)
    assert (done.code, commands.status()["statuses"]) == (4, {"407": 1})


# -- descriptors -------------------------------------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize("limit", [256, 128, 64, 48, 40])
def test_few_descriptors_end_no_url(commands: Commands, server: Server, engine: str, limit: int) -> None:
    addresses = [f"127.0.6.{n}" for n in range(1, 101)]
    source = seeds(commands, server, addresses, 2)
    commands.within = ["sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh"]
    done = commands.run("run", source, "-n", "1", "--delay", "0", "--concurrency", "100", "--fetcher", engine, *ANY)
    commands.within = []
    assert done.code == 0
    assert outcomes(commands) == {"fetched": 200}
    assert done.err.count("raise the limit with `ulimit -n ") == 1
    assert "Traceback" not in done.err and "_io_refs" not in done.err


@ENGINES
def test_descriptors_that_are_taken_away_meanwhile_end_no_url(commands: Commands, server: Server, engine: str) -> None:
    addresses = [f"127.0.6.{n}" for n in range(1, 101)]
    source = seeds(commands, server, addresses, 3)
    running = commands.start("run", source, "-n", "1", "--delay", "0.5", "--fetcher", engine, *ANY)
    wait_until(lambda: len(server.seen) > 80, "some pages")
    (worker,) = running.workers()
    taken = len(list(Path(f"/proc/{worker}/fd").iterdir()))
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (taken, taken))
    done = running.wait(90)
    assert done.code == 0, done.err
    assert outcomes(commands) == {"fetched": 300}
    assert done.err.count("raise the limit with `ulimit -n ") <= 1
    assert "Traceback" not in done.err and "_io_refs" not in done.err


def test_a_soft_limit_is_raised_to_the_hard_one(commands: Commands, server: Server) -> None:
    source = seeds(commands, server, [f"127.0.6.{n}" for n in range(1, 101)], 1)
    commands.within = ["sh", "-c", 'ulimit -S -n 40 && exec "$@"', "sh"]
    done = commands.run("run", source, "-n", "1", "--delay", "0", *ANY)
    assert (done.code, "ulimit" in done.err) == (0, False), done.err
