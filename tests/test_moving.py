"""The pages about moving over name each setting of theirs, and only commands and options that exist."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import click
import pytest

from crawler import Drop
from crawler.cli.app import cli
from crawler.crawl.imports.scrapy_redis import KEYS
from crawler.fetch.fetcher import Headers, Response
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.page import Page
from crawler.parse.rules_file import read_rules
from tools.docs import DOCS

DATA: Final = Path(__file__).parent / "data" / "scrapy"
PAGES: Final = {
    name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("from-scrapy", "from-scrapy-redis")
}
ALL: Final = PAGES | {"analysis": (DOCS / "analysis.md").read_text(encoding="utf-8")}
CALL: Final = re.compile(r"`(crawler [a-z][^`]*)`|^(?:\$ )?((?:zcat [^|]*\| )?crawler [a-z].*)$", re.MULTILINE)


def names(file: str) -> list[str]:
    return (DATA / file).read_text().split()


def calls(text: str) -> list[str]:
    """The commands that a page shows, each on one line."""
    text = text.replace("\\\n", " ").replace("\\|", "|")
    return [(inline or block).split("|")[0].split(" #")[0] for inline, block in CALL.findall(text)]


@pytest.mark.parametrize(
    ("page", "file"),
    [("from-scrapy", "settings-scrapy-2.19.txt"), ("from-scrapy-redis", "settings-scrapy-redis-0.9.1.txt")],
)
def test_each_setting_of_theirs_is_named(page: str, file: str) -> None:
    said = set(re.findall(r"`([A-Z][A-Z0-9_]+(?:\*)?)`", PAGES[page]))
    patterns = [name for name in said if name.endswith("*")]
    missing = [name for name in names(file) if name not in said and not any(fnmatchcase(name, p) for p in patterns)]
    assert missing == []


def test_each_setting_that_is_named_is_theirs_or_ours() -> None:
    known = {name for file in DATA.glob("settings-*.txt") for name in file.read_text().split()}
    known |= {"CRAWLER_REDIS", "CRAWLER_HEADER", "HTTP_PROXY", "NO_COLOR", "SCHEDULER_DUPEFILTER_CLASS"}
    for page, text in PAGES.items():
        said = {name for name in re.findall(r"`([A-Z][A-Z0-9_]{4,})`", text) if "_" in name}
        assert said - known == set(), page


@pytest.mark.parametrize("page", ALL)
def test_each_command_exists_with_its_options(page: str) -> None:
    found = calls(ALL[page])
    assert found
    for call in found:
        words = shlex.split(call.partition("crawler ")[2])
        command = cli.commands.get(words[0])
        assert command is not None, call
        options = {flag for param in command.params if isinstance(param, click.Option) for flag in param.opts}
        wrong = [word for word in words[1:] if re.fullmatch(r"--?[a-z][a-z-]*", word) and word not in options]
        assert wrong == [], call


def test_the_keys_that_are_imported_are_described() -> None:
    rows = re.findall(r"^\| `NAME:(\w+)`", PAGES["from-scrapy-redis"], re.MULTILINE)
    assert rows == list(KEYS)


def block(language: str) -> str:
    """The last block of that language on the page about Scrapy."""
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGES["from-scrapy"], re.DOTALL)
    return found[-1]


def page_of(html: str) -> Page:
    headers = Headers([("Content-Type", "text/html; charset=utf-8")])
    options = ExtractOptions(want=frozenset(), agent="ourbot", rules=read_rules(block("toml"), "tea.toml"))
    return Extractor(options).extract(Response("https://shop.example/tea/1", 200, headers, html.encode()))


def test_the_hook_and_the_rules_do_what_the_spider_did() -> None:
    made: dict[str, Any] = {}
    exec(compile(block("python"), "tea.py", "exec"), made)  # the page's own code
    page = page_of("<h1> Green tea </h1><p class=price>EUR 4.50</p><b class=tag>green</b><b class=tag>loose</b>")
    assert made["item"](page) == {"name": "Green tea", "price": 4.5, "tags": ["green", "loose"]}
    assert page.match is not None
    assert page.match.data == made["item"](page)
    with pytest.raises(Drop, match="no price"):
        made["item"](page_of("<h1>About us</h1>"))
