"""Parsing: from bytes to values (pages, links, text, encodings, sitemaps). Pure: no clock, no I/O."""
