"""The programs in examples/, each run as its first lines say, and the notebook from top to bottom."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from crawler.cli.demo_site import DemoSite
from tests.servers import Call
from tests.stories.commands import Commands, Done
from tests.stories.sites import Site, Sites

EXAMPLES = Path(__file__).parents[2] / "examples"
RUN = {"crawl_to_dataframe.py", "hook_items.py", "follow_api.py", "check_status.py", "vector_store.py"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoSite]:
    with DemoSite() as site:
        yield site


@pytest.fixture
def example(commands: Commands) -> Callable[..., Done]:
    """Runs an example in a folder of its own, at full speed."""

    def run(name: str, *arguments: str) -> Done:
        shutil.copy(EXAMPLES / name, commands.folder / name)
        commands.env |= {"CRAWLER_DELAY": "0", "CRAWLER_WORKERS": "1", "CRAWLER_PER_HOST": "8"}
        return commands.run(*arguments, python=name)

    return run


def test_all_examples_are_run_and_listed() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == RUN
    listed = (EXAMPLES / "README.md").read_text()
    assert [name for name in (*RUN, "notebook.ipynb") if f"]({name})" not in listed] == []


def test_a_crawl_becomes_a_data_frame(demo: DemoSite, example: Callable[..., Done]) -> None:
    done = example("crawl_to_dataframe.py", demo.seeds[1])
    assert done.code == 0, done.err
    outcomes = dict(line.split() for line in done.out.splitlines() if len(line.split()) == 2 and ":" not in line)
    assert int(outcomes["fetched"]) > 20
    assert done.out.splitlines()[-1].split()[1].startswith(demo.seeds[1])


def test_tables_become_items(sites: Sites, commands: Commands, example: Callable[..., Done]) -> None:
    site = sites.add()
    row = "<tr><td>{0}<td>{1}</tr>"
    table = "<table><tr><th>Tea<th>Price</tr>" + row.format("Sencha", 12) + row.format("Aoki", 7) + "</table>"
    site.serve("/", f"<title>Tea</title>{table}<a href=/more>more</a>".encode())
    site.serve("/more", f"<p>Nothing</p><table><tr><td>1</table>{table}".encode())
    done = example("hook_items.py", site.url("/"), "tables.csv")
    assert done.out == "the tables of 2 pages are in tables.csv\n", done.err
    with (commands.folder / "tables.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["url"], row["table"], row["Tea"], row["Price"]) for row in rows] == [
        (site.url("/"), "1", "Sencha", "12"),
        (site.url("/"), "1", "Aoki", "7"),
        (site.url("/more"), "2", "Sencha", "12"),
        (site.url("/more"), "2", "Aoki", "7"),
    ]


def _api(site: Site, pages: int) -> str:
    """An API of *pages* lists of three articles each; the URL of the first list."""

    def serve(path: str, answer: Any) -> str:
        return site.serve(path, json.dumps(answer).encode(), headers=[("Content-Type", "application/json")])

    for page in range(1, pages + 1):
        numbers = range(3 * page - 2, 3 * page + 1)
        following = {"next": f"/api/articles?page={page + 1}"} if page < pages else {}
        serve(f"/api/articles?page={page}", {"items": [{"url": f"/api/articles/{n}"} for n in numbers]} | following)
        for n in numbers:
            serve(f"/api/articles/{n}", {"title": f"Article {n}"})
    return site.url("/api/articles?page=1")


def test_an_api_is_followed(sites: Sites, commands: Commands, example: Callable[..., Done]) -> None:
    site = sites.add()
    done = example("follow_api.py", _api(site, 40))
    assert done.code == 0, done.err
    assert sorted(done.out.split("\n")[:-1]) == sorted(f"Article {n}" for n in range(1, 121))
    records = commands.records("--crawl", "api")
    assert records[site.url("/api/articles?page=40")]["depth"] == 1
    assert records[site.url("/api/articles/120")]["depth"] == 2
    assert records[site.url("/api/articles?page=2")]["outcome"] == "dropped:hook"


def test_broken_links_are_reported(demo: DemoSite, sites: Sites, example: Callable[..., Done]) -> None:
    done = example("check_status.py", demo.seeds[0])
    expected = demo.expected_outcomes()
    missing = {url for url, outcome in expected.items() if outcome == "missing" and url.startswith(demo.seeds[0])}
    is_missing = re.compile(r": status (404|410);").search
    reported = {line.split(": ")[0] for line in done.out.splitlines()[:-1] if is_missing(line)}
    assert done.code == (1 if reported else 0), done.err
    assert reported == missing
    fine = sites.add()
    fine.serve("/", b"<a href=/>home</a>")
    done = example("check_status.py", fine.url("/"))
    assert done.code == 0, done.err
    assert done.out == "0 of 1 URLs are broken\n"


def test_chunks_are_found_by_meaning(sites: Sites, commands: Commands, example: Callable[..., Done]) -> None:
    site = sites.add()
    site.serve("/", b"<title>Lamps</title><h1>Lamps</h1><p>A lamp gives light.</p><a href=/wick>wick</a>")
    site.serve("/wick", b"<title>Wicks</title><h1>Trim a wick</h1><p>Trim the wick with brass scissors each week.</p>")
    done = example("vector_store.py", site.url("/"), "scissors for the wick")
    assert done.code == 0, done.err
    best = done.out.splitlines()[0]
    assert best.endswith(f"  {site.url('/wick')}")
    assert float(best.split()[0]) > 0.3
    again = example("vector_store.py", site.url("/"), "light")
    assert again.out.splitlines()[0].endswith(f"  {site.url('/')}")


def test_the_notebook_from_top_to_bottom(sites: Sites, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    site = sites.add()
    site.serve("/", b"<title>Start</title><h1>Start</h1><a href=/a>a</a><a href=/none>none</a>")
    site.serve("/a", b"<title>A</title><h1>One</h1><h2>Two</h2>")
    site.serve("/none", b"<title>None</title>")
    for name in [name for name in os.environ if name.startswith("CRAWLER_")]:
        monkeypatch.delenv(name)
    environment = {"SITE": site.url("/"), "CRAWLER_DELAY": "0", "CRAWLER_WORKERS": "1"}
    for name, value in (environment | {"TMPDIR": str(commands.temporary)}).items():
        monkeypatch.setenv(name, value)
    notebook: Any = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(commands.folder)}})
    client.execute()
    shown = {cell.id: json.dumps(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"}
    assert "crawl 'notebook': done" in shown["cell-5"]
    assert "dropped:hook" in shown["cell-5"]
    assert "One" in shown["cell-6"]
    assert "no headings" in shown["cell-8"]
    assert "seed" in shown["cell-10"]
    assert len((commands.folder / "pages.jsonl").read_text().splitlines()) == 2


STOPPED = """
import os
from crawler import Crawl
crawl = Crawl(os.environ["SITE"], hook=lambda page: page.title, delay="50ms", workers=1)
crawl.run()
"""


def test_interrupting_the_kernel_stops_a_run_in_order(
    sites: Sites, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell ends with a status; the next cell continues."""
    site = sites.add()
    site.serve("/", b"".join(b"<a href=/%d>x</a>" % n for n in range(60)))
    for n in range(60):
        site.serve(f"/{n}", b"<title>%d</title>" % n)
    monkeypatch.setenv("SITE", site.url("/"))
    monkeypatch.setenv("TMPDIR", str(commands.temporary))
    running: list[Any] = []

    def answer(call: Call) -> None:
        call.answer(b"<title>now</title>")
        if running:
            os.kill(running.pop().km.provisioner.pid, signal.SIGINT)

    site.pages["/5"] = answer
    cells = [STOPPED, "crawl.set(delay=0)\ncrawl.run()\nprint(len(list(crawl.records())))\ncrawl.close()"]
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=code)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(commands.folder)}})
    running.append(client)
    client.execute()
    first, second = (json.dumps(cell.outputs) for cell in notebook.cells)
    assert "waiting" in first
    assert r'"61\n"' in second
