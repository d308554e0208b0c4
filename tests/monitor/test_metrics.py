"""The numbers for Prometheus: names, kinds, values, and what a real Prometheus makes of them."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from crawler.crawl.session import Session
from crawler.monitor import metrics
from crawler.monitor.watched import Watched
from crawler.record import OUTCOMES, Record, Request
from tests.frontier.client import Client
from tests.monitor.crawls import client_of, end, open_session
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import wait_until

DEPLOY: Final = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def session(redis_url: str) -> Iterator[Session]:
    with open_session(redis_url) as made:
        yield made


def numbers(watched: Watched) -> dict[str, float]:
    """Name, and the label besides `crawl` -> value."""
    families = text_string_to_metric_families(metrics.text("default", watched.look).decode())
    found = {}
    for sample in (sample for family in families for sample in family.samples):
        more = [value for name, value in sample.labels.items() if name != "crawl"]
        assert sample.labels["crawl"] == "default"
        found[" ".join([sample.name, *more])] = sample.value
    return found


def test_the_numbers_are_those_of_the_crawl(session: Session) -> None:
    pages = [Record(url=f"http://a.example/{n}", outcome="fetched", depth=0, status=200, size=10) for n in range(3)]
    end(session, [*pages, Record(url="http://a.example/x", outcome="failed:http", depth=0, status=503, error="503")])
    found = numbers(Watched(session))
    assert found["crawler_up"] == 1
    assert {outcome: found[f"crawler_urls_ended {outcome}"] for outcome in OUTCOMES} == {
        **dict.fromkeys(OUTCOMES, 0),
        **{"fetched": 3, "failed:http": 1},
    }
    assert found["crawler_responses_total 200"] == 3
    assert found["crawler_received_bytes_total"] == 30
    assert found["crawler_hosts_failing"] == 0  # all its URLs have ended
    states = {name.split()[1]: value for name, value in found.items() if name.startswith("crawler_state ")}
    assert {state for state, value in states.items() if value} == {session.find().state().word}


def test_a_crawl_that_is_away_is_a_number_and_no_error(redis_server: PrivateRedis, session: Session) -> None:
    watched = Watched(session)
    assert numbers(watched)["crawler_up"] == 1
    session.delete()
    assert numbers(watched) == {"crawler_up": 0}
    session.create_or_join()
    assert numbers(watched)["crawler_up"] == 1
    redis_server.kill()
    assert numbers(watched) == {"crawler_up": 0}
    redis_server.start()
    watched.close()


def named(expressions: str) -> set[str]:
    return set(re.findall(r"\bcrawler_\w+", expressions))


def test_alerts_and_boards_name_numbers_that_exist(session: Session) -> None:
    end(session, [Record(url="http://a.example/", outcome="fetched", depth=0, status=200)])
    there = {name.split()[0] for name in numbers(Watched(session))} | {
        *("crawler_links_refused_total", "crawler_redis_memory_needed_bytes"),
    }
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
    board = json.loads((DEPLOY / "grafana.json").read_text())
    targets = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = named(" ".join([*(rule["expr"] for rule in rules), *targets]))
    assert asked <= there
    assert len(asked) > 10


def test_the_page_of_the_docs_names_each_number(session: Session) -> None:
    end(session, [Record(url="http://a.example/", outcome="fetched", depth=0, status=200)])
    page = (DEPLOY.parent / "docs" / "dashboard.md").read_text(encoding="utf-8")
    assert {name.split()[0] for name in numbers(Watched(session))} - named(page) == set()


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: apt install prometheus)")
    return path


def test_promtool_finds_nothing_wrong(session: Session) -> None:
    promtool = tool("promtool")
    end(session, [Record(url="http://a.example/", outcome="fetched", depth=0, status=200)])
    text = metrics.text("default", Watched(session).look)
    linted = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, b"")
    for check in (["rules", f"{DEPLOY}/alerts.yml"], ["config", "--syntax-only", f"{DEPLOY}/prometheus.yml"]):
        done = subprocess.run([promtool, "check", *check], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Any]:
    """Starts a real Prometheus that scrapes a port each second; its address. Alerts fire at once."""
    program, running = tool("prometheus"), []

    def start(port: int) -> str:
        rules = (DEPLOY / "alerts.yml").read_text()
        (tmp_path / "alerts.yml").write_text(re.sub(r"for: \d+m", "for: 0s", rules))
        config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = ["alerts.yml"]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{port}"]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        own = free_port()
        arguments = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        with (tmp_path / "log").open("wb") as log:
            command = [program, *arguments, f"--web.listen-address=127.0.0.1:{own}"]
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
        return f"http://127.0.0.1:{own}"

    yield start
    for process in running:
        process.terminate()
        process.wait()


def answer(address: str, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"{address}/api/v1/{path}", timeout=5) as reply:
            return json.load(reply)["data"]
    except OSError:
        return {}


@pytest.mark.slow
def test_a_real_prometheus_scrapes_and_an_alert_fires(session: Session, prometheus: Any) -> None:
    """A crawl with a queue and no worker is an alert."""
    end(session, [Record(url="http://a.example/", outcome="fetched", depth=0, status=200)])
    client: Client = client_of(session)
    client.put([Request("http://b.example/")])
    with metrics.serving("127.0.0.1", 0, "default", Watched(session).look) as port:
        address = prometheus(port)

        def value(query: str) -> Any:
            return [found["value"][1] for found in answer(address, f"query?query={quote(query)}").get("result", [])]

        wait_until(lambda: value('crawler_urls_ended{outcome="fetched"}') == ["1"], "a scrape")

        def firing() -> set[str]:
            alerts = answer(address, "alerts").get("alerts", [])
            return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

        wait_until(lambda: "CrawlerWithoutWorkers" in firing(), "the alert")
        assert "CrawlerAway" not in firing()
