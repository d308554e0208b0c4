"""A worker's processor in a check of one site, without Redis: what it makes of answers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from crawler.checked_page import CheckedPage
from crawler.fetch.fetcher import FetchResult, Headers, Response
from crawler.frontier.messages import Commit, Lease, Retry
from crawler.parse.page import Page
from crawler.parse.places import PagePlaces, Place
from crawler.policy.cookies import Chain
from crawler.record import Entry, Record, Request
from crawler.settings import Settings
from crawler.url_state import UrlState
from crawler.worker.context import Callbacks
from crawler.worker.link_filter import LinkFilter
from crawler.worker.options import plan_of
from crawler.worker.outcome import LeasedPage
from crawler.worker.pending_call import PendingCall
from crawler.worker.processor import Processor

SITE = "http://site.example/"
ELSEWHERE = "http://elsewhere.example/"


@dataclass
class Stored:
    """Ids of what is asked for, and nothing else."""

    def id(self, url: str) -> str:
        return self.id_of(Request(url))

    def id_of(self, request: Request) -> str:
        return str(zlib.crc32(request.name.encode()))


@dataclass
class Check:
    """A check of SITE; `places` is what the next pages hold."""

    settings: Settings
    places: PagePlaces = field(default_factory=PagePlaces)

    def __post_init__(self) -> None:
        self.plan = plan_of(self.settings)
        self.links = LinkFilter(self.plan.scope, lambda roots: [root == "site.example" for root in roots])
        self.stored = Stored()
        self.processor = Processor(cast(Any, self.stored), self.links, self.plan, Callbacks())
        extractor = cast(Any, self.processor)._extractor
        extract = extractor.extract

        def extract_with_places(response: Response, **options: Any) -> Page:
            page: Page = extract(response, **options)
            page.places = self.places
            return page

        extractor.extract = extract_with_places

    def held(self, request: Request, before: UrlState | None = None) -> LeasedPage:
        """The lease of *request*."""
        host, raw = msgspec.structs.replace(request, revisit=before is not None).place()
        lease = Lease("0:1", "P", host, raw, 0, 0, "", 0.0)
        return LeasedPage(lease, Entry.decode(host, raw), self.stored.id_of(request), request.url, before)

    def ended(
        self, request: Request, result: FetchResult, before: UrlState | None = None, chain: Chain | None = None
    ) -> PendingCall:
        """What ends the lease of *request*."""
        return self.processor.handle(self.held(request, before), result, forgiving=False, chain=chain)

    def commit(self, request: Request, result: FetchResult, before: UrlState | None = None) -> Commit:
        """The same, which ends its URL."""
        message = self.ended(request, result, before).message
        assert isinstance(message, Commit)
        return message

    def retry(self, request: Request, result: FetchResult) -> Retry:
        """The same, which asks for it again."""
        message = self.ended(request, result).message
        assert isinstance(message, Retry)
        return message


def check(*places: Place, **settings: Any) -> Check:
    """A check of SITE, whose pages hold *places*."""
    return Check(Settings(check=True, store=("meta",), **settings), PagePlaces(list(places)))


def place(kind: str, url: str, **more: Any) -> Place:
    """A place of a page."""
    return Place(kind, url, **more)


def html(*links: str, url: str = SITE, head: str = "", headers: Sequence[tuple[str, str]] = ()) -> Response:
    """A page with *links*."""
    body = "".join(f'<a href="{link}">link</a>' for link in links)
    text = f"<!doctype html><title>a title</title>{head}<body>{body}".encode()
    return Response(url, 200, Headers([("content-type", "text/html; charset=utf-8"), *headers]), text, elapsed=0.5)


def answer(url: str, status: int, *headers: tuple[str, str], **more: Any) -> Response:
    """An answer without a body."""
    return Response(url, status, Headers(headers), **more)


def kept(commit: Commit) -> CheckedPage:
    """What is kept of a page."""
    assert commit.links
    return CheckedPage.decode(commit.links)


def record(commit: Commit) -> Record:
    """The record of a URL that ended."""
    assert commit.record
    return Record.decode(commit.record)


def asked(requests: Sequence[Request]) -> dict[str, str]:
    """URLs that are asked for, and how."""
    found = {request.url: "target" if request.target else "page" for request in requests}
    assert len(found) == len(requests)
    return found
