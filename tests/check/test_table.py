"""What people read on a terminal: groups, cuts, widths, colors, what to fix first, and no control by sites."""

from __future__ import annotations

import io
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.check.outputs import write
from crawler.check.outputs.priorities import first_fixes
from crawler.check.outputs.table import columns, folded, table, wants_color
from crawler.check.selection import Selection
from crawler.findings import CODES, Finding
from tests.check.made import hostile, made, on, one_of_each, pages, summary


def shown(findings: list[Finding], width: int | None = None, **facts: Any) -> str:
    return table(findings, summary(findings, **facts), width)


def test_it_shows_each_finding_with_its_places() -> None:
    place = on("https://example.org/style.css", 3, None, used_by=["https://example.org/a", "https://example.org/b"])
    text = shown([made(pages=[on("https://example.org/a"), place], since="2026-11-01T00:00:00Z")])
    assert text.splitlines()[:6] == [
        "error: broken (1)",
        "what the link leads to is not there; correct the link, or restore what it leads to",
        "  https://example.org/gone",
        "    404, since 2026-11-01, on 2 pages",
        "      https://example.org/a, line 12 \u201cRead more\u201d",
        "      https://example.org/style.css, line 3 (used by 2 pages)",
    ]
    assert text.splitlines()[-3:] == [
        "https://example.org/: 1,234 pages read, 5,678 targets asked for, 321 of them external, in 2 min",
        "1 error on 2 pages",
        "exit status 1: 1 error",
    ]


def test_what_was_found_on_the_day_of_the_check_has_no_date() -> None:
    for since, is_dated in (("2026-11-26T23:59:59Z", True), ("2026-11-27T00:00:01Z", False)):
        text = shown([made(since=since)], began=datetime(2026, 11, 27, 8, tzinfo=UTC).timestamp())
        assert ("since" in text) is is_dated


def test_a_page_that_is_its_own_target_is_shown_once() -> None:
    url = "https://example.org/untitled"
    titleless = made("title-missing", url, CODES["title-missing"].sentence, pages=[on(url, None, None)])
    crowded = made("h1-multiple", url, "3 main headings", pages=[on(url, 9, None)])
    assert shown([titleless, crowded]).splitlines()[2:8] == [
        f"  {url}",
        "",
        "notice: h1-multiple (1)",
        "the page has several main headings; keep one <h1>",
        f"  {url}",
        "    3 main headings, line 9",
    ]


def test_groups_follow_severities_then_the_table_of_codes() -> None:
    heads = re.findall(r"^(error|warning|notice): ([a-z0-9-]+) ", shown(one_of_each()[::-1]), re.MULTILINE)
    assert [code for _, code in heads] == [finding.code for finding in one_of_each()]


def test_long_lists_are_cut_and_say_where_the_rest_is() -> None:
    many = [made(target=f"https://example.org/{n}", pages=pages(42)) for n in range(57)]
    text = shown(many)
    assert text.count("      and 37 more (all of them with -o report.html)") == 20
    assert "\n  and 37 more (all of them with -o report.html)\n" in text
    assert "error: broken (57)" in text
    assert "57 errors on 42 pages" in text


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    wide = made(target="https://example.org/" + "\u6f22" * 70, cause="word " * 30, pages=pages(3, text="\u6f22" * 50))
    lines = shown([*one_of_each(), *hostile(), wide], width, start_trouble="404", is_complete=False).splitlines()
    assert max(map(columns, lines)) <= width
    assert "\u6f22" * 5 in "\n".join(lines)


@given(st.text(max_size=60), st.integers(2, 30))
def test_folding_loses_nothing_but_spaces(text: str, width: int) -> None:
    lines = folded(text, width)
    assert "".join("".join(lines).split(" ")) == "".join(text.split(" "))
    assert all(columns(line) <= width for line in lines)


