"""Fetchers: one interface (`fetcher`), two engines (`curl`, `requests`), one guard of addresses (`guard`).

Both engines share the reading of answers: `answer` (header and body with their bounds), `decode` (Content-Encoding),
`request_headers` (what is sent and trusted). `requests_connection` holds the guarded connections of the `requests`
engine.
"""

from __future__ import annotations

from collections.abc import Callable

from crawler.errors import UsageError
from crawler.fetch.fetcher import Fetcher, FetcherOptions
from crawler.fetch.route import Route, RoutedFetcher

ENGINES = ("curl", "requests")
"""Names that `open_fetcher` knows; the first one is the default."""


def open_fetcher(name: str, options: FetcherOptions) -> Fetcher:
    """The engine *name*, imported only now. UsageError if there is no such engine or it cannot be loaded."""
    fetcher = load_fetcher(name)(options)
    return RoutedFetcher(fetcher, Route.parse(options.route)) if options.route else fetcher


def load_fetcher(name: str) -> Callable[[FetcherOptions], Fetcher]:
    """Import the engine *name*. UsageError as for `open_fetcher`."""
    if name not in ENGINES:
        raise UsageError(f"no fetcher is called {name!r}: use {' or '.join(ENGINES)}")
    try:
        if name == "curl":
            from crawler.fetch.curl import CurlFetcher

            return CurlFetcher
        from crawler.fetch.requests import RequestsFetcher

        return RequestsFetcher
    except ImportError as error:
        raise UsageError(f"the fetcher {name!r} cannot be loaded ({error}): install it, or use another") from error
