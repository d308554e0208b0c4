"""Files that programs read: what they hold, what hostile sites cannot do in them, and that they appear whole."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from lxml import etree

from crawler.check.outputs import FORMS, Output, outputs_of, write
from crawler.check.outputs.files import artifact_of, file_of
from crawler.check.selection import Selection
from crawler.errors import UsageError
from crawler.export.formats.csv import restore
from crawler.findings import CODES, Finding, FoundOn
from crawler.text import printable
from tests.check.made import hostile, made, on, one_of_each, pages, summary

SCHEMAS = Path(__file__).parent.parent / "data" / "schemas"


def written(form: str, findings: list[Finding], selection: Selection | None = None, **facts: Any) -> str:
    stream = io.StringIO()
    write(findings, summary(findings, selection, **facts), stream, form)
    return stream.getvalue()


def samples() -> list[list[Finding]]:
    return [
        [],
        one_of_each(),
        hostile(),
        [made(pages=[])],
        [made("unknown", severity="error")],
        [made(pages=pages(300))],
    ]


# -- JSON, JSON Lines, CSV ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("findings", samples())
def test_json_and_json_lines_hold_the_same(findings: list[Finding]) -> None:
    text = written("json", findings)
    whole = json.loads(text)
    lines = [json.loads(line) for line in written("jsonl", findings).splitlines()]
    assert whole["findings"] == lines
    assert len(lines) == len(findings)
    assert whole["summary"]["findings"] == len(findings)
    assert [finding["target"] for finding in lines] == [finding.target for finding in findings]
    assert text == "\n".join(map(printable, text.split("\n")))


def test_the_summary_has_what_the_check_looked_at() -> None:
    selection = Selection.of(max_findings=2, fail_on="notice")
    facts = json.loads(written("json", one_of_each(), selection, start_trouble="dns"))["summary"]
    assert facts["severities"] == {
        name: sum(kind.severity == name for kind in CODES.values()) for name in facts["severities"]
    }
    assert facts["codes"] == dict.fromkeys(CODES, 1)
    assert (facts["pages"], facts["targets"], facts["external"], facts["complete"]) == (1234, 5678, 321, True)
    assert (facts["left_out"], facts["exit_code"], facts["start_trouble"]) == (len(CODES) - 2, 1, "dns")
    assert "gone" not in facts


def test_csv_has_a_row_for_each_place() -> None:
    place = FoundOn("https://example.org/s.css", 3, None, ["https://example.org/a", "https://example.org/b"])
    found = [made(pages=[on("https://example.org/a"), place], since="2026-01-01T00:00:00Z"), made("orphan", pages=[])]
    rows = list(csv.DictReader(io.StringIO(written("csv", found), newline="")))
    assert [row["page"] for row in rows] == ["https://example.org/a", "https://example.org/s.css", ""]
    assert [row["line"] for row in rows] == ["12", "3", ""]
    assert rows[1]["used_by"] == "https://example.org/a https://example.org/b"
    assert rows[0] == {
        **{"code": "broken", "severity": "error", "target": "https://example.org/gone", "cause": "404"},
        **{"page": "https://example.org/a", "line": "12", "text": "Read more", "used_by": ""},
        "since": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_file_whose_name_is_no_text_is_named_nevertheless(tmp_path: Path, form: str) -> None:
    name = os.fsdecode(b"public/\xff.html")
    found = [made(target=f"/{name}", pages=[on(name, text="\ud800")])]
    write(found, summary(found, site=name), tmp_path / "report", form)
    text = (tmp_path / "report").read_text(encoding="utf-8")
    assert "public/%FF.html" in text if form == "sarif" else re.search(r"public/(\ufffd|\\ufffd)\.html", text)


def test_a_finding_without_pages_says_so() -> None:
    assert json.loads(written("jsonl", [made(pages=[])]))["pages"] == []


def test_a_spreadsheet_runs_no_cell() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", hostile()), newline="")))
    cells = [cell for row in rows for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert restore(rows[-1]["target"]) == hostile()[-1].target
    assert restore(rows[-1]["text"]) == "+1;=2"


# -- GitHub ------------------------------------------------------------------------------------------------------------


def test_a_place_of_a_folder_is_annotated_in_its_file() -> None:
    lines = written("github", [made(pages=[on("public/a,b:c.html", 7, "100% of\nit")])]).splitlines()
    assert lines[0] == (
        "::error file=public/a%2Cb%3Ac.html,line=7,title=broken::https://example.org/gone: 404"
        " (correct the link, or restore what it leads to) \u201c100%25 of it\u201d"
    )
    assert lines[1:] == ["crawler check: 1 error on 1 page", "crawler check: exit status 1: 1 error"]


def test_a_place_of_a_site_is_annotated_without_a_file() -> None:
    (line, *_) = written("github", [made("orphan")]).splitlines()
    assert line.startswith("::warning title=orphan::https://example.org/gone: 404 (link to it")
    assert line.endswith("; https://example.org/a, line 12 \u201cRead more\u201d")


def test_many_places_are_annotated_up_to_ten_times() -> None:
    lines = written("github", [made(pages=pages(300))]).splitlines()
    assert len([line for line in lines if line.startswith("::error ")]) == 10
    assert lines[9].endswith(", and in 290 more places")


def test_a_site_gives_no_commands() -> None:
    lines = written("github", hostile(), site="x\n::error::y", start_trouble="\n::error::z").splitlines()
    assert all(line.startswith(("::error ", "::warning ", "crawler check: ")) for line in lines)
    assert len(lines) == len(hostile()) + 3


# -- JUnit -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def junit_schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(SCHEMAS / "junit-10.xsd"))


@pytest.mark.parametrize("findings", samples())
@pytest.mark.parametrize("facts", [{}, {"is_complete": False, "start_trouble": "\x00]]>"}])
def test_junit_fits_the_schema_of_jenkins(
    junit_schema: etree.XMLSchema, findings: list[Finding], facts: dict[str, Any]
) -> None:
    tree = etree.fromstring(written("junit", findings, **facts).encode())
    junit_schema.assertValid(tree)
    suites = tree.findall("testsuite")
    assert int(tree.get("tests")) == len(tree.findall("testsuite/testcase")) > 0
    assert sum(int(suite.get("tests")) for suite in suites) == int(tree.get("tests"))
    assert int(tree.get("failures")) == len(tree.findall(".//failure"))
    assert int(tree.get("errors")) == len(tree.findall(".//error"))


def test_junit_has_a_suite_for_each_code_and_a_case_for_each_target() -> None:
    found = [made(target=f"https://example.org/{n}", pages=pages(120)) for n in range(3)] + [made("slow")]
    tree = etree.fromstring(written("junit", found).encode())
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in tree] == [
        ("broken", "3", "3"),
        ("slow", "1", "0"),
    ]
    case = tree.find("testsuite/testcase")
    assert case.get("name") == "https://example.org/0"
    failure = case.find("failure")
    assert (failure.get("message"), failure.get("type")) == ("404 on 120 pages", "error")
    assert "https://example.org/page/99, line 12 \u201cRead more\u201d\nand 20 more places" in failure.text
    assert tree.find("testsuite[@name='slow']/testcase/failure") is None


def test_junit_fails_what_the_command_fails() -> None:
    tree = etree.fromstring(written("junit", one_of_each(), Selection.of(fail_on="never")).encode())
    assert tree.findall(".//failure") == []
    tree = etree.fromstring(written("junit", one_of_each(), Selection.of(fail_on="notice")).encode())
    assert len(tree.findall(".//failure")) == len(CODES)


# -- SARIF -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sarif_schema() -> jsonschema.Draft4Validator:
    text = (SCHEMAS / "sarif-2.1.0.json").read_text(encoding="utf-8")
    return jsonschema.Draft4Validator(json.loads(text), format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("findings", samples())
@pytest.mark.parametrize("is_complete", [True, False])
def test_sarif_fits_its_schema(
    sarif_schema: jsonschema.Draft4Validator, findings: list[Finding], is_complete: bool
) -> None:
    log = json.loads(written("sarif", findings, is_complete=is_complete))
    assert [error.message for error in sarif_schema.iter_errors(log)] == []
    (run,) = log["runs"]
    assert len(run["results"]) == len(findings)
    assert run["invocations"][0]["executionSuccessful"] is is_complete
    for result in run["results"]:
        assert 0 < len(result["locations"]) <= 100
        if "ruleIndex" in result:
            assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_sarif_names_files_lines_levels_and_help() -> None:
    found = [made(pages=[on("public/a b.html", 7), on("public/c.html", None)]), made("slow"), made("cannot-tell")]
    (run,) = json.loads(written("sarif", found))["runs"]
    first = run["results"][0]
    assert [place["physicalLocation"] for place in first["locations"]] == [
        {"artifactLocation": {"uri": "public/a%20b.html"}, "region": {"startLine": 7}},
        {"artifactLocation": {"uri": "public/c.html"}, "region": {"startLine": 1}},
    ]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["helpUri"].partition("#")[2] for rule in rules] == list(CODES)


def test_sarif_names_no_scheme_since_github_refuses_the_file() -> None:
    (run,) = json.loads(written("sarif", one_of_each()))["runs"]
    places = [
        place["physicalLocation"]["artifactLocation"] for result in run["results"] for place in result["locations"]
    ]
    assert not any(":" in place["uri"].partition("/")[0] or not place["uri"] for place in places)
    assert run["originalUriBaseIds"] == {"SITE1": {"uri": "https://example.org/"}}


def test_fingerprints_stay_when_pages_and_order_change() -> None:
    def prints(found: list[Finding]) -> dict[str, str]:
        (run,) = json.loads(written("sarif", found))["runs"]
        return {one["ruleId"]: one["partialFingerprints"]["primaryLocationLineHash"] for one in run["results"]}

    before = prints(one_of_each())
    assert len(set(before.values())) == len(CODES)
    assert prints([made("slow", "https://example.org/slow", "9 s", pages=pages(4))])["slow"] == before["slow"]


@pytest.mark.parametrize(
    ("url", "uri", "base"),
    [
        ("https://example.org/", ".", "https://example.org/"),
        ("https://example.org", ".", "https://example.org/"),
        ("https://example.org/a/b?c=d%20e", "a/b?c=d%20e", "https://example.org/"),
        ("https://example.org//a", ".//a", "https://example.org/"),
        ("https://example.org/a:b/c", "./a:b/c", "https://example.org/"),
        ("http://localhost:80/?q", "./?q", "http://localhost:80/"),
        ("public/a#b.html", "public/a%23b.html", ""),
        ("./public/a.html", "public/a.html", ""),
        ("c:d/a.html", "./c:d/a.html", ""),
    ],
)
def test_a_place_is_a_relative_reference(url: str, uri: str, base: str) -> None:
    assert artifact_of(url) == (uri, base)


def test_a_file_below_the_current_folder_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert file_of(f"{tmp_path}/public/a.html") == "public/a.html"
    assert file_of("/elsewhere/a.html") == "elsewhere/a.html"
    assert file_of("https://example.org/a.html") is None


# -- writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_written_whole(tmp_path: Path, form: str) -> None:
    path = tmp_path / "report"
    path.write_text("old")
    write(one_of_each(), summary(one_of_each()), path, form)
    assert path.read_bytes().decode() == written(form, one_of_each())
    assert list(tmp_path.iterdir()) == [path]


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Files cannot grow beyond *size* bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with small_disk(1000), pytest.raises(UsageError) as caught:
        write(one_of_each(), summary(one_of_each()), path, "html")
    assert caught.value.exit_code == 2
    assert str(caught.value) == f"{path} cannot be written: File too large; the file is as it was before"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_device_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        write(one_of_each(), summary(one_of_each()), "/dev/full", "json")
    assert str(caught.value) == "/dev/full cannot be written: No space left on device"


def test_endings_select_forms(tmp_path: Path) -> None:
    endings = {"a.html": "html", "b.JSON": "json", "c.jsonl": "jsonl", "d.csv": "csv", "e.xml": "junit"}
    endings |= {"f.sarif": "sarif", "g.sarif.json": "sarif", "h.ndjson": "jsonl", "i.txt": "table"}
    found = outputs_of([str(tmp_path / name) for name in endings])
    assert [output.form for output in found] == [*endings.values(), "table"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "form", "outputs"),
    [
        ([], None, [Output("-", "table")]),
        ([], "json", [Output("-", "json")]),
        (["-"], None, [Output("-", "table")]),
        (["-"], "sarif", [Output("-", "sarif")]),
        (["a.json"], "github", [Output("a.json", "json"), Output("-", "github")]),
        (["a"], "sarif", [Output("a", "sarif"), Output("-", "table")]),
    ],
)
def test_stdout_gets_the_format_that_no_file_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], form: str | None, outputs: list[Output]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert outputs_of(names, form) == outputs


def test_the_baseline_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="would replace the baseline"):
        outputs_of(["./old.json"], None, "old.json")


@pytest.mark.parametrize(
    ("names", "form", "message"),
    [
        (["a.pdf"], None, "end the name with one of .html, "),
        ([], "xml", "there is no such format"),
        ([], "jsn", "did you mean json?"),
        (["a.json", "./a.json"], None, "is named twice"),
        (["none/a.json"], None, "its folder does not exist"),
        (["folder.html"], None, "is a folder"),
        (["a\0.json"], None, "cannot be written to"),
    ],
)
def test_outputs_that_cannot_be_written_are_named_before_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], form: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UsageError, match=message):
        outputs_of(names, form)
    assert os.listdir(tmp_path) == ["folder.html"]  # noqa: PTH208 - names alone
