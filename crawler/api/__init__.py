"""The Python API: `Crawl`, iteration over a crawl that runs, rows for tables, progress in terminals and notebooks."""
