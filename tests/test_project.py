"""What the project's own files promise: make, the lock, compose, the image, the sample seeds, and the documents."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from crawler.errors import InvalidURL
from crawler.record import OUTCOMES
from crawler.url import canonicalize, site

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def make(*words: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *words], capture_output=True, text=True, check=False, env=clean, **kwargs)


def test_make_alone_lists_every_target_with_one_line() -> None:
    listing = make(cwd=ROOT).stdout.splitlines()
    targets = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()
    assert [line.split()[:2] for line in listing] == [["make", target] for target in targets]
    assert all(len(line.split()) > 4 for line in listing)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("exit 1", "needs Python 3.11 or newer"),
        ('case "$2" in *version_info*) exit 0;; *) exit 1;; esac', "cannot make a venv with pip"),
    ],
    ids=["old", "without ensurepip"],
)
def test_make_says_what_is_wrong_with_python(tmp_path: Path, said: str, line: str) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    fake = tmp_path / "fake-python"
    fake.write_text(f"#!/bin/sh\n{said}\n")
    fake.chmod(0o755)
    done = make("dev", f"PYTHON={fake}", cwd=tmp_path)
    assert done.returncode != 0
    assert line in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_make_names_a_python_that_is_missing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    assert "python9 is not there" in make("dev", "PYTHON=python9", cwd=tmp_path).stdout


def test_ci_runs_every_test() -> None:
    run = ROOT / ".ci" / "run"
    assert os.access(run, os.X_OK)
    assert "set -euo pipefail" in run.read_text()
    assert run.read_text().rstrip().endswith("make test\nexec make test-slow")


def normal(requirement: str) -> str:
    """A requirement's name as PEP 503 spells it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements-dev.lock").read_text().splitlines()
    pins = [line.partition("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, _, version in pins}


def test_the_lock_pins_every_dependency() -> None:
    project = PYPROJECT["project"]
    wanted = {normal(line) for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]}
    assert wanted - locked().keys() == set()
    assert all(re.fullmatch(r"[0-9][0-9a-z.+]*", version) for version in locked().values())


def test_the_lock_names_no_place() -> None:
    text = (ROOT / "requirements-dev.lock").read_text()
    assert not re.search(r"://|file:|--index|--find|@", text)


def test_each_bound_is_kept_by_the_lock() -> None:
    def numbers(version: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", version)]

    project = PYPROJECT["project"]
    pins = locked()
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        bound = re.search(r">=([\d.]+)", line)
        assert bound is None or numbers(pins[normal(line)]) >= numbers(bound[1]), line


def test_the_package_ships_its_scripts_and_types() -> None:
    assert PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["crawler"]
    assert list((ROOT / "crawler" / "frontier" / "lua").glob("*.lua"))
    assert list((ROOT / "crawler" / "frontier" / "lua" / "shared").glob("*.lua"))
    assert (ROOT / "crawler" / "py.typed").exists()
    assert PYPROJECT["project"]["scripts"] == {"crawler": "crawler.__main__:main"}


def test_compose_has_a_durable_redis_that_is_waited_for() -> None:
    redis = COMPOSE["services"]["redis"]
    options = redis["command"]
    assert options[options.index("--appendonly") + 1] == "yes"
    assert options[options.index("--maxmemory-policy") + 1] == "noeviction"
    assert options[options.index("--maxmemory") + 1] == "${REDIS_MEMORY:-2gb}"
    assert all(isinstance(word, str) for word in options)
    assert "redis-cli ping" in redis["healthcheck"]["test"][1]
    assert redis["volumes"] == ["frontier:/data"]
    assert "frontier" in COMPOSE["volumes"]
    assert "ports" not in redis


def test_compose_has_workers_that_scale_and_stop_in_peace() -> None:
    worker = COMPOSE["services"]["worker"]
    assert worker["command"] == ["work", "--redis", "redis://redis:6379"]
    assert worker["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert worker["stop_grace_period"] == "2m"
    assert "container_name" not in worker  # a fixed name cannot be scaled
    assert worker["healthcheck"]["test"][-1].endswith("healthcheck.py")


def test_compose_bounds_what_a_worker_takes_and_shows_it_hooks_and_exports() -> None:
    """Scaling to eight means eight processes; logs do not fill the disk; files get in and out."""
    worker = COMPOSE["services"]["worker"]
    assert worker["cpus"] == "${WORKER_CPUS:-1}"
    assert "-n" not in worker["command"]
    assert worker["volumes"] == ["./hooks:/hooks:ro", "./exports:/exports"]
    assert "./hooks:/hooks:ro" in COMPOSE["services"]["seed"]["volumes"]  # a hook is checked when seeding, too
    assert worker["environment"]["CRAWLER_HOOK"] == "${CRAWLER_HOOK:-}"
    for service in COMPOSE["services"].values():
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}


def test_compose_seeds_only_when_asked() -> None:
    seed = COMPOSE["services"]["seed"]
    assert seed["profiles"] == ["seed"]
    assert seed["entrypoint"][:2] == ["crawler", "seed"]
    assert seed["restart"] == "no"


def test_compose_monitors_only_when_asked_and_on_loopback() -> None:
    services = COMPOSE["services"]
    for name in ("metrics", "prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
    assert services["grafana"]["ports"] == ["127.0.0.1:3000:3000"]
    mounted = [
        line for name in ("prometheus", "grafana") for line in services[name]["volumes"] if line.startswith("./")
    ]
    assert [line for line in mounted if not (ROOT / line.partition(":")[0]).is_file()] == []
    targets = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"][0]["static_configs"]
    assert targets == [{"targets": ["metrics:9464"]}]


def test_no_secrets_are_written_down() -> None:
    for name in ("docker-compose.yml", "Dockerfile"):
        assert not re.search(
            r"password\s*[:=]|requirepass|://[^/\s]*:[^/\s]*@", (ROOT / name).read_text(), re.IGNORECASE
        )


def test_the_image_runs_as_nobody_special_and_has_what_it_copies() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER crawler" in lines
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert f"!{source.split('/')[0]}" in ignore, source


def healthcheck(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "docker" / "healthcheck.py"],
        env={**os.environ, "CRAWLER_REDIS": url, "CRAWLER_CRAWL": "news"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_healthcheck_tells_a_worker_that_hangs(redis_server: Any) -> None:
    with redis_server.client() as client:
        assert healthcheck(redis_server.url).returncode == 0  # it waits for its crawl
        client.hset("crawler:{news.0}:meta", "state", "running")
        assert "has begun" in healthcheck(redis_server.url).stderr
        now = client.time()[0] * 1000
        client.hset("crawler:{news.0}:workers", f"{os.uname().nodename}:1", f"{now - 90_000} {{}}")
        assert re.search("silent for (89|9[0-9]) s", healthcheck(redis_server.url).stderr)
        client.hset("crawler:{news.0}:workers", f"{os.uname().nodename}:2", f"{now} {{}}")
        assert healthcheck(redis_server.url).returncode == 0
    assert "Redis does not answer" in healthcheck("unix:///nonexistent/socket").stderr


def seeds(name: str) -> tuple[list[str], list[str]]:
    """The canonical URLs of a sample list, and the words for which lines of it are refused."""
    accepted, refused = [], []
    for line in (ROOT / "seeds" / name).read_text(encoding="utf-8").splitlines():
        if (text := line.strip()) and not text.startswith("#"):
            try:
                accepted.append(canonicalize(text))
            except InvalidURL as error:
                refused.append(error.reason)
    return accepted, refused


@pytest.mark.parametrize("path", sorted((ROOT / "seeds").glob("*.txt")), ids=lambda path: path.stem)
def test_each_sample_says_what_it_exercises(path: Path) -> None:
    assert "xercises" in "".join(line for line in path.read_text().splitlines()[:3] if line.startswith("#"))
    accepted, refused = seeds(path.name)
    assert accepted
    assert not refused or path.stem == "awkward"


def test_awkward_seeds_are_as_many_as_they_say() -> None:
    accepted, refused = seeds("awkward.txt")
    said = re.findall(r"\d+", (ROOT / "seeds" / "awkward.txt").read_text().splitlines()[0])
    assert [len(accepted), len(set(accepted)), len(refused)] == [int(number) for number in said]
    assert refused == ["scheme", "scheme", "userinfo", "invalid", "invalid"]


def test_sample_sites_are_three() -> None:
    assert {site(url) for url in seeds("sites.txt")[0]} == {"example.org", "example.com", "example.net"}


# -- documents ---------------------------------------------------------------------------------------------------------

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors of the headings in a document, spelled as GitHub does."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def broken_links(document: Path) -> Iterator[str]:
    """The relative links of a document that lead to no file, or to no heading in it."""
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / unquote(name) if name else document
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    assert list(broken_links(document)) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One `--two` three\n\n```\n# no heading\n```\n\n## Same\n\n## Same\n")
    page = tmp_path / "page.md"
    good = "[a](other.md) [b](other.md#one---two-three) ![c](other.md#same-1) [d](#here) [e](https://example.org/x#y)"
    page.write_text(f"# Here\n\n{good}\n[f](none.md) [g](other.md#no-heading) [h](#there) [i](other.md#same-2)\n")
    assert [line.partition(":")[0] for line in broken_links(page)] == [
        *("none.md", "other.md#no-heading", "#there", "other.md#same-2"),
    ]


def test_each_page_of_the_docs_can_be_found() -> None:
    """The README leads to a list of the pages for users; those for developers are named where developers begin."""
    assert "](docs/getting-started.md)" in README
    listed = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8").split("## More pages")[1]
    found = {"getting-started.md", *re.findall(r"\]\(([a-z0-9-]+\.md)\)", listed)}
    for name in ("ARCHITECTURE.md", "CONTRIBUTING.md"):
        found.update(re.findall(r"\]\(docs/([a-z0-9-]+\.md)", (ROOT / name).read_text(encoding="utf-8")))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - found == set()


def test_the_readme_is_short_and_names_the_two_commands() -> None:
    assert re.search(r"^make demo ", README, re.MULTILINE)
    assert re.search(r"^make test ", README, re.MULTILINE)
    assert 600 <= len(README.split()) <= 850


def test_the_readme_counts_as_its_pages_do() -> None:
    rows = re.findall(r"^\| \d+ \|", (ROOT / "docs" / "hostile.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"one of {len(OUTCOMES)} [outcomes]" in README
    assert re.search(rf"\[{len(rows)}\s+situations\]\(docs/hostile\.md\)", README)


def test_the_table_of_the_readme_is_that_of_its_page() -> None:
    """The figures of the one are among those of the other."""
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:this crawler|Scrapy).*\|$", README, re.MULTILINE)
    assert len(rows) == 3
    assert [row for row in rows if row not in page] == []
    assert "| scrapy-redis 0.9.1, one process | 53 | 19.2 | 211 MB |" in README
    assert "| scrapy-redis 0.9.1, one process / two | 53 / 101 | 19.2 / 18.3 | 211 / 417 MB |" in page
