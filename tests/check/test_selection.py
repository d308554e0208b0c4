"""Which findings count: by kind, by pattern, by baseline; what is said of options that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.check.outputs import write
from crawler.check.patterns import Glob
from crawler.check.selection import Selection
from crawler.errors import UsageError
from crawler.findings import CODES, Finding
from tests.check.made import made, on, one_of_each, pages, summary


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings}


@pytest.mark.parametrize(
    ("only", "ignore", "found"),
    [
        (["broken"], [], {"broken"}),
        (["title-*"], [], {"title-missing", "title-duplicate"}),
        (["broken, slow"], [], {"broken", "slow"}),
        (["BROKEN"], [], {"broken"}),
        (["error"], ["broken*"], {"redirect-loop", "mixed-content", "certificate", "canonical-broken", "url-invalid"}),
        (["*/slow"], [], {"slow"}),
        (["/broken/*", "notice:*/orphan*"], [], {"broken"}),
        (["error:*/broken*"], [], {"broken", "broken-fragment"}),
        (["Slow:/slow"], [], {"slow"}),
        ([], ["*"], set()),
        (["example.org/large"], [], {"large"}),
        (["https://example.org/large"], [], {"large"}),
        (["https://example.org/larg"], [], set()),
        ([], ["example.org"], set()),
        ([], ["*.example.org"], set(CODES)),
        ([], ["*.org"], set()),
    ],
)
def test_kinds_and_patterns_select(only: list[str], ignore: list[str], found: set[str]) -> None:
    assert codes(Selection.of(only, ignore).apply(one_of_each())) == found


def test_without_options_all_count() -> None:
    assert Selection.of().apply(iter(one_of_each())) == one_of_each()


def test_a_finding_keeps_the_pages_that_are_selected() -> None:
    finding = made(pages=[*pages(3, "blog"), *pages(7, "archive")])
    (left,) = Selection.of(ignore=["*/archive/*"]).apply([finding])
    assert [page.url for page in left.pages] == [page.url for page in finding.pages[:3]]
    (left,) = Selection.of(only=["broken:/archive/*"], ignore=["*/archive/6"]).apply([finding])
    assert len(left.pages) == 6
    assert Selection.of(ignore=["/blog/*", "/archive/*"]).apply([finding]) == []
    assert Selection.of(ignore=["slow:/blog/*"]).apply([finding]) == [finding]
    assert Selection.of(only=["/nowhere/*"]).apply([finding]) == []


def test_a_finding_without_pages_is_selected_by_its_target() -> None:
    finding = made("certificate", "https://a.example/", pages=[])
    assert Selection.of(only=["a.example/*"]).apply([finding]) == [finding]
    assert Selection.of(ignore=["/b"]).apply([finding]) == [finding]
    assert Selection.of(only=["/b"]).apply([finding]) == []


def test_files_of_a_folder_and_ports_are_patterns() -> None:
    finding = made(target="http://localhost:8080/x", pages=[on("public/blog/a.html")])
    for pattern in ("public/blog/*", "*/blog/*", "*.html", "localhost:8080/*", "http://localhost:8080/x"):
        assert Selection.of(ignore=[pattern]).apply([finding]) == []


def test_letters_of_all_scripts_are_matched_as_urls_spell_them() -> None:
    finding = made(target="https://example.org/%C3%BCber/a", pages=[])
    assert Selection.of(only=["/\u00fcber/*"]).apply([finding]) == [finding]
    title = made("title-duplicate", "\u00dcber uns", pages=[])
    assert Selection.of(only=["title-duplicate:\u00dcber*"]).apply([title]) == [title]


def test_a_question_mark_is_no_wildcard() -> None:
    finding = made(target="https://example.org/?a=1", pages=[])
    assert Selection.of(only=["/?a=*"]).apply([finding]) == [finding]
    assert Selection.of(only=["/??=1"]).apply([finding]) == []


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_a_star_is_any_characters(pattern: str, text: str) -> None:
    def slow(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return slow(pattern[1:], text) or (bool(text) and slow(pattern, text[1:]))
        return text[:1] == pattern[0] and slow(pattern[1:], text[1:])

    assert Glob(pattern).matches(text) == slow(pattern, text)


def test_a_hostile_url_does_not_slow_a_pattern_down() -> None:
    assert not Glob("a*" * 50 + "b").matches("a" * 100_000)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"only": ["brokn"]}, "--only brokn: there is no such code or severity; did you mean broken?"),
        ({"ignore": ["warnings"]}, "--ignore warnings: there is no such code or severity; did you mean warning?"),
        ({"ignore": ["xyz"]}, "the codes are broken, broken-fragment, "),
        ({"ignore": ["brken:/a/*"]}, "did you mean broken?"),
        ({"ignore": ["zz-*"]}, "there is no such code"),
        ({"only": ["broken:"]}, "a pattern of a URL must follow the colon"),
        ({"only": [" "]}, "--only needs a code"),
        ({"fail_on": "eror"}, "--fail-on eror: there is no such severity; did you mean error?"),
        ({"fail_on": "all"}, "one of error, warning, notice, never is needed"),
        ({"max_findings": -1}, "--max-findings: a whole number from 0 is needed"),
    ],
)
def test_what_cannot_be_used_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Selection.of(**values)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fail_on", "severity", "fails"),
    [
        *(("error", "error", True), ("error", "warning", False), ("warning", "warning", True)),
        *(
            ("Warning", "warning", True),
            ("warning", "notice", False),
            ("notice", "notice", True),
            ("never", "error", False),
        ),
    ],
)
def test_severities_decide_whether_it_fails(fail_on: str, severity: str, fails: bool) -> None:
    found = [made(severity=severity)]
    selection = Selection.of(fail_on=fail_on)
    assert bool(summary(found, selection).failing) is fails
    assert summary(found, selection).exit_code == int(fails)


def test_a_start_page_that_is_broken_fails_unless_nothing_may() -> None:
    assert summary(start_trouble="404").exit_code == 1
    assert summary(start_trouble="404").verdict == "exit status 1: the start page could not be read: 404"
    assert summary((), Selection.of(fail_on="never"), start_trouble="404").exit_code == 0


@pytest.mark.parametrize(
    ("findings", "facts", "words"),
    [
        ([], {}, "exit status 0: nothing was found"),
        ([made()], {}, "exit status 1: 1 error"),
        ([made("slow")], {}, "exit status 0: nothing is as bad as an error"),
    ],
)
def test_the_exit_status_has_its_reason(findings: list[Finding], facts: dict[str, Any], words: str) -> None:
    assert summary(findings, **facts).verdict == words


def test_counts_and_exit_know_what_is_not_shown() -> None:
    selection, found = Selection.of(max_findings=1), one_of_each()
    counted = summary(found, selection)
    assert selection.shown(found) == found[:1]
    assert (counted.findings, counted.left_out) == (len(CODES), len(CODES) - 1)
    assert counted.severities["warning"] > 0
    assert counted.affected == 2 * len(CODES)
    assert Selection.of(max_findings=0).shown(found) == []


# -- the baseline ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_only_what_is_new_counts(tmp_path: Path, form: str) -> None:
    path, old = tmp_path / f"old.{form}", one_of_each()
    write(old, summary(old), path, form)
    new = made(target="https://example.org/new")
    selection = Selection.of(baseline=str(path))
    selected = selection.select([new, *old[2:]])
    assert (selected.findings, selected.known, selected.gone) == ([new], len(old) - 2, 2)
    counted = selection.completed(summary(), selected)
    assert (counted.known, counted.gone, counted.exit_code) == (len(old) - 2, 2, 1)
    assert selection.completed(summary(is_complete=False), selected).gone is None


def test_one_more_page_does_not_make_it_new(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    write([made()], summary(), path, "jsonl")
    assert Selection.of(baseline=str(path)).apply([made(pages=pages(9), cause="410")]) == []


def test_what_is_not_selected_is_neither_known_nor_gone(tmp_path: Path) -> None:
    path, old = tmp_path / "old.json", one_of_each()
    write(old, summary(old), path, "json")
    selected = Selection.of(only=["broken", "slow"], baseline=str(path)).select([made("broken", old[0].target)])
    assert (selected.findings, selected.known, selected.gone) == ([], 1, 1)


def test_a_check_that_found_nothing_is_a_baseline(tmp_path: Path) -> None:
    for form in ("json", "jsonl"):
        path = tmp_path / f"clean.{form}"
        write([], summary(), path, form)
        assert Selection.of(baseline=str(path)).baseline == frozenset()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"", "it is empty"),
        ("a.json", b"{", "line 1 is not a finding"),
        ("a.json", b'{"findings": [{"code": 1}], "summary": {}}', "line 1 is not a finding"),
        ("a.jsonl", b'{"code":"broken","severity":"error","target":"x","cause":"404"}\nx', "line 2 is not a finding"),
        ("a.html", b"<!doctype html>", "line 1 is not a finding"),
        ("a.bin", b"\xff\xfe\x00", "line 1 is not a finding"),
        ("a.json", b'{"findings": [], "summary": {"left_out": 3}}', "it lacks 3 findings that --max-findings left out"),
        ("a.json", b'{"findings": [], "summary": {"known": 1}}', "it lacks 1 finding that its own baseline has"),
    ],
)
def test_another_file_is_no_baseline(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        Selection.of(baseline=str(path))
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read_is_no_baseline(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=why):
            Selection.of(baseline=str(path))
