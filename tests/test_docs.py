"""Pages that come from the code are what `make docs` writes, and what they say of files and options is true."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Final

import click
import pytest

from crawler.cli.app import cli
from crawler.config import load
from crawler.events import EVENTS, Ended, Event
from crawler.export.formats import csv
from crawler.frontier.host_facts import HostRow
from crawler.frontier.status import Status
from crawler.record import CHANGES, OUTCOMES, Record
from crawler.settings import TABLE, Kind, Settings
from crawler.text import option_name
from tools import docs

TEXTS: Final = {name: (docs.DOCS / f"{name}.md").read_text(encoding="utf-8") for name in docs.PAGES}
USERS_PAGES: Final = [
    docs.DOCS.parent / "README.md",
    *sorted(path for path in docs.DOCS.glob("*.md") if path.name != "frontier.md"),  # that one is for developers
]
OF_OTHERS: Final = {
    *("--detach", "--rm", "--scale", "--user", "--volumes"),  # docker compose
    *("--count", "--faults", "--minutes", "--only", "--seed"),  # make chaos
    *("--now", "--kill"),  # systemctl; make bench-export
    *(
        "--check-extern",
        "--recurse",
        "--include-fragments",
        "--check-fragments",
        "--follow-robots-txt",
    ),  # other link checkers
    "--check",  # the setting that `crawler check` sets
    "--help",
}
"""Options of other programs that pages name."""


def part(name: str) -> str:
    return "\n".join(docs.PARTS[name]())


@pytest.mark.parametrize("name", docs.PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    assert docs.filled(TEXTS[name]) == TEXTS[name], "run `make docs`"


def test_each_part_is_on_one_page() -> None:
    assert Counter(name for text in TEXTS.values() for name in docs.names_in(text)) == dict.fromkeys(docs.PARTS, 1)


@pytest.mark.parametrize(
    ("name", "now", "before"),
    [
        ("records", "| `status` | integer |", "| `status` | string |"),
        ("settings", '| `delay = "1s"` |', '| `delay = "2s"` |'),
        ("commands", "## `crawler retry`\n", ""),
    ],
)
def test_a_page_that_differs_is_noticed_and_mended(name: str, now: str, before: str) -> None:
    stale = TEXTS[name].replace(now, before, 1)
    assert stale != TEXTS[name]
    assert docs.filled(stale) == TEXTS[name]


def test_each_field_of_a_record_has_a_meaning_and_is_a_column() -> None:
    fields = docs.fields()
    assert [field.name for field in fields] == list(Record.__struct_fields__)
    assert {field.name for field in fields} == set(csv.FIELDS)
    assert all(len(field.meaning) > 10 and field.present.endswith(".") for field in fields)


def test_a_field_without_a_text_is_refused() -> None:
    with pytest.raises(SystemExit, match="`colour` does not say"):
        docs._field("colour", str, "The colour of the page.")


def test_fields_that_are_always_present_are_those_without_a_default() -> None:
    always = [field.name for field in docs.fields() if field.present == "Always."]
    required = len(Record.__struct_fields__) - len(Record.__struct_defaults__)
    assert always == list(Record.__struct_fields__[:required])


def test_each_outcome_has_a_meaning() -> None:
    assert list(docs._MEANINGS) == list(OUTCOMES)


def test_each_change_has_a_meaning() -> None:
    assert list(docs._CHANGES) == list(CHANGES)


def test_each_setting_is_in_the_table_of_its_kind() -> None:
    for kind in Kind:
        options = re.findall(r"^\| `(?:-[a-z], )?--([a-z-]+)", part(f"settings-{kind}"), re.MULTILINE)
        assert options == [option_name(name) for name, meta in TABLE.items() if meta.kind is kind]


def test_the_lines_of_the_tables_are_a_file_of_the_defaults(tmp_path: Path) -> None:
    rows = "".join(part(f"settings-{kind}") for kind in Kind)
    lines = re.findall(r"`([a-z-]+ = [^`]+)`", rows)
    assert len(lines) == len(TABLE)
    file = tmp_path / "crawler.toml"
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    loaded = load({}, {}, file)
    assert loaded.settings == Settings()
    assert loaded.named == frozenset(TABLE)


def test_each_command_is_there_with_its_own_options() -> None:
    text = part("commands")
    assert re.findall(r"^## `crawler ([a-z]+)`$", text, re.MULTILINE) == list(cli.commands)
    sections = dict(zip(cli.commands, text.split("## `crawler ")[1:], strict=True))
    for name, command in cli.commands.items():
        own = [option for option in command.params if isinstance(option, click.Option) and option.name not in TABLE]
        assert [option.name for option in own if f"{option.opts[-1]}" not in sections[name]] == []


def known_options() -> set[str]:
    params = [param for command in cli.commands.values() for param in command.params]
    return {flag for param in params if isinstance(param, click.Option) for flag in param.opts} | OF_OTHERS


@pytest.mark.parametrize("page", USERS_PAGES, ids=lambda path: path.name)
def test_options_that_a_page_names_exist(page: Path) -> None:
    links_aside = re.sub(r"\]\([^)]*\)", "]", page.read_text(encoding="utf-8"))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b", links_aside))
    assert named - known_options() == set()


MONITORING: Final = (docs.DOCS / "monitoring.md").read_text(encoding="utf-8")


def keys_of(mark: str) -> list[str]:
    """The first column of the table that follows a mark in the page about monitoring."""
    rows = MONITORING.partition(f"<!-- {mark} -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


@pytest.mark.parametrize(
    ("mark", "keys"),
    [
        ("keys: Ended", Ended.__struct_fields__),
        ("keys: Event", Event.__struct_fields__),
        ("keys: Status", (*Status.__slots__, "will_fit")),
        ("keys: HostRow", tuple(HostRow("a.example", 0, 0, 0, 0, 0, 0, 0).to_dict())),
        ("events", EVENTS),
    ],
)
def test_each_key_of_what_programs_read_is_described_once(mark: str, keys: tuple[str, ...]) -> None:
    assert sorted(keys_of(mark)) == sorted(keys)


def test_each_event_is_described_with_keys_that_exist() -> None:
    table = MONITORING.partition("<!-- events -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    named = {name for row in table for name in re.findall(r"`([^`]+)`", row.split("|")[3])}
    assert named == set(Event.__struct_fields__) - {"time", "event"}
