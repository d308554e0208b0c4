"""All shards of a crawl as one."""
