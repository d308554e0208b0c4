"""The demo's web: five small sites on loopback, and what a crawl of them must find."""

from __future__ import annotations

from crawler.demo.site import DemoSite, Hit

__all__ = ["DemoSite", "Hit"]
