"""The report for browsers, as text: what it shows, what hostile sites cannot do in it, and how large it gets."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from crawler.check.outputs import write
from crawler.check.outputs.html import MAX_FINDINGS, MAX_PLACES
from crawler.findings import Finding
from tests.check.made import MARKUP, hostile, made, on, one_of_each, pages, summary


class Elements(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def source(findings: list[Finding], **facts: Any) -> str:
    stream = io.StringIO()
    write(findings, summary(findings, **facts), stream, "html")
    return stream.getvalue()


def test_it_shows_each_finding_with_its_places() -> None:
    page = Elements(source(one_of_each()))
    words = " ".join(page.text.split())
    for finding in one_of_each():
        assert f"{finding.target} on 2 pages {finding.code} {finding.cause}" in words
    assert words.count("line 12 \u201cRead more\u201d") == 2 * len(one_of_each())
    assert page.tags.count("details") == len(one_of_each())
    assert "What to fix first" in words


def test_what_sites_wrote_is_text() -> None:
    page = Elements(source(hostile(), site=f"https://example.org/{MARKUP}", start_trouble=MARKUP))
    assert page.text.count(MARKUP) > 5
    assert "\u202e" not in page.text
    assert "\x1b" not in page.text
    assert {*page.tags} & {"img", "iframe", "object", "embed", "form", "link", "base"} == set()
    assert page.tags.count("script") == 1
    assert [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style")] == []
    links = {value.partition(":")[0] for name, value in page.attributes if name == "href"}
    assert links == {"https", "#findings"}


@pytest.mark.parametrize("findings", [[], [made()]])
def test_only_its_own_style_and_script_may_run(findings: list[Finding]) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', source(findings))
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/=]{44}'; script-src 'sha256-[\w+/=]{44}';"
        r" base-uri 'none'; form-action 'none'",
        policy,
    )


def test_nothing_found_is_said() -> None:
    page = Elements(source([], is_complete=False))
    assert "Nothing was found." in page.text
    assert "The check is not complete" in page.text


def test_its_size_is_bounded_and_what_is_left_out_is_said() -> None:
    many = pages(100)
    text = source([made(target=f"https://example.org/{n}", pages=many) for n in range(MAX_FINDINGS + 5)])
    assert text.count("<details") == MAX_FINDINGS
    assert MAX_PLACES * 0.9 < text.count("<li>") <= MAX_PLACES + 10
    assert len(text) < 30_000_000
    assert "The worst 10,000 of 10,005; CSV and JSON" in text
    assert "Up to 5 places of each are listed; CSV and JSON" in text
    assert "and 95 more places" in text


def test_few_findings_list_up_to_a_hundred_places() -> None:
    text = source([made(pages=pages(250)), made("slow")])
    assert text.count('<li><a href="https://example.org/page/') == 100
    assert "and 150 more places" in text


def test_long_texts_do_not_make_it_large() -> None:
    long = "https://example.org/" + "x" * 2_000
    held = [on(f"{long}{n}", text="y" * 5_000) for n in range(100)]
    text = source([made(target=f"{long}/{n}", cause="z" * 10_000, pages=held) for n in range(500)])
    assert len(text) < 24_000_000
    assert re.search(r"and \d+ more places", text)
