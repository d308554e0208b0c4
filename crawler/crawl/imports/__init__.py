"""Takes over what another crawler has queued and fetched: Scrapy's job folders, and the Redis of scrapy-redis."""
