"""Faults put into the code on purpose: chaos has to catch each of them, or it proves nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.chaos.rounds import Options

PACKAGE: Final = Path(__file__).parents[2] / "crawler"


@dataclass(frozen=True, slots=True)
class Fault:
    """In *file* of the package *old* becomes *new*; the events that bring it to light."""

    file: str
    old: str
    new: str
    options: Options
    checks: tuple[str, ...]
    """By which it is caught, one of them or more."""


_BASE: Final = Options(pages=700, hosts=8, limit=120.0)

FAULTS: Final = {
    "no-token-check": Fault(
        "frontier/lua/commit.lua",
        """  return { 'LEASE_LOST' }
end
""",
        """end
""",
        replace(_BASE, kinds={"worker-freeze-long": 1}, quiet=(0.2, 0.8)),
        ("counters", "stored twice"),
    ),
    "link-cached-early": Fault(
        "worker/link_filter.py",
        "        return [url for url in candidates if url not in young and url not in old]\n",
        """        found = [url for url in candidates if url not in young and url not in old]
        self._young.update(found)
        return found
""",
        replace(_BASE, kinds={"worker-freeze-long": 1}, quiet=(0.1, 0.5), delay=0.4, pages=300, pools=1),
        ("lost",),
    ),
    "all-charged": Fault(
        "crawl/pool.py",
        "            if lease.token == dead.token:\n",
        '            if lease.kind == "P":\n',
        replace(_BASE, kinds={"worker-kill": 1}),
        ("charged", "ended otherwise"),
    ),
    "due-forgotten": Fault(
        "frontier/lua/shared/hosts.lua",
        "    redis.call('ZREM', index, host)\n",
        "    redis.call('ZREM', index, host)\n    redis.call('HSET', host_key(host), 'due', T)\n",
        replace(_BASE, kinds={"worker-kill": 1}),
        ("politeness",),
    ),
}


def put_in(name: str, folder: Path) -> Path:
    """A copy of the package with a fault in it, below *folder*. Raises LookupError where the code has changed."""
    fault = FAULTS[name]
    shutil.copytree(PACKAGE, folder / "crawler", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "crawler" / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise LookupError(f"{fault.file} has changed: the fault {name} does not apply")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    return folder
