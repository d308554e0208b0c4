"""The demo's web: five small sites on loopback, and the outcomes that a crawl of them must have."""

from __future__ import annotations

from crawler.cli.demo_site.server import DemoSite, Hit

__all__ = ["DemoSite", "Hit"]
