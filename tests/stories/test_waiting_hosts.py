"""What a snapshot of a crawl says of hosts that do not answer."""

from __future__ import annotations

import pytest

from crawler.frontier.host_facts import HostFacts
from crawler.frontier.messages import Trouble
from crawler.frontier.status import unanswered
from tests.stories.commands import Commands, wait_until

pytestmark = pytest.mark.slow


def host(rest_ms: int, backoff_ms: int, failing_ms: int, trouble: Trouble = "") -> HostFacts:
    return HostFacts(1, 0, 1, 0, 0, backoff_ms, rest_ms, failing_ms, 1000, trouble)


def test_a_host_that_rests_because_it_did_not_answer_is_named_as_that() -> None:
    said = unanswered(host(198_600, 240_000, 221_000))
    assert said == "; the next did not answer, it is asked again in 199 s"


@pytest.mark.parametrize(
    "facts",
    [host(1000, 0, 0), host(1000, 0, 5000), host(0, 2000, 5000), host(1000, 2000, 0, "dns"), host(9, 9, 9, "away")],
)
def test_others_wait_for_politeness_alone(facts: HostFacts) -> None:
    assert unanswered(facts) == ""


def test_status_says_so_of_a_crawl_of_one_dead_host(commands: Commands) -> None:
    assert commands.run("seed", "http://127.0.0.1:1/").code == 0
    running = commands.start("work", "-n", "1")
    wait_until(lambda: "the next did not answer" in commands.status()["limit"], "status to say so")
    running.kill()
