"""The frontier against its model: any interleaving of clients, deaths, late and repeated calls.

Deterministic, and short enough for every run. For a longer hunt with fresh dice:
`CRAWLER_EXAMPLES=5000 pytest -n0 tests/frontier/test_properties.py` (a failure prints how to see it again).
"""

from __future__ import annotations

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.frontier.machine import FrontierMachine

pytestmark = pytest.mark.slow

EXAMPLES: Final = int(os.environ.get("CRAWLER_EXAMPLES", "0"))

settings.register_profile(
    "ci",
    max_examples=EXAMPLES or 80,
    stateful_step_count=60,
    deadline=None,
    derandomize=not EXAMPLES,
    database=None,
    phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),  # shrinking takes minutes
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(0 if EXAMPLES else 900)
def test_any_interleaving_of_clients_keeps_the_invariants(both_redis_url: str) -> None:
    machine = type("Machine", (FrontierMachine,), {"url": both_redis_url})
    run_state_machine_as_test(machine, settings=settings.get_profile("ci"))
