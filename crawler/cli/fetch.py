"""`crawler fetch`: one URL as a crawl would process it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from crawler.cli.options import examples, load_given, settings
from crawler.cli.terminal import echo_json, say
from crawler.crawl.rule_set import with_rules
from crawler.errors import UsageError
from crawler.policy import robots
from crawler.record import Record
from crawler.settings import Settings
from crawler.text import printable
from crawler.worker.options import plan_of

if TYPE_CHECKING:
    from crawler.crawl.fetch_one import Fetched
    from crawler.parse.rules import Rules

_OPTIONS: Final = (
    *("user_agent", "header", "proxy", "trust_env", "fetcher", "timeout", "max_size", "allow_private"),
    *("ignore_robots", "insecure", "store", "extract", "hook", "hook_on", "rules", "verbose"),
)
_MAX_SHOWN: Final = 10
"""Items that are shown to a person."""
_TEXTS: Final = ("text", "main", "markdown", "html")
_HIDDEN: Final = ("links", *_TEXTS, "depth", "hops", "attempts", "change")


@click.command(
    short_help="try one URL, nothing is stored",
    epilog=examples("crawler fetch https://example.org", "crawler fetch https://example.org --json | jq .title"),
)
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="the record as one JSON object")
@click.option("--links", is_flag=True, help="print the links as well")
@click.option("--markdown", is_flag=True, help="print the main content as Markdown, and nothing else")
@settings(*_OPTIONS)
def fetch(url: str, as_json: bool, links: bool, markdown: bool, **given: Any) -> int:
    """Process one URL as a crawl would (robots.txt, redirects, extraction) and print it; nothing is stored."""
    from crawler.crawl.fetch_one import fetch_one  # loads all that a worker needs; other commands do not
    from crawler.crawl.process import LAST_WORDS, end_within

    if markdown and as_json:
        raise UsageError("--markdown prints no record: for one with its Markdown name --json --store markdown")
    loaded = load_given(given)
    rules = plan_of(with_rules(loaded.settings)).extract.rules
    if hint := robots.hint_at_token(loaded.settings.user_agent):
        say(f"hint: {hint}")
    with redirect_stdout(sys.stderr):  # what a hook prints
        found = fetch_one(url, _with_contents(loaded.settings, as_json, markdown), say)
    if markdown:
        _print_markdown(found)
    elif as_json:
        echo_json(found.record if links else msgspec.structs.replace(found.record, links=None))
    else:
        requests = [f"  {'request':<14} {text}" for text in found.requests]
        lines = [*found.steps, *_lines(found.record, links=links), *_matched(found, rules), *requests]
        click.echo("\n".join(map(printable, lines)))
    code = 0 if found.record.outcome == "fetched" else 4
    if loaded.settings.hook:
        sys.stdout.flush()
        end_within(LAST_WORDS, code)
    return code


def _with_contents(settings: Settings, as_json: bool, markdown: bool) -> Settings:
    """The *settings* with the contents that are printed; as JSON only what a crawl would store."""
    more = ("markdown",) if markdown else () if as_json else ("main",)
    return replace(settings, store=tuple({*settings.store, *more}))


def _print_markdown(found: Fetched) -> None:
    """Print the Markdown; why there is none on stderr. On a terminal nothing in it can control it."""
    lines = (found.record.markdown or "").split("\n")
    if found.record.markdown:
        click.echo("\n".join(map(printable, lines) if sys.stdout.isatty() else lines))
    else:
        for step in (*found.steps, f"no Markdown: the outcome is {found.record.outcome}"):
            say(step)


def _lines(record: Record, *, links: bool) -> list[str]:
    """The record for a person."""
    rows = [(name, getattr(record, name)) for name in record.__struct_fields__ if name not in _HIDDEN]
    shown = [f"  {name:<14} {_short(value)}" for name, value in rows if value not in (None, False)]
    texts = {name: text for name in _TEXTS if (text := getattr(record, name))}
    shown += [f"  {name:<14} {_short(text)} ({len(text):,} characters)" for name, text in texts.items()]
    return shown + [f"  link           {link.url}" for link in record.links or () if links]


def _matched(found: Fetched, rules: Rules) -> Iterator[str]:
    """What the first rule that matches found, if there are rules, and which of its fields found nothing."""
    match = found.match
    if match is None:
        if rules and (rule := rules.of(found.record.url)):
            yield f"rule {rule.name!r} matches, but this is no HTML page that is stored"
        elif rules:
            yield "no rule matches: " + ", ".join(f"{rule.name} {rule.pattern!r}" for rule in rules.rules)
        return
    yield f"rule {match.rule!r}"
    for name, value in match.fields.items():
        yield f"  {name:<14} {_short(_as_json(value))}"
    for number, item in enumerate(match.items[:_MAX_SHOWN], 1):
        yield f"  item {number:<9} {_short(_as_json(item))}"
    if len(match.items) > _MAX_SHOWN:
        yield f"  ... {len(match.items):,} items in all"
    for name, why in match.missing.items():
        yield f"  {name:<14} nothing: {why}"
    for error in match.errors:
        yield f"  failed: {error}"


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 120 else text[:119] + "…"
