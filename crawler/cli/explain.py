"""`crawler explain` and `crawler quarantine`: questions about one URL, and about quarantined templates."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import click

from crawler.cli.options import OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import echo_json, say
from crawler.crawl.session import Session
from crawler.errors import UsageError
from crawler.frontier import verbs
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.decode import number
from crawler.frontier.frontier import Frontier
from crawler.frontier.status import workers_alive
from crawler.monitor.dead_letters import TRAP
from crawler.monitor.explain import explain
from crawler.monitor.revive import revive
from crawler.policy import traps
from crawler.record import Record
from crawler.text import counted, printable

HEARD: Final = 2.0
"""After these seconds every living worker knows of a release; until then it may drop more URLs."""


@click.command(
    "explain",
    short_help="what the crawl knows of one URL, and why",
    epilog=examples("crawler explain https://example.org/page", "crawler explain https://example.org/ --json"),
)
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout")
@settings(*OF_REDIS)
def explain_(url: str, as_json: bool, **given: Any) -> int:
    """Show what became of URL, where it waits or which worker has it, how it was found, and which rules apply."""
    with Session(load_given(given), say, begins=False) as session:
        result = explain(session.find(), session.settings, url)
    if as_json:
        echo_json(result)
    else:
        click.echo("\n".join(printable(text) for text in result.lines()))
    return 0


@click.command(
    "quarantine",
    short_help="templates whose pages held nothing new; release them",
    epilog=examples("crawler quarantine", "crawler quarantine --release 'example.org/cal?d=*'"),
)
@click.option("--release", metavar="TEMPLATE", help="from now on fetch its URLs after all; all: of every template")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line on stdout")
@settings(*OF_REDIS)
def quarantine(release: str | None, as_json: bool, **given: Any) -> int:
    """List the quarantined templates of URLs, with the number of their URLs that were dropped; or release one."""
    with Session(load_given(given), say, begins=False) as session:
        frontier, crawldb = session.find(), session.crawldb
        if release is not None:
            return _release(frontier, crawldb, release)
        found = crawldb.traps()
        dropped = Counter(traps.trap_of(record.url, found) for _, record in _dropped(crawldb)) if found else Counter()
        for name in sorted(found):
            weighed = number(crawldb.template(traps.template_id(name)).get("total"))
            if as_json:
                row = {"template": name, "since_ms": found[name], "weighed": weighed, "dropped": dropped[name]}
                echo_json(row)
            else:
                click.echo(
                    printable(f"{name}  ({counted(weighed, 'page')} weighed, {counted(dropped[name], 'URL')} dropped)")
                )
        if not found:
            say("nothing is quarantined")
    return 0


def _dropped(crawldb: CrawlDb) -> Iterator[tuple[int, Record]]:
    found = ((letter.at, letter.record) for letter in crawldb.records.letters())
    return ((at, record) for at, record in found if record is not None and record.outcome == TRAP)


def _revive(frontier: Frontier, crawldb: CrawlDb, template: str | None) -> int:
    """Requeue what was dropped of *template*; None: of all templates not quarantined now. Returns how many."""
    quarantined = frozenset(crawldb.traps())

    def meant(record: Record) -> bool:
        if template is None:
            return traps.trap_of(record.url, quarantined) is None
        return traps.trap_of(record.url, (template,)) is not None

    return sum(revive(frontier, ((at, record) for at, record in _dropped(crawldb) if meant(record))))


def _unquarantine(frontier: Frontier, template: str) -> int:
    home = frontier.home(template)
    return home.ask(verbs.unquarantine(home, template, traps.template_id(template)))


def _release(frontier: Frontier, crawldb: CrawlDb, which: str) -> int:
    """Release the template, then requeue what was dropped. Safe to repeat, also after an interruption."""
    names = sorted(crawldb.traps()) if which == "all" else [which]
    released = sum(_unquarantine(frontier, name) for name in names)
    known = released or which == "all" or crawldb.template(traps.template_id(which)).get("state") == "pardoned"
    if not known:
        raise UsageError(f"{which!r} is not quarantined; `crawler quarantine` lists what is")
    revived = 0
    while swept := _revive(frontier, crawldb, None if which == "all" else which):
        revived += swept
    if released and workers_alive(crawldb):
        time.sleep(HEARD)
        revived += _revive(frontier, crawldb, None if which == "all" else which)
    if not released and not revived:
        say("there is nothing to release")
        return 0
    templates = "1 template" if released == 1 else f"{released:,} templates"
    say(f"{templates} released, {counted(revived, 'URL')} queued again: `crawler run` fetches them")
    return 0
