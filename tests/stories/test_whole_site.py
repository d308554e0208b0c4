"""A known graph of some 300 URLs on three hosts: every crawl must find exactly it, each URL asked for once."""

from __future__ import annotations

import pytest

from tests.stories.commands import Commands, by_url
from tests.stories.sites import Graph, Site, Sites

SIZE = 300


def _graph(sites: Sites, seed: int) -> tuple[Graph, list[Site]]:
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2, 3)]
    return Graph(hosts, SIZE, seed), hosts


def _check_log(graph: Graph, hosts: list[Site]) -> None:
    for host in hosts:
        asked = host.asked()
        assert asked.pop("/robots.txt") == 1
        assert asked == dict.fromkeys(graph.asked_for(host), 1)


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (1, ("--workers", "1")),
        (2, ("--workers", "4", "--per-host", "8")),
        (3, ("--workers", "2", "--per-host", "4", "--fetcher", "requests")),
        (4, ("--workers", "2", "--per-host", "4", "--store", "meta")),
    ],
    ids=["one worker", "four workers", "requests", "skimming"],
)
def test_every_url_ends_as_the_model_says(
    commands: Commands, sites: Sites, seed: int, options: tuple[str, ...]
) -> None:
    """Outcome, depth and origin of each URL, from the export; by the hosts' logs none was asked for twice."""
    graph, hosts = _graph(sites, seed)
    done = commands.run("run", *graph.seeds, "--delay", "0", "-o", "-", *options)
    assert done.code == 0, done.err
    records = by_url(done.records())
    graph.check(records)
    _check_log(graph, hosts)
    assert all(record["attempts"] == 1 for record in records.values())
    assert done.lines[0] == "crawl 'default': done"
    assert commands.watch_files() == []
    status = commands.status()
    assert status["state"] == "done"
    assert status["accepted"] == status["ended"] == len(graph.nodes) == sum(status["outcomes"].values())
    assert status["refused"]["scope"] > 0
    assert status["queued"] == status["leased"] == status["sources"] == 0
