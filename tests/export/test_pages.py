"""Formats for pages of a site: Markdown, sitemap.xml, llms.txt. Which pages they take, what hostile ones do to them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.errors import UsageError
from crawler.export import Output, Wanted
from crawler.export.file_names import file_name
from crawler.export.formats import markdown, sitemap
from crawler.record import Record
from tests.export.conftest import Crawl, page
from tests.export.readers import front_matter, rows

SPACE = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
URLS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60).map(
    lambda path: f"https://h.example/{path}"
)
exact = settings(derandomize=True, deadline=None)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def at(url: str, **fields: Any) -> Record:
    return page(0, **({"url": url} | fields))


def write(crawl: Crawl, output: str, stored: Sequence[str] = ("markdown",), **wanted: Any) -> int:
    with Output(Wanted(output, **wanted)) as opened:
        return opened.write(crawl.frontier, stored).records


def locations(path: str, kind: str = "url") -> list[str]:
    raw = Path(path).read_bytes()
    tree = ElementTree.fromstring(gzip.decompress(raw) if path.endswith(".gz") else raw)
    assert tree.tag == f"{{{SPACE['s']}}}{'urlset' if kind == 'url' else 'sitemapindex'}"
    return [found.text or "" for found in tree.findall(f"s:{kind}/s:loc", SPACE)]


# -- which pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["sitemap.xml", "llms.txt", "site.md", "docs/ markdown"])
def test_only_pages_of_the_site_are_taken(crawl: Crawl, output: str) -> None:
    crawl.commit([page(1), page(2, canonical=page(2).url)])
    first = crawl.frontier.id(page(1).url)
    others: tuple[dict[str, Any], ...] = (
        {"outcome": "missing"},
        {"outcome": "dropped:noindex"},
        {"duplicate_of": first},
        {"sitemap": True},
    )
    crawl.commit([page(n, **fields) for n, fields in enumerate(others, 3)])
    crawl.commit([page(7, canonical=page(1).url), page(8, near_duplicate_of=first)])
    name, _, format = output.partition(" ")
    assert write(crawl, name, ("text",), format=format or None) == 3
    files = list(Path(name).rglob("*.md")) if Path(name).is_dir() else [Path(name)]
    found = {int(n) for file in files for n in re.findall(r"example\.org/page/(\d)", file.read_text())}
    assert found == {1, 2, 8}


# -- Markdown ----------------------------------------------------------------------------------------------------------


def test_a_file_has_its_page_as_front_matter_and_markdown(crawl: Crawl) -> None:
    title = 'A "b": \x07\u2028\ufeff # - \u85e4 \\'
    crawl.commit([at("https://h.example/docs/", title=title, lang="en", markdown="# One\n\n- two\n", text="no")])
    write(crawl, "docs/", format="markdown")
    found = front_matter(Path("docs/h.example/docs/index.md"))
    assert found == {
        "url": "https://h.example/docs/",
        "title": title,
        "lang": "en",
        "fetched_at": "2030-01-01T00:00:00.000Z",
        "body": "\n# One\n\n- two\n",
    }


def test_a_page_that_comes_again_replaces_its_file(crawl: Crawl) -> None:
    crawl.commit([page(1, markdown="old"), page(2)])
    write(crawl, "docs/", format="markdown")
    crawl.frontier.put([])
    folder = {row["url"]: row["body"] for row in rows("docs")}
    assert folder == {page(1).url: "\nold\n", page(2).url: "\n"}


@pytest.mark.parametrize(
    ("stored", "body"),
    [(("markdown", "main", "text"), "**m**"), (("text", "main"), "a\\*b"), (("text", "links"), "all")],
)
def test_the_best_that_is_stored_is_taken(crawl: Crawl, stored: tuple[str, ...], body: str) -> None:
    crawl.commit([page(1, markdown="**m**", main="a*b", text="all")])
    write(crawl, "docs/", stored, format="markdown")
    assert rows("docs")[0]["body"] == f"\n{body}\n"
    hint = markdown.FORMAT.hint(stored)
    assert hint == "" if "markdown" in stored else "--store markdown" in hint


def test_a_crawl_without_text_is_refused(crawl: Crawl) -> None:
    with pytest.raises(UsageError, match=r"stores no text.*crawl with --store markdown"):
        write(crawl, "site.md", ("html", "links"))
    assert list(Path().iterdir()) == []


def test_one_file_has_a_section_a_page(crawl: Crawl) -> None:
    crawl.commit([page(1, title="One", markdown="# One\n\ntext"), page(2, title="*Two*\n# x", markdown="# Other\n")])
    write(crawl, "site.md", state="s")
    crawl.commit([page(3, title=None, markdown="three")])
    write(crawl, "site.md", state="s")
    assert Path("site.md").read_text() == (
        f"# One\n\nSource: <{page(1).url}>\n\ntext\n\n---\n\n"
        f"# \\*Two\\* # x\n\nSource: <{page(2).url}>\n\n# Other\n\n---\n\n"
        f"# {page(3).url}\n\nSource: <{page(3).url}>\n\nthree\n\n---\n\n"
    )


@pytest.mark.parametrize(
    "line", ["# a", "- a", "+ a", "1. a", "12) a", "> a", "a_b_ <i>", "&amp; [x](y)", "---", "    x"]
)
def test_plain_text_is_escaped(line: str) -> None:
    escaped = markdown.escaped(line)
    assert re.sub(r"\\(?=[^a-z0-9\s])", "", escaped) == line.strip()
    assert not re.match(r"[#>+-]|\d+[.)]", escaped)


@pytest.mark.parametrize("line", ["a & b", "snake_case", "1.5 m", "-5", "#tag", "a > b | c", "3 < 4", "127.0.0.1"])
def test_what_is_no_markup_stays_as_it_is(line: str) -> None:
    assert markdown.escaped(line) == line


# -- names of files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h.example/", "h.example/index.md"),
        ("https://h.example/docs/intro.html", "h.example/docs/intro.html.md"),
        ("http://h.example:8080/a", "h.example+8080+http/a.md"),
        ("https://h.example/a?b=1", r"h.example/a-b-1~[0-9a-f]{16}.md"),
        ("https://h.example/A", r"h.example/A~[0-9a-f]{16}.md"),
        ("https://h.example/index.html", "h.example/index.html.md"),
        ("https://h.example/a/index", r"h.example/a-index~[0-9a-f]{16}.md"),
        ("https://h.example/../../etc/passwd", r"h.example/etc-passwd~[0-9a-f]{16}.md"),
        ("https://h.example/a.md/b", r"h.example/a-md-b~[0-9a-f]{16}.md"),
        ("https://h.example/con", r"h.example/con~[0-9a-f]{16}.md"),
        ("https://h.example/nul.txt", r"h.example/nul-txt~[0-9a-f]{16}.md"),
        ("https://h.example/.hidden", r"h.example/hidden~[0-9a-f]{16}.md"),
        ("https://h.example//a", r"h.example/a~[0-9a-f]{16}.md"),
        ("https://h.example/" + "a/" * 50, r"h.example/(a-){39}a~[0-9a-f]{16}.md"),
        ("https://h.example/" + "a" * 500, r"h.example/a{80}~[0-9a-f]{16}.md"),
        ("http://[::1]:99/a", r"a~[0-9a-f]{16}.md"),
    ],
)
def test_a_name_says_the_url_and_is_safe(url: str, name: str) -> None:
    assert re.fullmatch(name.replace("+", r"\+"), file_name(url, "md"))


@exact
@given(st.lists(URLS, max_size=6))
@example(["https://h.example/a", "https://h.example/a/", "https://h.example/a/index", "https://h.example/A"])
@example(["https://h.example/a.md/b", "https://h.example/a", "https://h.example/a.md", "http://h.example/a"])
def test_names_are_safe_and_no_two_are_the_same_whatever_the_case(urls: list[str]) -> None:
    names = [file_name(url, "md") for url in set(urls)]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert len(name) <= 320
        for part in name.split("/"):
            assert re.fullmatch(r"[A-Za-z0-9_~+-][A-Za-z0-9._~+-]*", part)
            assert len(part) <= 110
            assert not part.endswith(".")
    folders = {str(parent) for name in names for parent in Path(name).parents}
    assert not folders & set(names)


# -- sitemap.xml -------------------------------------------------------------------------------------------------------


def test_a_sitemap_has_pages_and_their_last_change(crawl: Crawl) -> None:
    crawl.commit(
        [
            at(
                "http://example.org/a?x=1&y=%3C",
                lastmod="2029-05-06T07:08:09Z",
                last_modified="Sun, 01 Jan 2023 00:00:00 GMT",
            ),
            at("http://example.org/b", last_modified="Sun, 01 Jan 2023 01:00:00 +0100"),
            at("http://example.org/c", last_modified="yesterday"),
        ]
    )
    write(crawl, "sitemap.xml")
    tree = ElementTree.parse("sitemap.xml").getroot()
    found = [[child.text for child in entry] for entry in tree]
    assert found == [
        ["http://example.org/a?x=1&y=%3C", "2029-05-06T07:08:09Z"],
        ["http://example.org/b", "2023-01-01T00:00:00Z"],
        ["http://example.org/c"],
    ]


@pytest.mark.parametrize("name", ["sitemap.xml", "out/map.xml.gz"])
def test_a_large_site_gets_parts_and_an_index(crawl: Crawl, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MAX_URLS", 2)
    Path("out").mkdir()
    crawl.commit([page(n) for n in range(5)])
    write(crawl, name)
    stem, _, ending = name.partition(".")
    parts = [f"{stem}-{n:05d}.{ending}" for n in (1, 2, 3)]
    assert locations(name, "sitemap") == [f"http://example.org/{Path(part).name}" for part in parts]
    assert [url for part in parts for url in locations(part)] == [page(n).url for n in range(5)]


def test_a_part_is_bounded_in_bytes_too(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MAX_BYTES", 1_000)
    crawl.commit([page(n) for n in range(40)])
    write(crawl, "sitemap.xml")
    parts = sorted(Path().glob("sitemap-*.xml"))
    assert [url for part in parts for url in locations(part.name)] == [page(n).url for n in range(40)]
    assert max(part.stat().st_size for part in parts) <= 1_000


def test_of_nothing_there_is_an_empty_sitemap(crawl: Crawl) -> None:
    write(crawl, "sitemap.xml")
    assert locations("sitemap.xml") == []


# -- llms.txt ----------------------------------------------------------------------------------------------------------


def test_llms_txt_groups_the_pages_of_a_site(crawl: Crawl) -> None:
    crawl.commit(
        [
            at("http://h.example/docs/b_(x)", depth=2, title="B [x]\n# y", description="all\nof *it*"),
            at("http://h.example/", depth=0, title="Site", description="What it is"),
            at("http://h.example/docs/a", depth=1, title="A"),
            at("http://h.example/about", depth=1, title=None),
            at("http://h.example/user-guide/x", depth=3, title="X"),
        ]
    )
    write(crawl, "llms.txt")
    assert Path("llms.txt").read_text() == (
        "# Site\n"
        "\n> What it is\n"
        "\n## Pages\n\n"
        "- [Site](http://h.example/): What it is\n"
        "- [http://h.example/about](http://h.example/about)\n"
        "\n## Docs\n\n"
        "- [A](http://h.example/docs/a)\n"
        "- [B \\[x\\] # y](http://h.example/docs/b_%28x%29): all of \\*it\\*\n"
        "\n## User guide\n\n"
        "- [X](http://h.example/user-guide/x)\n"
    )


def test_llms_txt_of_several_hosts_has_a_section_a_host(crawl: Crawl) -> None:
    crawl.commit([at("http://a.example/x", title="X"), at("http://b.example/y", title="Y")])
    write(crawl, "llms.txt")
    assert re.findall(r"## (.*)", Path("llms.txt").read_text()) == ["a.example", "b.example"]
