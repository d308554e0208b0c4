"""What a snapshot of a crawl says of hosts that do not answer."""

from __future__ import annotations

import pytest

from crawler.frontier.shards.hosts import HostFacts
from crawler.frontier.status import unanswered
from tests.stories.commands import Commands, wait_until

pytestmark = pytest.mark.slow

NOW = 1_800_000_000_000


def host(due: int, backoff: int, failing_since: int) -> HostFacts:
    return HostFacts("a.example", 1, 0, due, 0, backoff, failing_since, asking=False)


def test_a_host_that_rests_because_it_did_not_answer_is_named_as_that() -> None:
    said = unanswered(host(NOW + 198_600, 240_000, NOW - 221_000), NOW)
    assert said == "; the next did not answer, it is asked again in 199 s"


@pytest.mark.parametrize(
    ("due", "backoff", "failing_since"),
    [(NOW + 1000, 0, 0), (NOW + 1000, 0, NOW - 5000), (NOW - 1, 2000, NOW - 5000), (NOW + 1000, 2000, 1)],
)
def test_others_wait_for_politeness_alone(due: int, backoff: int, failing_since: int) -> None:
    assert unanswered(host(due, backoff, failing_since), NOW) == ""


def test_status_says_so_of_a_crawl_of_one_dead_host(commands: Commands) -> None:
    assert commands.run("seed", "http://127.0.0.1:1/").code == 0
    running = commands.start("work", "-n", "1")
    wait_until(lambda: "the next did not answer" in commands.status()["limit"], "status to say so")
    running.kill()
