"""`--rules FILE`: the rules are stored with the crawl, each worker applies them, and what they find is in `data`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from crawler.frontier.keys import Keys
from crawler.frontier.redis.connection import Connection
from crawler.parse.rules import MAX_VALUES
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, by_url, wait_until
from tests.stories.sites import Site, Sites, html

ROOT = Path(__file__).parent.parent.parent
PAGES = ROOT / "tests" / "data" / "rules"
RULES = """
[[rule]]
name = "tea"
match = "/tea"
fields = { name = "h1", price = { css = ".price", type = "number" }, maker = "b" }
items = { css = "tr", fields = { seller = "td" } }
[[rule]]
name = "cup"
match = "/cup"
fields = { name = "h1" }
"""
TEA = b"""<html><head><meta property="og:title" content="Sencha"></head><h1>Tea</h1><p class=price>1.234,56 EUR
<table><tr><td>Ann<tr><td>Bob</table></html>"""
DATA = {"name": "Tea", "price": 1234.56, "items": [{"seller": "Ann"}, {"seller": "Bob"}]}
RUN = ("--delay", "0", "--workers", "1")


@pytest.fixture
def shop(sites: Sites, commands: Commands) -> Site:
    site = sites.add()
    site.serve("/", html(["/tea", "/tea/copy", "/about"], title="Shop"))
    site.serve("/tea", TEA)
    site.serve("/tea/copy", TEA)
    site.serve("/about", html(title="About"))
    commands.write("rules.toml", RULES)
    return site


def test_what_rules_find_is_in_the_data_of_each_page(commands: Commands, shop: Site) -> None:
    """Also where nothing else is stored, on a copy, and through a worker that was not given the rules."""
    assert commands.run("seed", shop.url("/"), "--rules", "rules.toml", "--store", "meta", "--delay", "0").code == 0
    (commands.folder / "rules.toml").unlink()
    done = commands.run("work", "--until-done", "-n", "1")
    assert done.code == 0, done.err
    records = commands.records()
    assert {url: record.get("data") for url, record in records.items()} == {
        shop.url("/"): None,
        shop.url("/about"): None,
        shop.url("/tea"): DATA,
        shop.url("/tea/copy"): DATA,
    }
    assert "text" not in records[shop.url("/tea")]
    assert "rules: tea 2 pages" in done.err
    assert "rule 'tea', 2 pages: nothing was found for 'maker'" in done.err
    assert "rule 'cup' matched no page" in done.err
    status = commands.status()
    assert status["rules"] == {"tea": 2}
    assert status["rule_fields"] == {"tea.items": 2, "tea.items.seller": 2, "tea.name": 2, "tea.price": 2}
    assert "  rules     tea 2 pages, cup 0 pages" in commands.run("status").out.splitlines()


def test_structured_data_is_beside_them_with_store_data(commands: Commands, shop: Site) -> None:
    options = ("--rules", "rules.toml", "--store", "data", "--max-depth", "0")
    done = commands.run("run", shop.url("/tea"), *RUN, *options, "-o", "-")
    assert by_url(done.records())[shop.url("/tea")]["data"] == {"opengraph": {"title": "Sencha"}, **DATA}
    assert commands.run("run", shop.url("/tea"), *RUN, "--store", "data", "--fresh", "--yes").code == 0
    assert commands.records()[shop.url("/tea")]["data"] == {"opengraph": {"title": "Sencha"}}


@pytest.mark.parametrize(
    ("returned", "data"),
    [
        ("{'name': 'Mine', 'more': page.match.rule}", DATA | {"name": "Mine", "more": "tea"}),
        ("[{'n': 1}]", DATA | {"items": [{"n": 1}]}),
        ("page.data['price'] * 2", DATA | {"hook": 2469.12}),
        ("None", DATA),
    ],
)
def test_what_a_hook_returns_is_put_over_them(commands: Commands, shop: Site, returned: str, data: object) -> None:
    commands.write("scrape.py", f"def item(page):\n    return {returned}\n")
    done = commands.run("fetch", shop.url("/tea"), "--rules", "rules.toml", "--hook", "scrape.py:item", "--json")
    assert json.loads(done.out)["data"] == data


def test_fetch_shows_what_a_rule_finds_and_what_it_does_not(commands: Commands, shop: Site) -> None:
    done = commands.run("fetch", shop.url("/tea"), "--rules", "rules.toml")
    assert done.code == 0, done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[lines.index("rule 'tea'") :] == [
        *("rule 'tea'", 'name "Tea"', "price 1234.56", 'item 1 {"seller":"Ann"}', 'item 2 {"seller":"Bob"}'),
        "maker nothing: no element matches 'b'",
    ]
    done = commands.run("fetch", shop.url("/about"), "--rules", "rules.toml")
    assert "no rule matches: tea '/tea', cup '/cup'" in done.out.splitlines()
    shop.serve("/tea.txt", b"tea", headers=[("Content-Type", "text/plain")])
    done = commands.run("fetch", shop.url("/tea.txt"), "--rules", "rules.toml")
    assert "rule 'tea' matches, but this is no HTML page that is stored" in done.out.splitlines()


def test_the_rules_of_a_crawl_are_shown_and_replaced(commands: Commands, shop: Site) -> None:
    commands.write("other.toml", RULES.replace("tea", "green-tea"))
    assert commands.run("seed", shop.url("/"), "--rules", "rules.toml").code == 0
    assert "rules tea, cup" in " ".join(commands.run("set").out.split())
    assert commands.run("set", "rules").out == RULES
    changed = "crawler: rules: {}; pages that were fetched before keep their data"
    assert changed.format("tea, cup -> green-tea, cup") in commands.run("set", "rules", "other.toml").lines
    done = commands.run("run", shop.url("/"), *RUN, "--rules", "rules.toml")
    assert changed.format("green-tea, cup -> tea, cup") in done.lines
    done = commands.run("run", shop.url("/"), *RUN, "--rules", "rules.toml", "--add")
    assert not any(line.startswith("crawler: rules:") for line in done.lines)
    commands.write("rules.toml", f"{RULES}\n# changed\n")
    assert changed.format("tea, cup (changed)") in commands.run("set", "rules", "rules.toml").lines
    assert changed.format("tea, cup -> none") in commands.run("set", "rules", "none").lines


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[[rule]]\nname = 'a'\nfields = { x = 'h1[' }",
            "r.toml, line 3: rule 'a': field 'x': 'h1[' is not a CSS selector",
        ),
        ("rule = ", "r.toml: it is not TOML: Invalid value (at end of document)"),
        (None, "--rules r.toml: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_found_before_anything_is_stored(
    commands: Commands, shop: Site, text: str | None, problem: str
) -> None:
    if text is not None:
        commands.write("r.toml", text)
    for command in ("run", "seed", "fetch"):
        done = commands.run(command, shop.url("/"), "--rules", "r.toml")
        assert (done.code, done.lines) == (2, [f"crawler: {problem}"])
    script = (
        "from crawler import Crawl\nif __name__ == '__main__':\n    Crawl('http://a.example', rules='r.toml').run()\n"
    )
    commands.write("script.py", script)
    assert problem in commands.run(python="script.py").err
    assert not (commands.folder / ".crawler").exists()
    commands.run("seed", shop.url("/"))
    done = commands.run("set", "rules", "r.toml")
    assert (done.code, done.lines) == (2, [f"crawler: {problem}"])


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (
            "[[rule]]\nname = 'a'\nmatch = '('",
            "the rules stored in crawl 'default' (`crawler set rules FILE` replaces them), line 3: rule 'a': match: ",
        ),
        ("x" * 70_000, "cannot be used: rule-set: it is too long"),
        (3, "cannot be used: rule-set: Expected `str`, got `int`"),
    ],
)
def test_rules_that_something_else_wrote_are_refused(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], shop: Site, stored: object, problem: str
) -> None:
    commands = commands_on(redis_server.url)
    commands.write("rules.toml", RULES)
    assert commands.run("seed", shop.url("/"), "--rules", "rules.toml", "--delay", "0").code == 0
    link = Connection(redis_server.url)
    settings = json.loads(link.client.hget(Keys("default").meta, "settings") or b"")
    link.client.hset(Keys("default").meta, "settings", json.dumps(settings | {"rule_set": stored}))
    link.close()
    done = commands.run("run", shop.url("/"), *RUN)
    assert done.code == 2
    assert problem in done.lines[-1]
    if "`crawler set rules FILE`" in problem:
        assert commands.run("set", "rules", "rules.toml").code == 0
        assert commands.run("run", shop.url("/"), *RUN).code == 0


def test_a_rule_that_finds_too_much_is_counted_and_reported_once(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html(["/1", "/2"]))
    for path in ("/1", "/2"):
        site.serve(path, path.encode() + b"<b>x" * (MAX_VALUES + 1))
    commands.write("rules.toml", '[[rule]]\nname = "r"\nmatch = "/[12]"\nfields.x = { css = "b", all = true }')
    done = commands.run("run", site.url("/"), *RUN, "--rules", "rules.toml")
    words = f"rule 'r': field 'x' has more than {MAX_VALUES:,} values"
    assert done.code == 0
    assert sum(words in line and line.startswith("crawler: ") for line in done.lines) == 1
    assert "rules failed on 2 pages:" in done.err
    record = commands.records()[site.url("/1")]
    assert (record["error"], len(record["data"]["x"])) == (words, MAX_VALUES)
    assert commands.status()["rule_failures"] == {words: 2}


def test_three_kinds_of_real_pages(commands: Commands, sites: Sites) -> None:
    """examples/rules.toml on an API reference (Sphinx), release notes (DocBook) and a product."""
    site = sites.add()
    places = {"/library/fnmatch.html": "fnmatch.html", "/release-15-1.html": "release-15-1.html"}
    places["/product/1.html"] = "product.html"
    site.serve("/", html(places))
    for path, name in places.items():
        site.serve(path, (PAGES / name).read_bytes())
    rules = str(ROOT / "examples" / "rules.toml")
    done = commands.run("run", site.url("/"), *RUN, "--max-depth", "1", "--rules", rules, "-o", "-")
    assert done.code == 0, done.err
    assert "nothing was found" not in done.err
    data: dict[str, Any] = {site.path_of(url): record.get("data") for url, record in by_url(done.records()).items()}
    api, release, product = (data[path] for path in places)
    assert api["module"] == "fnmatch"
    assert [item["name"] for item in api["items"]] == [
        *("fnmatch.fnmatch", "fnmatch.fnmatchcase", "fnmatch.filter", "fnmatch.translate"),
    ]
    assert api["items"][2]["parameters"] == ["names", "pattern"]
    assert api["items"][0]["link"] == site.url("/library/fnmatch.html#fnmatch.fnmatch")
    assert (release["version"], release["released"], len(release["items"])) == ("E.18. Release 15.1", "2022-11-10", 26)
    assert release["items"][0]["change"].startswith("Fix failure to remove non-first segments of large tables")
    assert product == {
        "name": "Brass lantern",
        "brand": "Harbour",
        "sku": "WB-0042",
        "price": 1249.0,
        "since": "2021-03-05",
        "image": site.url("/images/lantern.jpg"),
        "tags": ["brass", "indoors"],
        "items": [
            {"seller": "Little Ebb Lamps", "price": 1199.5, "delivery": "2024-06-05"},
            {"seller": "Tide & Sons", "price": 1260, "delivery": "2024-06-12"},
        ],
    }
    for name in ("items.csv", "items.parquet"):
        done = commands.run("export", "-o", name, "--items", "--fields", "url,name,seller,price,change")
        assert done.code == 0, done.err
    table = pyarrow.parquet.read_table(commands.folder / "items.parquet").to_pylist()
    with (commands.folder / "items.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table) == 4 + 26 + 2
    of_product = [row for row in table if row["url"].endswith("/product/1.html")]
    assert [(row["seller"], row["price"]) for row in of_product] == [
        ("Little Ebb Lamps", 1199.5),
        ("Tide & Sons", 1260),
    ]
    assert [row["name"] for row in rows if row["name"]] == [item["name"] for item in api["items"]]
    assert [row["change"] for row in rows if row["change"]] == [item["change"] for item in release["items"]]


def test_workers_apply_new_rules_while_they_run(commands: Commands, shop: Site) -> None:
    """And old pages keep their data."""
    commands.write("other.toml", '[[rule]]\nname = "other"\nfields = { head = "h1" }')
    assert commands.run("seed", shop.url("/tea"), *RUN[:2], "--max-depth", "0", "--rules", "rules.toml").code == 0
    commands.start("work", "-n", "1")
    wait_until(lambda: commands.status()["ended"] == 1, "the first page")
    assert commands.run("set", "rules", "other.toml").code == 0
    assert commands.run("seed", shop.url("/tea/copy")).code == 0
    wait_until(lambda: commands.status()["ended"] == 2, "the second page")
    data = {shop.path_of(url): record["data"] for url, record in commands.records().items()}
    assert data == {"/tea": DATA, "/tea/copy": {"head": "Tea"}}
    assert commands.run("set", "rules", "none").code == 0


def test_rules_may_be_named_in_the_file_of_settings(commands: Commands, shop: Site) -> None:
    commands.write("crawler.toml", 'rules = "rules.toml"\ndelay = 0\nmax-depth = 0\n')
    assert commands.run("run", shop.url("/tea")).code == 0
    assert commands.records()[shop.url("/tea")]["data"] == DATA
    (commands.folder / "rules.toml").unlink()
    assert commands.run("status").code == 0


PYTHON = """
import json
import sys
from crawler import Crawl

if __name__ == "__main__":
    with Crawl(sys.argv[1], rules="rules.toml", delay=0, workers=1, max_depth=0, store="meta") as crawl:
        status = crawl.run()
        print(json.dumps([status.rules, [record.data for record in crawl.records()]]))
        crawl.set(rules="none")
        crawl.set(rules="rules.toml")
"""


def test_rules_in_python(commands: Commands, shop: Site) -> None:
    commands.write("script.py", PYTHON)
    done = commands.run(shop.url("/tea"), python="script.py")
    assert done.code == 0, done.err
    assert json.loads(done.out) == [{"tea": 1}, [DATA]]
    changed = "crawler: rules: {}; pages that were fetched before keep their data"
    assert done.lines[-2:] == [changed.format("tea, cup -> none"), changed.format("none -> tea, cup")]
