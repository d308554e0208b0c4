"""The clock of leases: it never jumps, and it goes on while the machine sleeps.

Deadlines of leases are the Redis server's. What a worker knows of them has to go on as the server's do:
`time.monotonic` stands still while a machine is suspended (clock_gettime(2)), and a request would go out under a lease
that had been given to another worker meanwhile. The time of day is asked for nowhere but for `fetched_at`.
"""

from __future__ import annotations

import time
from typing import Final

_LASTING: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def since_boot() -> float:
    """Seconds since the machine was started, those of sleep included."""
    return time.clock_gettime(_LASTING)