def test_sites_do_not_control_the_terminal() -> None:
    text = shown(hostile(), start_trouble="\x1b[2J", site="https://example.org/\x1b]0;x\x07")
    bad = [char for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs")]
    assert bad == []
    assert not any(line.startswith("::") for line in text.splitlines())


def test_colors_only_where_they_are_asked_for() -> None:
    found = one_of_each()
    plain, colored = table(found, summary(found), 60), table(found, summary(found), 60, color=True)
    assert "\x1b" not in plain
    assert "\x1b[31m" in colored
    assert re.sub(r"\x1b\[\d*m", "", colored) == plain


@pytest.mark.parametrize(
    ("is_terminal", "term", "no_color", "wanted"),
    [(True, "xterm", "", True), (True, "xterm", "1", False), (True, "dumb", "", False), (False, "xterm", "", False)],
)
def test_no_color_and_dumb_terminals_are_obeyed(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, term: str, no_color: str, wanted: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    assert wants_color(stream) is wanted


def test_a_terminal_gets_lines_of_its_width_and_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream, pipe = io.StringIO(), io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    for place in (stream, pipe):
        write(one_of_each(), summary(one_of_each()), place, "table")
    assert stream.getvalue() == table(one_of_each(), summary(one_of_each()), 40, color=True)
    assert pipe.getvalue() == table(one_of_each(), summary(one_of_each()))


def test_nothing_found_is_said() -> None:
    assert shown([]).splitlines()[-2:] == ["no findings", "exit status 0: nothing was found"]


def test_what_limits_the_report_is_said() -> None:
    selection = Selection.of(max_findings=1, baseline=None)
    found = one_of_each()
    text = table(found[:1], summary(found, selection, is_complete=False, start_trouble="dns"), None)
    assert f"{len(CODES) - 1} findings more, left out by --max-findings" in text
    assert "the check is not complete" in text
    assert "the start page could not be read: dns" in text


# -- what to fix first ------------------------------------------------------------------------------------------------


def test_a_broken_target_of_a_template_comes_first() -> None:
    found = [made(target="https://example.org/small"), made(target="https://example.org/footer", pages=pages(300))]
    text = shown(found)
    assert "  1. https://example.org/footer (broken: 404), on 300 pages" in text
    assert "all name it with the text \u201cRead more\u201d: look in their template" in text
    assert "removes 1 finding in 300 places" in text
    assert text.index("fix first:") < text.index("exit status")


def test_errors_come_before_more_warnings() -> None:
    fixes = first_fixes([made("orphan", pages=pages(500)), made()])
    assert [fix.severity for fix in fixes] == ["error", "warning"]


def test_a_host_that_is_gone_is_one_correction() -> None:
    gone = [made(target=f"https://old.example/{n}", cause="its host's name does not resolve") for n in range(9)]
    (fix,) = first_fixes(gone)
    assert fix.what == "9 targets on old.example (broken: its host's name does not resolve)"
    assert (len(fix.findings), fix.places) == (9, 9)


def test_a_page_full_of_broken_links_is_one_correction() -> None:
    old = [made(target=f"https://{n}.example/", pages=[on("https://example.org/links")]) for n in range(5)]
    fixes = first_fixes([*old, made(pages=pages(2))])
    assert fixes[0].what == "https://example.org/links alone holds 5 findings"
    assert fixes[1].findings == (5,)


def test_what_pages_lack_is_one_correction() -> None:
    lacking = [made("title-missing", f"https://example.org/{n}", pages=[]) for n in range(40)]
    (fix,) = first_fixes(lacking)
    assert fix.what == "title-missing on 40 pages"


def test_no_correction_removes_what_another_does() -> None:
    found = [made(target=f"https://a.example/{n}", cause="refused", pages=pages(n + 1)) for n in range(9)]
    fixes = first_fixes(found, 5)
    numbers = [number for fix in fixes for number in fix.findings]
    assert len(numbers) == len(set(numbers))
