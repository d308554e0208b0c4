"""Is the worker of this container getting on? Exit code 0 if so, else 1 and the reason in one line.

Healthy: Redis answers, and a worker of this machine has told the crawl within the last minute what it is doing.
A worker that waits for its crawl to be created is healthy, too.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import cast

import redis

LIMIT_MS = 60_000
"""Workers beat every few seconds; a minute of silence is a worker that hangs."""


def complaint(client: redis.Redis, crawl: str, machine: str) -> str | None:
    """What is wrong with the workers of *machine*, or None."""
    prefix = f"crawler:{{{crawl}.0}}:"
    if not client.exists(f"{prefix}meta"):
        return None
    seconds, micros = client.time()
    now = seconds * 1000 + micros // 1000
    beats = cast("dict[bytes, bytes]", client.hgetall(f"{prefix}workers"))  # worker -> ms of its last beat, then JSON
    ages = [now - int(beat.split(b" ", 1)[0]) for name, beat in beats.items() if machine.encode() in name + beat]
    if not ages:
        return f"no worker of {machine} has begun"
    return None if min(ages) < LIMIT_MS else f"the workers have been silent for {min(ages) // 1000} s"


def main() -> None:
    """Ask the Redis that the worker uses."""
    try:
        with redis.Redis.from_url(os.environ["CRAWLER_REDIS"], socket_timeout=5) as client:
            sys.exit(complaint(client, os.environ.get("CRAWLER_CRAWL", "default"), platform.node()))
    except redis.RedisError as error:
        sys.exit(f"Redis does not answer: {error}")


if __name__ == "__main__":
    main()
