"""Fetchers: one interface (`fetcher`), two engines (`curl`, `requests`), one guard of addresses (`guard`).

Both engines share the reading of answers: `answer` (header and body with their bounds), `decode` (Content-Encoding),
`request_headers` (what is sent and trusted). `requests_connection` holds the guarded connections of the `requests`
engine.
"""

from __future__ import annotations

from crawler.errors import UsageError
from crawler.fetch.fetcher import Fetcher, FetcherOptions
from crawler.fetch.route import Route, RoutedFetcher

ENGINES = ("curl", "requests")
"""Names that `open_fetcher` knows; the first one is the default."""


def open_fetcher(name: str, options: FetcherOptions) -> Fetcher:
    """The engine *name*, imported only now. UsageError if there is no such engine or it cannot be loaded."""
    if name not in ENGINES:
        raise UsageError(f"no fetcher is called {name!r}: use {' or '.join(ENGINES)}")
    fetcher = _engine(name, options)
    return RoutedFetcher(fetcher, Route.parse(options.route)) if options.route else fetcher


def _engine(name: str, options: FetcherOptions) -> Fetcher:
    try:
        if name == "curl":
            from crawler.fetch.curl import CurlFetcher

            return CurlFetcher(options)
        from crawler.fetch.requests import RequestsFetcher

        return RequestsFetcher(options)
    except ImportError as error:
        raise UsageError(f"the fetcher {name!r} cannot be loaded ({error}): install it, or use another") from error
