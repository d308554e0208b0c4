"""The way of one lease through a worker: robots.txt, fetch, judge, parse, filter links, and what ends the lease."""

from __future__ import annotations

from collections import deque

from crawler.errors import CrawlerError
from crawler.fetch.fetcher import FetchResult, Response
from crawler.fetch.machine import SHORTAGES
from crawler.frontier.messages import Commit, Lease, Release, Retry
from crawler.policy.cookies import Chain
from crawler.policy.politeness import NOT_MODIFIED, REDIRECTS
from crawler.record import Charge, Entry
from crawler.url_state import UrlState
from crawler.worker.downloader import Download, Downloader
from crawler.worker.link_filter import LinkFilter
from crawler.worker.outcome import UNSENT, LeasedPage, of_bad_entry, of_failure
from crawler.worker.pending_call import PendingCall
from crawler.worker.processor import Processor
from crawler.worker.refusals import refusal_of
from crawler.worker.robots_cache import RobotsCache
from crawler.worker.target_outcome import of_read_page
from crawler.worker.validator_memory import ValidatorMemory


class Pipeline:
    """Takes leases, starts their downloads, and turns each finished download into what ends its lease."""

    def __init__(self, downloader: Downloader, rules: RobotsCache, links: LinkFilter, processor: Processor) -> None:
        self.processor = processor
        self.suspects: deque[LeasedPage] = deque()
        """Leased pages during which a worker died: each is run alone."""
        self._downloader, self._rules, self._links = downloader, rules, links
        self._validators = ValidatorMemory()

    # -- from a lease to its download ----------------------------------------------------------------------------------

    def begin(self, lease: Lease, before: UrlState | None = None, page: UrlState | None = None) -> PendingCall | None:
        """Start the download, or return what ends the lease without one. May raise RedisAway: then repeat it.

        *before* is the state that the visit before left; *page*, of a target, that of the same URL as a page.
        """
        if lease.kind == "R":
            download = Download(lease, stored=self._rules.to_revalidate(lease))
            self._downloader.fetch_robots(download, f"{lease.origin}/robots.txt")
            return None
        processor, plan = self.processor, self.processor.plan
        try:
            entry = lease.entry()
        except ValueError as error:
            return PendingCall(of_bad_entry(lease, str(error), processor.id))
        if plan.obey_robots and not lease.unreachable and not self._rules.knows(lease):
            return PendingCall(Release(lease))
        held = self._held(lease, entry, before)
        # It could not be leased if it were not accepted.
        self._links.known.acknowledge((held.name,))
        if page is not None and not lease.unreachable:
            return PendingCall(of_read_page(held, page))
        # Matching this URL against the site's rules counts as processing it: the pool's watchdog sees it.
        processor.enter("handle", lease.token)
        refusal = refusal_of(held, self._links, self._rules if plan.obey_robots else None)
        processor.enter("redis")
        if refusal is not None:
            return PendingCall(of_failure(held, *refusal, UNSENT))
        if entry.crashes:
            self.suspects.append(held)
        else:
            self._downloader.fetch_page(held)
        return None

    def _held(self, lease: Lease, entry: Entry, before: UrlState | None) -> LeasedPage:
        plan, url_id = self.processor.plan, self.processor.id_of(entry.request)
        conditions = self._validators.conditions(lease, url_id, before)
        if plan.check and before is not None and before.is_gone:
            conditions = ()  # what it named was removed, so it must be read
        return LeasedPage(lease, entry, url_id, plan.form.apply(entry.request.url), before, conditions, plan)

    # -- from a download to the end of its lease -----------------------------------------------------------------------

    def handle(self, download: Download, result: FetchResult) -> PendingCall | None:
        """What ends the lease of a finished download; None if another request follows within the lease.

        May raise RedisAway: then repeat it.
        """
        self.processor.clock.begin(result)
        if self._is_repeated(download, result):
            return None
        if download.held is None:
            return self._handle_robots(download, result)
        if self._continues(download, download.held, result):
            return None
        return self._end_page(download, download.held, result)

    def _is_repeated(self, download: Download, result: FetchResult) -> bool:
        """Whether the request is repeated within the lease: it had no conditions, and was answered with 304."""
        if not isinstance(result, Response) or result.status != NOT_MODIFIED or download.is_conditional:
            return False
        return self._downloader.insist(download, result.ended)

    def _handle_robots(self, download: Download, result: FetchResult) -> PendingCall | None:
        stored, forgiving = download.stored, self._downloader.stalled
        answer = self._rules.answer(download.lease, result, download.hops, stored, forgiving=forgiving)
        if answer.follow is not None:
            download.hops += 1
            self._downloader.fetch_robots(download, answer.follow)
            return None
        ip = result.address if isinstance(result, Response) and not download.hops else ""
        return self.processor.robots(download.lease, answer, ip)

    def _continues(self, download: Download, held: LeasedPage, result: FetchResult) -> bool:
        """Whether another request follows within the lease: the answer sets a cookie and redirects (see `cookies`)."""
        if not isinstance(result, Response) or result.status not in REDIRECTS:
            return False
        chain = download.chain or Chain(held.entry.request.url)
        target = chain.next_hop(result)
        if target is None or not self.processor.admits(held, target, chain.hops):
            return False
        if self.processor.plan.obey_robots and not self._rules.allows_hop(held.lease, target):
            return False
        return self._downloader.follow(download, chain, target, result.ended)

    def _end_page(self, download: Download, held: LeasedPage, result: FetchResult) -> PendingCall:
        """Process a page to its outcome. A defect of ours counts as a failed attempt; the worker continues."""
        try:
            ended = self.processor.handle(held, result, forgiving=self._downloader.stalled, chain=download.chain)
            if isinstance(ended.message, Commit):
                ended.message = self._validators.judged(ended.message)
            return ended
        except CrawlerError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in SHORTAGES:  # not the page's fault
                return PendingCall(Release(held.lease))
            self.processor.say(f"handling {held.entry.request.url} failed: {type(error).__name__}: {error}")
            return PendingCall(Retry(held.lease, "ok", Charge.CRASH))
