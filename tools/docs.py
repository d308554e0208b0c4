"""Write the parts of docs/ that come from the code: `make docs`. A test fails where they differ.

In a page, the lines between `<!-- generated: NAME -->` and `<!-- end -->` are made here. The prose around them is not.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any, Final, NamedTuple, get_type_hints

import click

from crawler import record
from crawler.cli.app import cli
from crawler.cli.options import OF_CRAWL
from crawler.export.formats import csv, endings
from crawler.fielddocs import texts_of
from crawler.findings import CODES
from crawler.record import CHANGES, OUTCOMES, Link, Record
from crawler.settings import TABLE, Kind, Meta, Settings, format_value
from crawler.text import option_name

DOCS: Final = Path(__file__).parent.parent / "docs"
KEYWORDS: Final = DOCS.parent / "crawler" / "keywords.py"
_KEYWORD: Final = re.compile(r"^    (\w+): .+$", re.MULTILINE)
"""A setting in there."""
_OLD_TEXT: Final = re.compile(r'^(    \w+: .+\n)    """[^"]*(?:"[^"]+)*"""\n', re.MULTILINE)
PAGES: Final = ("records", "formats", "settings", "commands", "check")
_PART: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

_JSON: Final = {
    str: "string",
    int: "integer",
    bool: "boolean",
    str | None: "string",
    int | None: "integer",
    list[Link] | None: "array of objects",
    Any: "any JSON",
}
"""The types of fields, as JSON has them."""

_MEANINGS: Final = {
    "fetched": "The server answered with a 2xx.",
    "redirected": "The answer is a redirect: see `redirect_to`.",
    "missing": "The server answered 404 or 410.",
    "denied": "The server answered with another 4xx, except 408, 425 and 429.",
    "dropped:robots": "robots.txt disallows the URL.",
    "dropped:type": "The content is not text. Its body was not read.",
    "dropped:noindex": "The page asks not to be kept.",
    "dropped:trap": "The URL was in a [quarantine](traps.md) when its turn came.",
    "dropped:limit": "Reserved: no URL ends so today.",
    "dropped:scope": "A filter that was changed after the URL was queued refuses it.",
    "dropped:hook": "The hook raised `Drop`.",
    "failed:dns": "A name server says that the host's name does not exist.",
    "failed:connect": "No connection, or it broke off, or the address is forbidden.",
    "failed:tls": "The certificate or the TLS handshake failed.",
    "failed:timeout": "The fetch took longer than `--timeout`.",
    "failed:http": "The answer is a 5xx, still asks to slow down, or is not valid HTTP.",
    "failed:redirect-loop": "More than 20 redirects in a row, or a redirect that leads back to it.",
    "failed:hang": "Reading the page, or its host's robots.txt, took longer than `--page-timeout`.",
    "failed:crash": "Three workers died on the page, or on its host's robots.txt.",
    "failed:robots": "robots.txt could not be read: the server answered with an error for `--host-patience`.",
    "failed:bad-entry": "Something else wrote to the queue in Redis. `url` names the host, with a fragment.",
    "checked": "The target of a link, asked for by `crawler check` and not read: the server answered with a 2xx.",
}
"""What each outcome means."""

_CHANGES: Final = {
    "new": "It is the first visit that found a page there.",
    "changed": "The page has another content than before.",
    "boilerplate": "The page has changed, but not its main text or title: only what stands around it.",
    "gone": "There was a page. Now the server answers 404 or 410, or the page asks not to be kept.",
    "moved": "There was a page. Now the URL redirects: see `redirect_to`.",
    "back": "It was gone or moved, and there is a page again.",
}
"""What each change means."""

_TYPES: Final = {"TIME": "time", "SIZE": "size", "N": "whole number", "FACTOR": "number"}
_UNITS: Final = {"TIME": "seconds", "SIZE": "bytes"}


class Field(NamedTuple):
    """A field of the record, as its page shows it."""

    name: str
    type: str
    meaning: str
    present: str


def fields() -> list[Field]:
    """The fields of `Record` in its order, with the texts that stand under them."""
    texts, hints = texts_of(Record), get_type_hints(Record, vars(record))
    return [_field(name, hints[name], texts[name]) for name in Record.__struct_fields__]


def _field(name: str, hint: Any, text: str) -> Field:
    meaning, mark, present = text.partition(" Present: ")
    if not mark:
        raise SystemExit(f"crawler/record.py: the text under `{name}` does not say `Present: ...`")
    return Field(name, _JSON[hint], meaning, present[0].upper() + present[1:])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a table of Markdown."""
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


# -- records -----------------------------------------------------------------------------------------------------------


def record_fields() -> Iterator[str]:
    rows = ((f"`{field.name}`", field.type, field.meaning, field.present) for field in fields())
    yield from table(("field", "type", "meaning", "present"), rows)


def outcomes() -> Iterator[str]:
    yield from table(("outcome", "meaning"), ((f"`{outcome}`", _MEANINGS[outcome]) for outcome in OUTCOMES))


def changes() -> Iterator[str]:
    yield from table(("change", "meaning"), ((f"`{change}`", _CHANGES[change]) for change in CHANGES))


def columns() -> Iterator[str]:
    yield ", ".join(f"`{name}`" for name in csv.FIELDS)


def formats() -> Iterator[str]:
    yield "The ending selects the format: `" + endings(".").replace(", ", "`, `") + "`."


# -- findings ----------------------------------------------------------------------------------------------------------


def codes() -> Iterator[str]:
    rows = (
        (f'<a id="{code}"></a>`{code}`', kind.severity, _sentence(kind.sentence), _sentence(kind.advice))
        for code, kind in CODES.items()
    )
    yield from table(("code", "severity", "what is wrong", "what to do"), rows)


def _sentence(text: str) -> str:
    """*text* with its elements as code: Markdown would take them for HTML."""
    marked = re.sub(r'<[a-z0-9]+(?: [^>]*)?>|alt=""', r"`\g<0>`", text)
    return f"{marked[0].upper()}{marked[1:]}."


# -- settings ----------------------------------------------------------------------------------------------------------


_SHORT: Final = {
    option.name: f"{option.opts[0]}, "
    for command in cli.commands.values()
    for option in command.params
    if option.name in TABLE and len(option.opts) > 1
}
"""The short options of settings."""


def settings_of(kind: Kind) -> Callable[[], Iterator[str]]:
    """The table of the settings of one kind."""

    def lines() -> Iterator[str]:
        rows = (_setting(name, meta) for name, meta in TABLE.items() if meta.kind is kind)
        yield from table(("option", "type", "unit", "default", "in `crawler.toml`", "meaning"), rows)

    return lines


def _setting(name: str, meta: Meta) -> tuple[str, ...]:
    default = getattr(Settings(), name)
    short = _SHORT.get(name, "")
    option = f"{short}--{option_name(name)}" + ("" if meta.switch else f" {meta.unit or 'NAME'}")
    shown = format_value(name, default)
    return f"`{option}`", _type_of(meta), _UNITS.get(meta.unit, ""), shown, f"`{toml_of(name)}`", meta.help


def _type_of(meta: Meta) -> str:
    if meta.switch:
        return "yes or no"
    if meta.choices:
        return ", ".join(f"`{choice}`" for choice in meta.choices)
    return "list of text" if meta.many else _TYPES.get(meta.unit, "text")


def toml_of(name: str) -> str:
    """The line of `crawler.toml` that says what holds anyway."""
    default, unit = getattr(Settings(), name), TABLE[name].unit
    if isinstance(default, bool):
        value = "true" if default else "false"
    elif isinstance(default, tuple):
        value = f"[{', '.join(map(_quoted, default))}]"
    else:
        shown = format_value(name, default)
        value = shown if unit in ("N", "FACTOR") and default is not None else _quoted(shown)
    return f"{option_name(name)} = {value}"


def _quoted(text: str) -> str:
    return f'"{text}"'


# -- commands ----------------------------------------------------------------------------------------------------------


def list_of_commands() -> Iterator[str]:
    rows = ((f"[`{name}`](#crawler-{name})", command.get_short_help_str(200)) for name, command in cli.commands.items())
    yield from table(("command", "what it does"), rows)


def commands() -> Iterator[str]:
    """A section for each command: its help, its own options, the settings that it takes, examples."""
    for name, command in cli.commands.items():
        context = click.Context(command, info_name=f"crawler {name}")
        yield from (f"## `crawler {name}`", "")
        yield from ("```", " ".join([f"crawler {name}", *command.collect_usage_pieces(context)]), "```", "")
        yield from (inspect.cleandoc(command.help or ""), "")
        yield from _options(command, context)
        yield from _settings_taken(command)
        yield from _examples(command)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    rows = []
    for option in command.params:
        own = isinstance(option, click.Option) and option.name not in TABLE
        if own and (shown := option.get_help_record(context)):
            rows.append((f"`{shown[0]}`", " ".join(shown[1].split())))
    if rows:
        yield from (*table(("option", "meaning"), rows), "")


def _settings_taken(command: click.Command) -> Iterator[str]:
    names = [option.name for option in command.params if isinstance(option, click.Option) and option.name in TABLE]
    words = []
    if set(OF_CRAWL) <= set(names):
        words.append("all [settings of a crawl](settings.md#fixed-when-a-crawl-begins)")
        names = [name for name in names if name not in OF_CRAWL]
    words += [f"`--{option_name(str(name))}`" for name in names]
    if words:
        yield from (f"[Settings](settings.md) that it takes: {', '.join(words)}.", "")


def _examples(command: click.Command) -> Iterator[str]:
    lines = [line[2:] for line in (command.epilog or "").splitlines() if line.startswith("  ")]
    if lines:
        yield from ("```", *lines, "```", "")


# -- pages -------------------------------------------------------------------------------------------------------------

PARTS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "record-fields": record_fields,
    "outcomes": outcomes,
    "changes": changes,
    "columns": columns,
    "formats": formats,
    "codes": codes,
    "settings-fixed": settings_of(Kind.FIXED),
    "settings-changeable": settings_of(Kind.CHANGEABLE),
    "settings-process": settings_of(Kind.PROCESS),
    "list-of-commands": list_of_commands,
    "commands": commands,
}
"""Everything that is generated, by the name that the pages call it by."""


def names_in(text: str) -> list[str]:
    """The generated parts of a page."""
    return [match[2] for match in _PART.finditer(text)]


def filled(text: str) -> str:
    """A page with its generated parts made anew."""
    return _PART.sub(lambda match: match[1] + "\n".join(PARTS[match[2]]()).rstrip() + "\n" + match[3], text)


# -- the settings in Python --------------------------------------------------------------------------------------------


def with_texts(source: str) -> str:
    """The source of `crawler/keywords.py` with a text under each setting: what it means, and its default."""
    without = _OLD_TEXT.sub(r"\1", source)
    return _KEYWORD.sub(lambda found: "\n".join([found[0], *_text_of(found[1])]), without)


def _text_of(name: str) -> list[str]:
    default, meta = getattr(Settings(), name), TABLE[name]
    shown = "" if meta.switch or default in (None, ()) else f" (default: {format_value(name, default)})"
    text = f'"""{meta.help[0].upper()}{meta.help[1:]}{shown}."""'
    return wrap(text, 119, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def main() -> None:
    made = {DOCS / f"{name}.md": filled for name in PAGES} | {KEYWORDS: with_texts}
    for path, make in made.items():
        before = path.read_text(encoding="utf-8")
        after = make(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{path.relative_to(DOCS.parent)} is written anew", file=sys.stderr)


if __name__ == "__main__":
    main()
