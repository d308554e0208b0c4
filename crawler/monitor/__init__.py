"""Looking at a crawl: the live line, the summary, and `explain`."""
