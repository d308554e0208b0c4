"""The property test has teeth: against scripts that are broken on purpose the same machine fails, each time.

Each fault is one that a change could well bring in; it is put into the loaded Lua by text, which must be found there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from crawler.frontier.scripts import SERVER_CLOCK, Script, load
from tests.frontier.machine import FrontierMachine

BUDGET: Final = settings(
    max_examples=300,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """In the scripts of *verbs* (none: in all) *old* becomes *new*."""

    old: str
    new: str
    verbs: tuple[str, ...] = ()

    def load(self, verb: str, clock: str = SERVER_CLOCK) -> Script:
        source = load(verb, clock).source
        if self.verbs and verb not in self.verbs:
            return Script(verb, source)
        assert source.count(self.old) == 1, f"{verb}.lua changed: the fault does not apply"
        return Script(verb, source.replace(self.old, self.new))


_END_IN_RELEASE = """  local lease = end_lease(ARGV[i])
  if lease then
"""
_END_IN_REAP = """  local lease = end_lease(token)
  if lease then
"""
_TAKE_SLOT_AGAIN = "    redis.call('HINCRBY', host_key(lease.host), 'in_flight', 1)\n"
_END_IN_COMMIT = """if not holds(token, ARGV[3]) then
  return { redis.call('HGET', PAGE, 'token') == token and 'DONE_ALREADY' or 'LEASE_LOST' }
end

local lease = end_lease(token)
"""
_END_IN_RETRY = """if not holds(token, ARGV[3]) then
  return { 'LEASE_LOST' }
end

local lease = end_lease(token)
"""
_BELIEVE = "local lease = end_lease(token) or read_lease((string.gsub(ARGV[3], ' ', '1 w ', 1)))\n"

FAULTS: Final = {
    "due is kept in ready alone and forgotten when the queue is empty": Fault(
        "    redis.call('ZREM', READY, host)\n",
        "    redis.call('ZREM', READY, host)\n    redis.call('HSET', host_key(host), 'due', T)\n",
    ),
    "reap does not free the slot": Fault(_END_IN_REAP, _END_IN_REAP + _TAKE_SLOT_AGAIN, ("reap",)),
    "release does not free the slot": Fault(_END_IN_RELEASE, _END_IN_RELEASE + _TAKE_SLOT_AGAIN, ("release",)),
    "reap does not put the page back": Fault("      requeue(lease, 'LEFT', CRASH)\n", "", ("reap",)),
    "reap does not charge": Fault("'LEFT', CRASH)", "'LEFT', 0)", ("reap",)),
    "reap does not let the host rest": Fault("    rest(lease.host, math", "    local _ = (math", ("reap",)),
    "commit takes any token": Fault(_END_IN_COMMIT, _BELIEVE, ("commit",)),
    "retry takes any token": Fault(_END_IN_RETRY, _BELIEVE, ("retry",)),
    "a token of a repeated lease stands for any URL": Fault(
        "lease.kind .. ' ' .. lease.host .. ' ' .. lease.entry ~= what", "false"
    ),
    "a repeated commit is refused": Fault("and 'DONE_ALREADY' or", "and 'LEASE_LOST' or", ("commit",)),
    "a repeated commit is counted again": Fault(
        "  return { redis.call('HGET', PAGE, 'token')",
        "  count('ended', 1)\n  return { redis.call('HGET', PAGE, 'token')",
        ("commit",),
    ),
    "put pushes what was seen": Fault(
        "      else\n        seen = seen + 1\n      end\n      a, k",
        "      else\n        fresh[#fresh + 1] = ARGV[a + 1]\n      end\n      a, k",
        ("put",),
    ),
    "pages are leased while robots.txt is asked for": Fault(" and not h[4] then", " then"),
    "a repeated lease gives more": Fault("  if #held > 0 then", "  if #held > want then", ("lease",)),
    "a lease does not move the host's due": Fault("      rest(f.host, f.delay)\n", "", ("lease",)),
    "more are leased than there are slots": Fault(", SLOTS - f.in_flight)", ")", ("lease",)),
    "extend revives what was reaped": Fault(
        "  if redis.call('ZREM', LEASES, ARGV[i]) == 1 then", "  if T > 0 then", ("extend",)
    ),
    "revive leaves the record": Fault("    redis.call('DEL', KEYS[k])\n", "", ("revive",)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_the_machine_finds_the_fault(fault: Fault, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.frontier.frontier.load", fault.load)
    machine = type("Machine", (FrontierMachine,), {"url": redis_url})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=BUDGET)
