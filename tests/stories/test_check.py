"""`crawler check` finds every planted fault of a site with each page and line, and nothing else, whatever happens."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
import trustme

from crawler.findings import CODES
from tests.stories.check_lookalikes import COUNT
from tests.stories.check_pages import Fault, Place
from tests.stories.check_site import LARGE, SLOW, PlantedSite
from tests.stories.commands import Commands, Done, command_line, kill_hard, wait_until
from tests.stories.sites import Sites

pytestmark = pytest.mark.slow

OPTIONS = (
    *("--delay", "0", "--per-host", "8", "--allow-private", "--retries", "1", "--host-patience", "20s", "--plain"),
    *("--slow", SLOW, "--large", LARGE, "--format", "json"),
)


@pytest.fixture
def planted(sites: Sites, commands: Commands) -> PlantedSite:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(commands.base / "authority.pem"))
    commands.env["SSL_CERT_FILE"] = str(commands.base / "authority.pem")
    return PlantedSite(sites, authority)


def found_in(done: Done) -> dict[Fault, set[Place]]:
    """The findings of a report, as `expected` has them."""
    assert done.code in (0, 1), done.err
    places: defaultdict[Fault, set[Place]] = defaultdict(set)
    for finding in json.loads(done.out)["findings"]:
        key = finding["code"], finding["target"]
        assert key not in places, f"{key} is reported twice"
        places[key] = {(page["url"], page.get("line")) for page in finding["pages"]}
    return places


def refuse_differences(found: dict[Fault, set[Place]], expected: dict[Fault, set[Place]]) -> None:
    """AssertionError that lists what was missed, and what was made up."""
    missed = {key: places - found.get(key, set()) for key, places in expected.items()}
    made_up = {key: places - expected.get(key, set()) for key, places in found.items()}
    wrong = [f"missed {key}: {sorted(map(str, places))}" for key, places in missed.items() if places]
    wrong += [f"made up {key}: {sorted(map(str, places))}" for key, places in made_up.items() if places]
    wrong += [f"made up {key}" for key in found.keys() - expected.keys() if not found[key]]
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong)


def test_every_fault_is_found_and_nothing_else(planted: PlantedSite, commands: Commands) -> None:
    done = commands.run("check", *planted.seeds, *OPTIONS, "--workers", "1")
    expected = planted.expected.places
    assert {code for code, _ in expected} == set(CODES)
    assert (sum(map(len, expected.values())) >= 150, COUNT >= 150) == (True, True)
    refuse_differences(found_in(done), expected)
    assert done.code == 1
    asked = planted.main.asked()
    assert [path for path in asked if path.startswith("/never")] == []


def test_four_workers_on_three_shards_find_the_same(planted: PlantedSite, commands: Commands) -> None:
    done = commands.run("check", *planted.seeds, *OPTIONS, "--workers", "4", "--shards", "3")
    refuse_differences(found_in(done), planted.expected.places)


def test_a_worker_and_redis_are_killed_and_the_report_is_the_same(planted: PlantedSite, commands: Commands) -> None:
    """Both with SIGKILL while pages and targets are asked for; what was lost is asked for again."""
    going = commands.start("check", *planted.seeds, *OPTIONS, "--workers", "2")
    wait_until(lambda: len(planted.main.seen) > 60, "some requests")
    kill_hard(going.workers()[0])
    wait_until(lambda: len(planted.main.seen) > 140, "more requests")
    redis = int((commands.folder / ".crawler" / "redis.pid").read_text())
    kill_hard(redis)
    wait_until(lambda: not command_line(redis), "the end of Redis")
    refuse_differences(found_in(going.wait()), planted.expected.places)
