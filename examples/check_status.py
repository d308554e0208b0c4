"""Report the broken links of a site while they are found, with the page that has each. Exit code 1 if there are any.

python examples/check_status.py https://example.org
"""

from __future__ import annotations

import sys

from crawler import Crawl, Record


def is_broken(record: Record) -> bool:
    return record.outcome == "missing" or record.outcome.startswith("failed:")


def main() -> int:
    broken = 0
    with Crawl(sys.argv[1:], name="status", store="meta", fresh=True, host_patience="10s", retries=0) as crawl:
        for record in crawl:
            if is_broken(record):
                broken += 1
                why = record.error or f"status {record.status}"
                print(f"{record.url}: {why}; linked from {record.via or 'the command line'}", flush=True)
        status = crawl.status()
    print(f"{broken} of {status.ended} URLs are broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
