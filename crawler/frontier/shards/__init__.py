"""One shard of a crawl: sends its calls, reads its keys, and delivers to the others."""
