"""One worker process: the loop, downloads, processing, link filter, and its client of the frontier."""
