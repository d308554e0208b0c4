"""One worker process: its loop, downloads, processing, link filter, and client of the frontier."""
