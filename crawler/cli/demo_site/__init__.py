"""The demo's web: five small sites on loopback, and what a crawl of them must find."""

from __future__ import annotations

from crawler.cli.demo_site.server import DemoSite, Hit

__all__ = ["DemoSite", "Hit"]
