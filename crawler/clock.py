"""The clock for leases: it never jumps, and continues while the machine sleeps.

Deadlines of leases are kept by the Redis server, so a worker's clock must run as the server's does. `time.monotonic`
stands still while a machine is suspended (clock_gettime(2)). With it, a request could be sent under a lease that had
been given to another worker meanwhile. The time of day is used only for `fetched_at`.
"""

from __future__ import annotations

import time
from typing import Final

_LASTING: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def since_boot() -> float:
    """Seconds since the machine was started, including sleep."""
    return time.clock_gettime(_LASTING)
