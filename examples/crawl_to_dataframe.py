"""Crawl a site into a pandas DataFrame.

pip install pandas
python examples/crawl_to_dataframe.py https://example.org
"""

from __future__ import annotations

import sys

import pandas as pd

from crawler import Crawl

COLUMNS = ["url", "outcome", "status", "title", "depth", "size", "elapsed_ms", "fetched_at"]


def frame_of(*sites: str) -> pd.DataFrame:
    """The pages of *sites*. Run again, it continues a crawl that was stopped, and fetches nothing twice."""
    with Crawl(sites, name="dataframe", store="meta", max_pages=500) as crawl:
        crawl.run()
        frame = pd.DataFrame(crawl.rows(COLUMNS))
    frame["fetched_at"] = pd.to_datetime(frame["fetched_at"])
    return frame


def main() -> None:
    frame = frame_of(*sys.argv[1:])
    print(frame.groupby("outcome").size().sort_values(ascending=False).to_string())
    fetched = frame[frame["outcome"] == "fetched"]
    print(fetched.nlargest(5, "elapsed_ms")[["elapsed_ms", "url"]].to_string(index=False))


if __name__ == "__main__":
    main()
