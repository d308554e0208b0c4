"""`help()` of what the package offers: each field and method has its text, and the typed settings are complete."""

from __future__ import annotations

import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import crawler
from crawler import fielddocs
from crawler.settings import TABLE
from tools import docs

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", crawler._WITH_FIELDS)
def test_help_describes_each_field(name: str) -> None:
    found = getattr(crawler, name)
    shown = pydoc.plain(pydoc.render_doc(found))
    texts = {field: text for field, text in fielddocs.texts_of(found).items() if not field.startswith("_")}
    assert all(texts.values()), [field for field, text in texts.items() if not text]
    assert all(f"{field}: {text[:20]}" in shown for field, text in texts.items())
    assert shown.count("Fields:") == 1
    assert getattr(crawler, name) is found


@pytest.mark.parametrize("name", ["Crawl", "Page", "Record", "Request", "Drop", "Status"])
def test_help_describes_each_method(name: str) -> None:
    own = vars(getattr(crawler, name)).items()
    public = [(key, value) for key, value in own if callable(value) or isinstance(value, property)]
    bare = [key for key, value in public if not key.startswith("_") and not inspect.getdoc(value)]
    assert bare == []


def test_help_of_a_crawl_shows_how_it_is_used() -> None:
    shown = pydoc.plain(pydoc.render_doc(crawler.Crawl))
    assert "for record in crawl:" in shown
    assert "__main__" in shown
    assert max(len(line) for line in inspect.getdoc(crawler.Crawl).splitlines()) <= 120  # type: ignore[union-attr]


def test_the_settings_have_their_texts_where_editors_show_them() -> None:
    source = docs.KEYWORDS.read_text(encoding="utf-8")
    assert docs.with_texts(source) == source, "run `make docs`"
    assert docs.with_texts(source.replace('    """', '    """Old: ')).count('"""Old: ') == 4  # of the classes
    texts = source.count('."""\n')
    assert texts >= len(TABLE) - 3


PROGRAM = """
from crawler import Crawl, Record, Request

crawl = Crawl(["https://example.org"], "seeds.txt", delay="1s", scope="host", store=["text", "main"], max_pages=None)
crawl.set(delay=2, host="example.org")
for record in crawl:
    title: str | None = record.title
    n = record.link_count
reveal_type([failure.to_dict() for failure in crawl.failed(reason="dns")])
Crawl("https://example.org", dely=1)
Crawl("https://example.org", delay=[])
Crawl("https://example.org", scope="planet")
Crawl(5)
crawl.set(scope="all")
crawl.set(workers=3)
record.stauts
Request("/", priority="high")
"""


def _checked(program: Path) -> str:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", str(program)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240).stdout


@pytest.mark.slow
def test_a_type_checker_finds_mistakes(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    said = _checked(program)
    errors = [line for line in said.splitlines() if "program.py" in line and ": error:" in line]
    assert {int(line.split(":")[1]) for line in errors} == set(range(10, 18)), said
    assert 'Revealed type is "list[dict[str, Any]]"' in said


@pytest.mark.slow
def test_the_programs_of_the_page_about_python_have_no_mistakes(tmp_path: Path) -> None:
    text = (docs.DOCS / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    program = tmp_path / "program.py"
    program.write_text("\n".join(blocks))
    assert len(blocks) > 8
    assert _checked(program).startswith("Success: no issues found")
