"""`crawler status`, `list`, `set`, `pause`, `resume` and `delete`: shows a crawl's state and controls it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from textwrap import fill
from typing import Any, Final

import click

from crawler.cli.hosts import set_for_hosts, settings_of_hosts
from crawler.cli.options import OF_CRAWL, OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import echo_json, line, say
from crawler.crawl.rule_set import read_rule_file
from crawler.crawl.session import Session, has_begun, place_of
from crawler.errors import DamagedCrawl, NoCrawl, UsageError
from crawler.frontier.crawldb import crawls
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import OVER
from crawler.frontier.status import Monitor, Status
from crawler.monitor import screen
from crawler.monitor.progress import Progress
from crawler.policy import robots
from crawler.rule_names import rule_names
from crawler.settings import TABLE, Kind, Settings, format_value, parse_change, stored_key
from crawler.text import counted, option_name, printable
from crawler.worker.hook import hook_name

_CHANGEABLE: Final = [option_name(name) for name in OF_CRAWL if TABLE[name].kind is Kind.CHANGEABLE]
_NO_CRAWLS: Final = "there is no crawl {} yet: begin one with `crawler run URL`"


@click.command(
    short_help="the state of the crawl",
    epilog=examples("crawler status", "crawler status --json | jq .queued", "crawler status --watch"),
)
@click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout")
@click.option("--watch", is_flag=True, help="keep showing it until the crawl is done")
@settings(*OF_REDIS)
def status(as_json: bool, watch: bool, **given: Any) -> int:
    """Show the state of the crawl: counts, rate, workers, and what limits the speed now."""
    with Session(load_given(given), say, begins=False) as session:
        monitor = Monitor(session.find())
        monitor.look()
        time.sleep(0.3)  # a rate takes two looks
        seen = monitor.look()
        seen = _watch(session, monitor, seen, as_json) if watch else seen
        if as_json:
            echo_json(seen.to_dict())
        else:
            lines = screen.status_lines(seen, rule_names(session.settings.rule_set))
            click.echo("\n".join(map(printable, lines)))
    return 0


def _watch(session: Session, monitor: Monitor, seen: Status, as_json: bool) -> Status:
    """Update until the crawl is over or a signal arrives: on the terminal, or one object a second."""
    began, show = time.monotonic(), Progress(line, say)
    with session.redis.interruptible() as stopped:
        while not stopped() and seen.state not in OVER:
            if as_json:
                echo_json(seen.to_dict())
            else:
                show(seen, time.monotonic() - began)
            time.sleep(1.0 if as_json else 0.5)
            seen = monitor.look()
    line.clear()
    return seen


@click.command(
    "list",
    short_help="the crawls on this Redis",
    epilog=examples("crawler list", "crawler list --redis redis://localhost --json"),
)
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
@settings(*OF_REDIS)
def list_(as_json: bool, **given: Any) -> int:
    """List the crawls on this Redis."""
    loaded = load_given(given)
    if not has_begun(loaded.settings):
        say(_NO_CRAWLS.format(place_of(loaded)))
        return 0
    with Session(loaded, say, begins=False) as session:
        names = crawls(session.redis.connection)
        for name in names:
            try:
                seen = Monitor(Frontier.find(session.redis.connection, name)).look()
            except (NoCrawl, DamagedCrawl) as error:  # just being deleted; of another version, or damaged
                say(f"{name}: {error}")
                continue
            if as_json:
                echo_json(seen.to_dict())
            else:
                click.echo(f"{name:<24} {seen.state:<9} {seen.ended:>12,} ended {seen.queued:>12,} queued")
        if not names:
            say(_NO_CRAWLS.format(place_of(loaded)))
    return 0


@click.command(
    "set",
    short_help="change a setting of the crawl",
    epilog="\b\nSettings:\n"
    + fill(", ".join(_CHANGEABLE), 76, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    + "\n\n"
    + examples(
        "crawler set delay 2s                    or delay=2s",
        "crawler set max-pages none --crawl big",
        "crawler set delay 5s --host example.org",
        "crawler set delay                       show it",
        "crawler set rules rules.toml            replace the extraction rules",
        "crawler set                             show all",
    ),
)
@click.argument("name", required=False)
@click.argument("values", nargs=-1, metavar="[VALUE]...")
@click.option(
    "--host", "hosts", metavar="HOST", multiple=True, help="for this host alone (delay, per-host, max-pages-per-host)"
)
@settings(*OF_REDIS)
def set_(name: str | None, values: tuple[str, ...], hosts: tuple[str, ...], **given: Any) -> int:
    """Change a setting of the crawl; its workers apply it within seconds. Without VALUE: show it. Without NAME: all.

    With --host it counts for HOST in place of the crawl's: a name, name:port, or *.name for a name and all below it.
    """
    name, equals, value = (name or "").partition("=")
    values = (value, *values) if equals else values
    with Session(load_given(given), say, begins=False) as session:
        frontier = session.find()
        if not name:
            click.echo("\n".join(_shown(key, session.settings) for key in OF_CRAWL))
            click.echo(printable(f"{'hook':<20} {format_value('hook_name', session.settings.hook_name)}"))
            click.echo(printable(f"{'rules':<20} {format_value('rule_set', session.settings.rule_set)}"))
            for line in settings_of_hosts(session.crawldb):
                click.echo(printable(line))
            return 0
        if name == "hook":
            return _set_hook(session, frontier, values)
        if name == "rules":
            return _set_rules(session, frontier, values)
        key = stored_key(name)
        if hosts:
            return set_for_hosts(frontier, key, values, hosts)
        if not values:
            click.echo(printable(format_value(key, getattr(session.settings, key))))
            return 0
        session.change(frontier, {key: parse_change(key, values)})
        if key == "user_agent" and (hint := robots.hint_at_token(session.settings.user_agent)):
            say(f"hint: {hint}")
    return 0


def _shown(key: str, stored: Settings) -> str:
    kind = "" if TABLE[key].kind is Kind.CHANGEABLE else "  (fixed)"
    return printable(f"{option_name(key):<20} {format_value(key, getattr(stored, key))}{kind}")


def _set_hook(session: Session, frontier: Frontier, values: Sequence[str]) -> int:
    """Show the name of the crawl's hook, or change it."""
    if not values:
        click.echo(printable(format_value("hook_name", session.settings.hook_name)))
        return 0
    if len(values) > 1:
        raise UsageError("give one hook: FILE.py:FUNCTION, module:FUNCTION, or none")
    session.set_hook(frontier, "" if values[0] == "none" else hook_name(values[0]))
    return 0


