"""The command line: flags into Settings, results onto the screen; nothing else."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import click
import msgspec

from crawler import hook as hooks
from crawler import seeding
from crawler.config import TABLE, VERSION, Kind, Loaded, Settings, format_value, parse_change
from crawler.crawl import Ended, Session, interrupts, work
from crawler.errors import CrawlerError, NoCrawl, NothingFetched, UsageError
from crawler.export import Patient, Sink, export, follow, open_sink
from crawler.frontier.frontier import Frontier
from crawler.frontier.ledger import Ledger
from crawler.monitor import screen
from crawler.monitor.status import Monitor, Status
from crawler.options import examples, load_given, settings
from crawler.seeding import Seeded
from crawler.text import printable
from crawler.tryout import try_url

INTERRUPTED: Final = 130
_DEFAULTS: Final = Settings()
_REDIS: Final = ("redis", "crawl", "folder", "log_file", "verbose")
_WORK: Final = ("workers", "concurrency", "fetcher", "header", "proxy", "trust_env", "hook")
_CRAWL: Final = tuple(name for name, meta in TABLE.items() if meta.kind is not Kind.PROCESS)
_FETCH: Final = ("user_agent", "header", "proxy", "trust_env", "fetcher", "timeout", "max_size", "allow_private")

line = screen.LiveLine()


def say(text: str) -> None:
    """A line for people, on stderr."""
    line.clear()
    click.echo(f"crawler: {printable(text)}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="crawler")
def cli() -> None:
    """A web crawler on a Redis queue: one command at home, many machines when needed.

    Without --redis a Redis of its own is started in ./.crawler; with it, the same commands run on many machines.
    """


# -- crawling ----------------------------------------------------------------------------------------------------------


@cli.command(
    epilog=examples(
        "crawler run https://example.org                     crawl a site, politely",
        "crawler run https://example.org -o pages.jsonl      and export what was found",
        "crawler run urls.txt --scope host --max-pages 1000  seeds from a file, one a line",
        "crawler run                                         go on after Ctrl-C",
    )
)
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("-o", "--output", metavar="FILE", help="export the records when the crawl is done")
@click.option("--format", "form", metavar="NAME", help="jsonl or csv, where FILE's ending does not say it")
@click.option("--fresh", is_flag=True, help="delete what this crawl has stored and start over (asks)")
@click.option("--yes", is_flag=True, help="do not ask")
@settings(*_CRAWL, *_WORK, *_REDIS)
def run(sources: tuple[str, ...], output: str | None, form: str | None, fresh: bool, yes: bool, **given: Any) -> int:
    """Seed SOURCEs (URLs, files of URLs, - for stdin), crawl until nothing is left, and print a summary.

    Ctrl-C stops cleanly; the same command again goes on. Press it twice to stop at once.
    """
    loaded = load_given(given)
    _check(loaded, sources)
    sink = open_sink(output, form) if output else None
    try:
        with Session(loaded, say) as session:
            if fresh:
                _delete(session, yes, missing_ok=True)
            if not sources:
                session.find()
            return _run(session, sources, sink)
    except BaseException:
        if sink is not None:
            sink.abort()
        raise


def _check(loaded: Loaded, sources: Sequence[str]) -> None:
    """What can be found wrong before anything is started."""
    if loaded.settings.hook:
        hooks.load(loaded.settings.hook)
    seeding.check(sources)


def _run(session: Session, sources: Sequence[str], sink: Sink | None) -> int:
    frontier = session.create_or_join()
    _hint_at_contact(session)
    seeded = session.seed(frontier, sources, _seeding)
    line.clear()
    before = Monitor(frontier, session.ledger).look()
    if before.accepted == 0:
        raise UsageError(
            "nothing to crawl: no line of the sources is a URL" if sources else "give a URL or a file of URLs"
        )
    if before.done:
        say(
            f"crawl {before.crawl!r} is done: {before.fetched:,} pages are there (`crawler status`, `crawler export`);"
            " name new URLs, or start over with --fresh"
        )
        return _finish(session, sink, before, 2 if seeded.refused else 0)
    ended = work(session, frontier, until_done=True, show=_show)
    line.clear()
    _summarize(ended)
    if ended.interrupted:
        _hint_after_interrupt(session, sink)
        return INTERRUPTED
    return _finish(session, sink, ended.status, 0)


def _finish(session: Session, sink: Sink | None, status: Status, code: int) -> int:
    if sink is not None:
        count = export(Patient(session.ledger, session.patience), sink).count
        sink.finish()
        say(f"{count:,} records written to {sink.target}")
    if status.fetched == 0 and status.done:
        raise NothingFetched("nothing was fetched in the whole crawl: see `crawler export -o -` for the reasons")
    return code


def _hint_at_contact(session: Session) -> None:
    if session.settings.user_agent == _DEFAULTS.user_agent and not session.settings.allow_private:
        say("hint: name a way to reach you with --user-agent 'mybot/1.0 (+https://example.org/bot)'")


def _hint_after_interrupt(session: Session, sink: Sink | None) -> None:
    if sink is not None:
        sink.abort()
        say(f"{sink.target} was not written: the crawl is not done")
    name = session.settings.crawl
    say("interrupted; go on with `crawler run`" + ("" if name == "default" else f" --crawl {name}"))


def _seeding(seeded: Seeded) -> None:
    line.show(f"seeding: {seeded.given:,} URLs, {seeded.new:,} new")


def _show(status: Status, seconds: float) -> None:
    line.show(screen.live(status, seconds))


def _summarize(ended: Ended) -> None:
    lost = ended.losses
    losses = f"workers: {lost.died} died, {lost.hung} were killed on a page that hung" if lost.died or lost.hung else ""
    for text in screen.summary(ended.status, ended.seconds, losses):
        click.echo(printable(text), err=True)


@cli.command(
    epilog=examples(
        "crawler seed https://example.org",
        "crawler seed urls.txt.gz --redis redis://localhost",
        "zcat urls.gz | crawler seed - --crawl big --delay 2s",
    )
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@settings(*_CRAWL, *_REDIS)
def seed(sources: tuple[str, ...], **given: Any) -> int:
    """Put URLs into the frontier: URLs, files of URLs (one a line, # comments, .gz), or - for stdin.

    Makes the crawl if it is not there. Safe to repeat: a URL that was accepted once is not taken again.
    """
    loaded = load_given(given)
    _check(loaded, sources)
    with Session(loaded, say) as session:
        seeded = session.seed(session.create_or_join(), sources, _seeding)
        line.clear()
        over = f", {seeded.over_budget:,} over their host's budget" if seeded.over_budget else ""
        refused = f", {seeded.refused:,} refused" if seeded.refused else ""
        say(f"{seeded.new:,} new URLs, {seeded.seen:,} known{over}{refused}; crawl {session.settings.crawl!r}")
        return 2 if seeded.refused else 0


@cli.command(
    epilog=examples(
        "crawler work -n 8 --redis redis://queue.example.org   on as many machines as you like",
        "crawler work --until-done                             leave when the crawl is done",
    )
)
@click.option("--until-done", is_flag=True, help="leave when the crawl is done; else wait for more")
@settings(*_WORK, *_REDIS)
def work_(until_done: bool, **given: Any) -> int:
    """Run worker processes on this machine. Waits for a crawl to begin, and for more URLs when there are none."""
    loaded = load_given(given)
    _check(loaded, ())
    with Session(loaded, say) as session:
        with interrupts() as asked:
            frontier = session.wait_for("work", lambda: asked() > 0)
        if frontier is None:
            return INTERRUPTED
        ended = work(session, frontier, until_done=until_done, show=_show)
        line.clear()
        _summarize(ended)
        return INTERRUPTED if ended.interrupted and until_done else 0


# -- results -----------------------------------------------------------------------------------------------------------


@cli.command(
    "export",
    epilog=examples(
        "crawler export -o pages.jsonl",
        "crawler export -o pages.csv.gz --only fetched",
        "crawler export -o - --follow | jq .title       while the crawl runs",
    ),
)
@click.option(
    "-o", "--output", metavar="FILE", required=True, help="where to; - is stdout. .jsonl .csv, .gz compresses"
)
@click.option("--format", "form", metavar="NAME", help="jsonl or csv, where FILE's ending does not say it")
@click.option("--only", metavar="OUTCOME", multiple=True, help="fetched, redirected, dropped, failed, failed:dns, ...")
@click.option("--follow", "following", is_flag=True, help="go on until the crawl is done; waits for it to begin")
@click.option("--raw-cells", is_flag=True, help="CSV: do not defuse cells that a spreadsheet would run")
@settings(*_REDIS)
def export_(
    output: str, form: str | None, only: tuple[str, ...], following: bool, raw_cells: bool, **given: Any
) -> int:
    """Write the records of the crawl in the order of their commits, one JSON object or CSV row each."""
    loaded = load_given(given)
    with Session(loaded, say) as session, interrupts() as asked:
        frontier = session.wait_for("export", lambda: asked() > 0) if following else session.find()
        if frontier is None:
            return INTERRUPTED
        with open_sink(output, form, follow=following, defuse=not raw_cells) as sink:
            ledger = Patient(session.ledger, session.patience)
            if following:
                over = partial(_is_over, frontier, session, asked)
                count = follow(ledger, sink, over, time.sleep, outcomes=only or None, on_batch=_exporting).count
            else:
                count = export(ledger, sink, outcomes=only or None, on_batch=_exporting).count
            sink.finish()
        line.clear()
        say(f"{count:,} records written to {'stdout' if output == '-' else output}")
        return INTERRUPTED if asked() else 0


def _is_over(frontier: Frontier, session: Session, asked: Callable[[], int]) -> bool:
    state = session.patience.through(frontier.state)
    return asked() > 0 or state.word in ("done", "limit", "deleting")


def _exporting(count: int) -> None:
    line.show(f"exporting: {count:,} records")


# -- looking and steering ----------------------------------------------------------------------------------------------


@cli.command(epilog=examples("crawler status", "crawler status --json | jq .queued", "crawler status --watch"))
@click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout")
@click.option("--watch", is_flag=True, help="go on, a line that is written over, until the crawl is done")
@settings(*_REDIS)
def status(as_json: bool, watch: bool, **given: Any) -> int:
    """Say what the crawl is at: counts, rate, workers, and what limits the speed now."""
    with Session(load_given(given), say) as session:
        monitor = Monitor(session.find(), session.ledger)
        monitor.look()
        time.sleep(0.3)  # a rate takes two looks
        seen = monitor.look()
        if watch:
            _watch(session, monitor, seen)
        elif as_json:
            click.echo(msgspec.json.encode(seen.as_json()).decode())
        else:
            click.echo("\n".join(printable(text) for text in screen.status_lines(seen)))
    return 0


def _watch(session: Session, monitor: Monitor, seen: Status) -> None:
    began = time.monotonic()
    with interrupts() as asked:
        while not asked() and seen.state not in ("done", "limit", "deleting"):
            line.show(screen.live(seen, time.monotonic() - began))
            time.sleep(0.5)
            seen = session.patience.through(monitor.look)
    line.clear()
    click.echo("\n".join(printable(text) for text in screen.status_lines(seen)))


@cli.command("list", epilog=examples("crawler list", "crawler list --redis redis://localhost --json"))
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
@settings(*_REDIS)
def list_(as_json: bool, **given: Any) -> int:
    """List the crawls on this Redis."""
    with Session(load_given(given), say) as session:
        names = session.names()
        for name in names:
            frontier = Frontier.find(session.link, name)
            seen = Monitor(frontier, Ledger(session.link, name)).look()
            if as_json:
                click.echo(msgspec.json.encode(seen.as_json()).decode())
            else:
                click.echo(f"{name:<24} {seen.state:<9} {seen.ended:>12,} ended {seen.queued:>12,} queued")
        if not names:
            say("there is no crawl on this Redis yet: begin one with `crawler run`")
    return 0


@cli.command(
    "set",
    epilog=examples("crawler set delay 2s", "crawler set max-pages none --crawl big", "crawler set"),
)
@click.argument("name", required=False)
@click.argument("values", nargs=-1, metavar="VALUE...")
@settings(*_REDIS)
def set_(name: str | None, values: tuple[str, ...], **given: Any) -> int:
    """Change a setting of the crawl; its workers obey within seconds. Without NAME: show all of them."""
    with Session(load_given(given), say) as session:
        frontier = session.find()
        if name is None:
            for key in _CRAWL:
                kind = "" if TABLE[key].kind is Kind.CHANGEABLE else "  (fixed)"
                value = format_value(key, getattr(session.settings, key))
                click.echo(printable(f"{key.replace('_', '-'):<20} {value}{kind}"))
            return 0
        key = name.removeprefix("--").replace("-", "_")
        session.change(frontier, {key: parse_change(key, values)})
    return 0


@cli.command(epilog=examples("crawler pause", "crawler pause --crawl big --redis redis://localhost"))
@settings(*_REDIS)
def pause(**given: Any) -> int:
    """Hand out no more URLs until `crawler resume`; what is in flight ends."""
    with Session(load_given(given), say) as session:
        session.find().pause()
        say(f"crawl {session.settings.crawl!r} is paused; `crawler resume` goes on")
    return 0


@cli.command(epilog=examples("crawler resume"))
@settings(*_REDIS)
def resume(**given: Any) -> int:
    """Hand out URLs again after `crawler pause`."""
    with Session(load_given(given), say) as session:
        session.find().resume()
        say(f"crawl {session.settings.crawl!r} goes on")
    return 0


@cli.command(epilog=examples("crawler delete", "crawler delete --crawl old --yes"))
@click.option("--yes", is_flag=True, help="do not ask")
@settings(*_REDIS)
def delete(yes: bool, **given: Any) -> int:
    """Delete a crawl and all it stored. Asks first."""
    with Session(load_given(given), say) as session:
        _delete(session, yes, missing_ok=False)
    return 0


def _delete(session: Session, yes: bool, *, missing_ok: bool) -> None:
    asked = session.settings
    try:
        frontier = session.find()
    except NoCrawl:
        if missing_ok:
            return
        raise
    ended = frontier.state().ended
    if not yes:
        question = f"Delete crawl {asked.crawl!r} with its {ended:,} records?"
        if not sys.stdin.isatty():
            raise UsageError(f"{question} Say --yes, for there is no terminal to ask")
        if not click.confirm(question, err=True):
            raise UsageError("nothing was deleted")
    session.delete()
    session.settings = asked
    say(f"crawl {asked.crawl!r} and its {ended:,} records are deleted")


@cli.command(
    epilog=examples("crawler fetch https://example.org", "crawler fetch https://example.org --json | jq .title")
)
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="the record as one JSON object")
@click.option("--links", is_flag=True, help="print the links as well")
@settings(*_FETCH, "ignore_robots", "insecure", "hook", "verbose")
def fetch(url: str, as_json: bool, links: bool, **given: Any) -> int:
    """Take one URL through the whole way (robots.txt, redirects, extraction) and print it; nothing is stored."""
    loaded = load_given(given)
    _check(loaded, ())
    tried = try_url(url, loaded.settings)
    if as_json:
        record = tried.record if links else msgspec.structs.replace(tried.record, outlinks=None)
        click.echo(record.encode().decode())
    else:
        click.echo("\n".join(printable(text) for text in tried.lines(links=links)))
    return 0 if tried.fetched else 4


@cli.command(epilog=examples("crawler demo", "crawler demo -n 4", "crawler demo -o pages.jsonl"))
@click.option("-o", "--output", metavar="FILE", help="export the records")
@settings("workers", "fetcher", "delay")
def demo(output: str | None, **given: Any) -> int:
    """Crawl a small site that is served on loopback by this command: works offline, takes half a minute."""
    from crawler.demonstration import run_demo  # only this command needs a web server

    loaded = load_given(given)
    sink = open_sink(output) if output else None
    return run_demo(loaded, say, _show, _summarize_demo(sink))


def _summarize_demo(sink: Sink | None) -> Callable[[Ended, Ledger], None]:
    def summarize(ended: Ended, ledger: Ledger) -> None:
        line.clear()
        _summarize(ended)
        if sink is not None:
            count = export(ledger, sink).count
            sink.finish()
            say(f"{count:,} records written to {sink.target}")

    return summarize


cli.add_command(work_, "work")


def main(args: Sequence[str] | None = None) -> None:
    """Run a command; every error is one line and an exit code."""
    sys.exit(_main(args))


def _main(args: Sequence[str] | None) -> int:
    try:
        return cli.main(args, prog_name="crawler", standalone_mode=False) or 0
    except click.ClickException as error:
        say(_click_message(error))
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    except CrawlerError as error:
        say(str(error))
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # a defect of ours: no traceback reaches a user unasked
        say(f"this is a defect of the crawler: {type(error).__name__}: {error}; please report it with what -v shows")
        if "-v" in (args or sys.argv) or "--verbose" in (args or sys.argv):
            traceback.print_exc()
        return 1


def _click_message(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "crawler"
    return f"{message} See `{path} --help`."
