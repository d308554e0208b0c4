"""One crawl on this machine: the Python API, sessions, seeds, and the pool of worker processes."""