def _set_rules(session: Session, frontier: Frontier, values: Sequence[str]) -> int:
    """Print the crawl's extraction rules as they were in their file, or replace them."""
    if not values:
        click.echo("".join(f"{printable(text)}\n" for text in session.settings.rule_set.splitlines()), nl=False)
        return 0
    if len(values) > 1:
        raise UsageError("give one file of rules: crawler set rules FILE, or none")
    session.set_rules(frontier, "" if values[0] == "none" else read_rule_file(values[0]))
    return 0


@click.command(
    short_help="give workers no more URLs",
    epilog=examples("crawler pause", "crawler pause --crawl big --redis redis://localhost"),
)
@settings(*OF_REDIS)
def pause(**given: Any) -> int:
    """Give workers no more URLs until `crawler resume`. Pages in flight finish."""
    with Session(load_given(given), say, begins=False) as session:
        session.find().pause()
        say(f"crawl {session.settings.crawl!r} is paused; `crawler resume` continues it")
    return 0


@click.command(short_help="give workers URLs again", epilog=examples("crawler resume"))
@settings(*OF_REDIS)
def resume(**given: Any) -> int:
    """Give workers URLs again after `crawler pause`."""
    with Session(load_given(given), say, begins=False) as session:
        session.find().resume()
        say(f"crawl {session.settings.crawl!r} continues")
    return 0


@click.command(
    short_help="delete a crawl and all its data", epilog=examples("crawler delete", "crawler delete --crawl old --yes")
)
@click.option("--yes", is_flag=True, help="do not ask")
@settings(*OF_REDIS)
def delete(yes: bool, **given: Any) -> int:
    """Delete a crawl and all its data. Asks first."""
    with Session(load_given(given), say, begins=False) as session:
        delete_crawl(session, yes, missing_ok=False)
    return 0


def delete_crawl(session: Session, yes: bool, *, missing_ok: bool) -> None:
    """Ask, then delete the crawl. UsageError if the answer is no."""
    asked = session.settings
    try:
        records = f"its {counted(session.find().state().ended, 'record')}"
    except NoCrawl:
        if missing_ok:
            return
        raise
    except DamagedCrawl as error:
        say(str(error))
        records = "whatever is left of it"
    if not yes:
        question = f"Delete crawl {asked.crawl!r} with {records}?"
        if not sys.stdin.isatty():
            raise UsageError(f"{question} Add --yes, because there is no terminal to ask")
        if not click.confirm(question, err=True):
            raise UsageError("nothing was deleted")
    session.delete()
    session.settings = asked
    say(f"crawl {asked.crawl!r} and {records} are deleted")
