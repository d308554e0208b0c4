"""Why a leased page is not fetched."""

from __future__ import annotations

from typing import Final

from crawler.frontier.messages import HostTrouble
from crawler.policy.scope import REFUSALS
from crawler.worker.link_filter import LinkFilter
from crawler.worker.outcome import LeasedPage
from crawler.worker.robots_cache import RobotsCache

CRASH_LIMIT: Final = 3
"""A URL is given up (`failed:crash`) after this many workers died while processing it."""
_TROUBLES: Final = {
    "dns": ("failed:dns", "its host's name does not resolve"),
    "tls": ("failed:tls", "its host's certificate or TLS handshake fails, as was seen with robots.txt"),
    "hang": ("failed:hang", "its host's robots.txt took longer than --page-timeout to read; its worker was killed"),
    "crash": ("failed:crash", "workers died while they read its host's robots.txt"),
}
"""The outcome of the URLs of a host that is given up, and why."""


def refusal_of(held: LeasedPage, links: LinkFilter, rules: RobotsCache | None) -> tuple[str, str] | None:
    """The outcome of a page that must not be fetched, and why; None if it may. No *rules*: robots.txt is ignored."""
    lease, entry = held.lease, held.entry
    cause = HostTrouble.of(lease.cause)
    if lease.trouble == "away":
        cause = cause or HostTrouble("connect", "no answer")
        return f"failed:{cause.kind}", f"its host is given up after --host-patience: {cause.text}"
    if lease.trouble == "tls" and cause is not None and cause.kind == "tls":
        return "failed:tls", f"{cause.text}, as was seen with robots.txt"
    if lease.trouble:
        return _TROUBLES[lease.trouble]
    if entry.crashes >= CRASH_LIMIT:
        return "failed:crash", f"{entry.crashes} workers died while handling it"
    request = entry.request
    # Seeds, what is read once, and what is not read.
    exempt = request.sitemap or request.target or (request.found_on is None and request.depth == 0)
    if not exempt and (trap := links.trap_of(request.url)):
        return "dropped:trap", f"quarantined: {trap}"
    # Of seeds and their redirects (depth 0), and of sitemaps, the filters never were asked.
    if request.depth and not request.sitemap and (why := links.scope.filtered(request.url)):
        return "dropped:scope", f"the filters were changed: {REFUSALS[why]}"
    if rules is not None and not rules.allows(lease, entry.request.url):
        return "dropped:robots", "robots.txt disallows it"
    return None
