"""Many waiting workers in one process, for what they cost Redis, until it is killed.

`python -m benchmarks.idle REDIS_URL COUNT`. Each is the worker's own loop with its own connections, in a thread; only a
benchmark does that, a crawl never.
"""

from __future__ import annotations

import os
import sys
import threading

from benchmarks.crawls import CRAWL
from crawler.crawl.journal import Outlet
from crawler.crawl.process import Job, build
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Connection
from crawler.logs import open_log
from crawler.settings import Settings
from crawler.worker.watchdog import Watchdog


def main() -> int:
    """Wait for work with so many workers."""
    url, count = sys.argv[1], int(sys.argv[2])
    link = Connection(url)
    generation = Frontier.find(link, CRAWL).generation
    link.close()
    threads = []
    for n in range(count):
        watch = Watchdog.create(generation, f"idle{n}")
        job = Job(
            worker=f"idle{n}",
            watch=str(watch.path),
            redis=url,
            generation=generation,
            until_done=False,
            settings=Settings(),
            parent=os.getppid(),
        )
        worker = build(job, watch, open_log(None, False, job.worker), Outlet(-1))
        threads.append(threading.Thread(target=worker.run, daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return 1


if __name__ == "__main__":
    sys.exit(main())
