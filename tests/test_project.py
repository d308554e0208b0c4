"""What the project's own files promise: make, the lock, compose, the image, and the sample seeds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from crawler.errors import InvalidURL
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


def test_compose_seeds_only_when_asked() -> None:
    seed = COMPOSE["services"]["seed"]
    assert seed["profiles"] == ["seed"]
    assert seed["entrypoint"][:2] == ["crawler", "seed"]
    assert seed["restart"] == "no"


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
