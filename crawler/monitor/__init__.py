"""Looking at a crawl: the live screen, the summary, and `explain`."""
