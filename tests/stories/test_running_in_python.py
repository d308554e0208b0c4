"""A crawl that a program runs: iterating over it, stopping it, steering it, and what it yields."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

from crawler import Crawl, CrawlerError, Record
from crawler.errors import NoCrawl, UsageError
from tests.servers import Call
from tests.stories.commands import Commands, children, is_worker, kill_hard, wait_until
from tests.stories.sites import Site, Sites, html


@pytest.fixture
def own(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Settings of a crawl in a folder of its own, within this process."""
    for name in [name for name in os.environ if name.startswith("CRAWLER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(commands.folder)
    yield {"folder": str(commands.folder / ".crawler"), "workers": 1, "delay": 0}
    assert [pid for pid in children(os.getpid()) if is_worker(pid)] == []


def _site(sites: Sites, pages: int = 30) -> Site:
    site = sites.add()
    site.serve("/", html(f"/p{n}" for n in range(pages)))
    for n in range(pages):
        site.serve(f"/p{n}", html(["/"], title=f"Page {n}"))
    return site


def _held(site: Site, path: str) -> threading.Event:
    """A page that is answered once the event is set."""
    event = threading.Event()

    def answer(call: Call) -> None:
        event.wait(60)
        call.answer(html(title="held"))

    site.pages[path] = answer
    return event


def test_iterating_yields_each_record_while_it_runs(sites: Sites, own: dict[str, Any]) -> None:
    site = _site(sites)
    held = _held(site, "/p29")
    found: list[Record] = []
    with Crawl(site.url("/"), per_host=8, **own) as crawl:
        for record in crawl:
            found.append(record)
            if len(found) == 30:  # all but the one that is held
                assert not crawl.status().done
                held.set()
        assert crawl.status().done
        assert len({record.url for record in found}) == len(found) == 31
        assert {record.via for record in found if record.url != site.url("/")} == {site.url("/")}
        asked = site.asked()
        again = list(crawl)
        assert [record.url for record in again] == [record.url for record in found]
        assert site.asked() == asked


def test_leaving_the_loop_stops_the_workers_and_the_next_one_continues(sites: Sites, own: dict[str, Any]) -> None:
    site = _site(sites, 60)
    with Crawl(site.url("/"), **(own | {"delay": "20ms"})) as crawl:
        for _ in crawl:
            assert [pid for pid in children(os.getpid()) if is_worker(pid)]
            break
        assert [pid for pid in children(os.getpid()) if is_worker(pid)] == []
        before = crawl.status()
        assert 0 < before.ended < 61
        crawl.set(delay=0, per_host=8)
        assert len(list(crawl)) == 61
        assert max(site.asked_of_pages().values()) == 1


def test_an_error_in_the_loop_stops_the_workers(sites: Sites, own: dict[str, Any]) -> None:
    site = _site(sites)
    _held(site, "/p0").set()
    with Crawl(site.url("/"), **own) as crawl, pytest.raises(KeyError):
        for record in crawl:
            raise KeyError(record.url)
    assert [pid for pid in children(os.getpid()) if is_worker(pid)] == []


def test_a_killed_worker_costs_the_loop_nothing(sites: Sites, own: dict[str, Any]) -> None:
    site = _site(sites)
    held = _held(site, "/p7")
    killed: list[int] = []
    said: list[str] = []
    with Crawl(site.url("/"), say=said.append, per_host=4, hook=lambda page: {"title": page.title}, **own) as crawl:
        for record in crawl:
            if not killed:
                killed = [pid for pid in children(os.getpid()) if is_worker(pid)]
                for pid in killed:
                    kill_hard(pid)
                held.set()
            assert record.data is not None
        urls = [record.url for record in crawl.records()]
        titles = {record.url: record.data["title"] for record in crawl.records()}
    assert len(killed) == 1
    assert len(urls) == len(set(urls)) == 31
    assert titles[site.url("/p3")] == "Page 3"
    assert any("was killed by SIGKILL" in text for text in said)


@pytest.mark.parametrize("how", ["a thread", "the loop", "a signal"])
def test_it_is_stopped(how: str, sites: Sites, own: dict[str, Any]) -> None:
    site = _site(sites, 200)
    own["delay"] = "50ms"
    with Crawl(site.url("/"), **own) as crawl:

        def stop(*_: object) -> None:
            crawl.stop()

        if how == "the loop":
            for n, _ in enumerate(crawl):
                if n == 3:
                    stop()
        else:
            waits = threading.Thread(target=_stop_soon, args=(site, stop if how == "a thread" else None))
            before = signal.signal(signal.SIGUSR1, stop)
            waits.start()
            assert not crawl.run(progress=False).done
            waits.join()
            signal.signal(signal.SIGUSR1, before)
        status = crawl.status()
        assert 3 <= status.ended < 201
        assert (status.leased, status.state) == (0, "waiting")


def _stop_soon(site: Site, stop: Any) -> None:
    wait_until(lambda: sum(site.asked_of_pages().values()) > 3, "some pages")
    if stop is not None:
        stop()
    else:
        os.kill(os.getpid(), signal.SIGUSR1)


def test_a_loop_within_a_loop_is_refused(sites: Sites, own: dict[str, Any]) -> None:
    with Crawl(_site(sites).url("/"), **own) as crawl:
        for _ in crawl:
            with pytest.raises(UsageError, match="is running"):
                list(crawl)
            with pytest.raises(UsageError, match="is running"):
                crawl.run()
            with pytest.raises(UsageError, match="is running"):
                crawl.delete()


def test_two_crawls_one_after_the_other_and_side_by_side(sites: Sites, own: dict[str, Any]) -> None:
    one, two = _site(sites, 3), _site(sites, 5)
    with Crawl(one.url("/"), name="one", **own) as first:
        assert first.run(progress=False).fetched == 4
    with Crawl(two.url("/"), name="two", **own) as second:
        assert second.run(progress=False).fetched == 6
        with Crawl(name="one", **own) as first:
            assert (len(list(first.records())), len(list(second.records()))) == (4, 6)
        third = [Crawl(site.url("/"), name=f"again-{n}", **own) for n, site in enumerate((one, two))]
        assert [len(pair) for pair in zip(*third, strict=False)] == [2] * 4
        for crawl in third:
            crawl.close()


def test_a_crawl_that_is_not_closed_leaves_no_redis_behind(sites: Sites, commands: Commands) -> None:
    """Neither one that was thrown away, nor one with a loop that was left open."""
    site = _site(sites, 3)
    commands.write(
        "open.py",
        "import sys\nfrom pathlib import Path\nfrom crawler import Crawl\nurl = sys.argv[1]\n"
        "Crawl(url, name='one', workers=1, delay=0).run()\n"
        "two = Crawl(url, name='two', workers=1, delay='50ms')\nloop = iter(two)\nnext(loop)\n"
        "print(Path('.crawler/redis.pid').exists())\n",
    )
    done = commands.run(site.url("/"), python="open.py")
    assert (done.code, done.out, done.err) == (0, "True\n", "")
    assert not (commands.folder / ".crawler" / "redis.pid").exists()


def test_fresh_starts_over(sites: Sites, own: dict[str, Any]) -> None:
    site = _site(sites, 3)
    said: list[str] = []
    with Crawl(site.url("/"), say=said.append, **own) as crawl:
        crawl.run()
    with Crawl(site.url("/"), say=said.append, **own) as crawl:
        assert crawl.run().fetched == 4
    assert said == ["crawl 'default' is done with 4 pages; recrawl() visits them again, fresh=True starts over"]
    assert site.asked()["/"] == 1
    with Crawl(site.url("/"), fresh=True, **own) as crawl:
        assert crawl.run().fetched == 4
        assert crawl.run().fetched == 4  # it starts over once
    assert site.asked()["/"] == 2
    assert len([record.url for record in Crawl(**own).records()]) == 4  # it stays open as long as that
    with pytest.raises(UsageError, match="name the seeds"):
        Crawl(fresh=True, **own).run()


def test_seeds_of_all_kinds(sites: Sites, own: dict[str, Any], tmp_path: Path) -> None:
    site = _site(sites, 6)
    file = tmp_path / "urls.txt"
    file.write_text(site.url("/p0"))
    urls = (site.url(f"/p{n}") for n in range(1, 4))
    with Crawl([site.url("/p4"), file], urls, site.url("/p5"), max_depth=0, **own) as crawl:
        assert crawl.run(progress=False).fetched == 6
        assert crawl.seed([site.url("/"), site.url("/p5")]).new == 1
    for wrong in ([1], [None], 5, {"a": 1}, b"http://a.example/", [["http://a.example/"]]):
        with pytest.raises(UsageError, match="a seed is a URL or a file of URLs, not"):
            Crawl(wrong, **own)  # type: ignore[arg-type]


def test_a_crawl_that_is_not_there(own: dict[str, Any]) -> None:
    with Crawl(name="nothing", **own) as crawl:
        for look in (crawl.status, crawl.run, crawl.pause, crawl.failed, crawl.records, crawl.rows):
            with pytest.raises(NoCrawl, match="there is no crawl 'nothing'"):
                look()
        crawl.delete()
    with pytest.raises(UsageError, match="nothing to crawl"):
        (Path(own["folder"]).parent / "none.txt").write_text("# none\n")
        Crawl("none.txt", **own).run()


def test_another_site_is_not_added_by_accident(sites: Sites, own: dict[str, Any]) -> None:
    one, two = _site(sites, 1), sites.add("127.0.0.2")
    two.serve("/", html())
    with Crawl(one.url("/"), **own) as crawl:
        crawl.run(progress=False)
    with Crawl(two.url("/"), **own) as crawl, pytest.raises(UsageError, match="is not part of crawl 'default'"):
        crawl.run()
    with Crawl(two.url("/"), **own) as crawl:
        for look in (crawl.status, crawl.run, lambda: list(crawl)):  # looking at it makes it no part
            with pytest.raises(UsageError, match="is not part of crawl 'default'"):
                look()
    with Crawl(two.url("/"), add=True, **own) as crawl:
        assert crawl.run(progress=False).fetched == 3


def test_what_is_seeded_is_added(sites: Sites, own: dict[str, Any]) -> None:
    one, two, three = (sites.add(f"127.0.0.{n}") for n in (1, 2, 3))
    for site in (one, two, three):
        site.serve("/", html())
    with Crawl(one.url("/"), **own) as crawl:
        assert crawl.seed(two.url("/")).new == 1
        assert crawl.run(progress=False).fetched == 2
    with Crawl(**own) as crawl:
        assert crawl.seed(three.url("/")).new == 1
        assert crawl.run(progress=False).fetched == 3


def test_a_crawl_that_is_closed_in_its_loop(sites: Sites, own: dict[str, Any]) -> None:
    with Crawl(_site(sites).url("/"), **(own | {"delay": "20ms"})) as crawl:
        for n, _ in enumerate(crawl):
            if n == 2:
                crawl.close()
        assert len(list(crawl)) == 31


def test_what_failed_is_listed_and_tried_again(sites: Sites, own: dict[str, Any]) -> None:
    site = _site(sites, 3)
    site.serve("/p1", b"", 500)
    with Crawl(site.url("/"), retries=0, host_patience="2s", **own) as crawl:
        crawl.run(progress=False)
        (failure,) = crawl.failed()
        assert (failure.url, failure.outcome, failure.status) == (site.url("/p1"), "failed:http", 500)
        assert failure.to_dict()["via"] == site.url("/")
        assert list(crawl.failed(reason="dns")) == list(crawl.failed(host="other.example")) == []
        with pytest.raises(UsageError, match="--reason 'nope'"):
            crawl.failed(reason="nope")
        assert crawl.explain(site.url("/p1")).to_dict()["state"] == "failed:http"
        assert "failed:http" in str(crawl.explain(site.url("/p1")))
        site.serve("/p1", html(title="better"))
        assert crawl.retry(reason="dns").queued == 0
        retried = crawl.retry(urls=[site.url("/p1"), site.url("/p2")])
        assert retried.to_dict() == {"queued": 1, "left": {}, "refused": 1}
        assert crawl.run(progress=False).failed == 0
        assert crawl.retry().queued == 0


def test_hosts_are_listed_set_and_blocked(sites: Sites, own: dict[str, Any]) -> None:
    site = _site(sites, 3)
    host = site.url("/").split("/")[2]
    with Crawl(site.url("/"), **own) as crawl:
        crawl.seed()
        crawl.block(host)
        (row,) = crawl.hosts(blocked=True)
        assert (row.host, row.queued, row.to_dict()["blocked"]) == (host, 1, True)
        assert crawl.unblock(host) == 1
        with pytest.raises(UsageError, match="is not blocked"):
            crawl.unblock(host)
        crawl.set(delay="70ms", host=host)
        assert [row.delay_ms for row in crawl.hosts(host)] == [70]
        crawl.set(delay="none", host=[host])
        crawl.set(delay="30ms")
        assert [row.delay_ms for row in crawl.hosts()] == [30]
        for wrong in (
            lambda: crawl.set(scope="all"),  # type: ignore[call-arg]
            lambda: crawl.set(dely=1),  # type: ignore[call-arg]
            lambda: crawl.set(retries=1, host=host),
            lambda: crawl.set(workers=1),  # type: ignore[call-arg]
            lambda: crawl.hosts(sort="size"),
        ):
            with pytest.raises(UsageError):
                wrong()
        Path("rules.toml").write_text('[[rule]]\nname = "all"\nmatch = "."\n[rule.fields]\nh = "title"\n')
        crawl.set(rules="rules.toml")
        crawl.pause()
        assert crawl.status().state == "paused"
        crawl.resume()
        assert crawl.run(progress=False).done
        assert [row["data.h"] for row in crawl.rows("data.h")][1:] == ["Page 0", "Page 1", "Page 2"]
        crawl.set(rules="none")


def test_rows_and_exports(sites: Sites, own: dict[str, Any], tmp_path: Path) -> None:
    site = _site(sites, 3)
    site.serve("/p2", b"", 404)

    def items(page: Any) -> Any:
        return [{"n": n, "url": "own"} for n in range(2)] if page.url.endswith("p0") else {"title": page.title}

    with Crawl(site.url("/"), hook=items, **own) as crawl:
        crawl.run(progress=False)
        rows = list(crawl.rows())
        assert [tuple(row) for row in rows] == [Record.__struct_fields__] * 4
        assert [row["status"] for row in rows].count(404) == 1
        assert list(crawl.rows("url,data.title", only="fetched", status="2xx")) == [
            {"url": site.url("/"), "data.title": None},
            {"url": site.url("/p0"), "data.title": None},
            {"url": site.url("/p1"), "data.title": "Page 1"},
        ]
        assert list(crawl.rows(items=True)) == [{"url": site.url("/p0"), "n": n, "item.url": "own"} for n in range(2)]
        with pytest.raises(UsageError, match="did you mean title"):
            crawl.rows(["titel"])
        frame, table = pd.DataFrame(crawl.rows()), pl.DataFrame(crawl.rows(), infer_schema_length=None)
        assert frame.shape == table.shape == (4, len(Record.__struct_fields__))
        counted = duckdb.sql("SELECT count(*) FROM frame WHERE status = 200")
        assert counted is not None
        assert counted.fetchall() == [(3,)]
        record = next(iter(crawl.records()))
        assert record.to_dict() == json.loads(record.encode()) | {"url": record.url}
        assert repr(record).startswith(f"<Record {site.url('/')} fetched 200")
        assert crawl.export(tmp_path / "pages.jsonl", only="missing") == 1
        assert json.loads((tmp_path / "pages.jsonl").read_text())["url"] == site.url("/p2")
        with pytest.raises(CrawlerError):
            crawl.export(tmp_path / "pages.docx")
