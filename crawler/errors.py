"""The errors of this package, as one tree. Each message is one line and says what to do next.

CrawlerError
├── UsageError            a flag, file, setting or URL that cannot be used as given
│   ├── InvalidURL        not a URL that this crawler can fetch; carries the counted reason
│   └── FixedSetting      a setting that is fixed at creation was named with another value
├── RedisUnavailable      Redis cannot be reached, or refuses us
│   ├── RedisAway         it is away for now (restart, time-out, loading, fail-over): worth another try
│   └── EmbeddedRedisError  the Redis that we start ourselves cannot be started
├── FrontierError         a frontier script refused
│   ├── NoCrawl           the crawl is gone, or another one has its name
│   ├── UnreadableRecord  a stored record is none: damaged, or made by another version
│   ├── DamagedCrawl      its keys are not what this version writes: damaged, or made by another version
│   ├── CrawlExists       `create` of a name that is taken
│   ├── CrawlDeleting     the crawl is being deleted
│   ├── OutOfMemory       Redis is full: nothing new is accepted until there is room
│   └── LeaseLost         the lease ended and may belong to another worker: drop the work
├── HookError             a user's hook cannot be loaded, or is not that of the crawl
├── HookFailed            a user's hook failed whenever it was called
├── OutputError           an output that was opened cannot be written
├── NoNetwork             no worker can resolve or connect, and that for too long
└── NothingFetched        the crawl ended and not one page was fetched
"""

from __future__ import annotations

import re
from typing import Any, Final

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[/\\]+")
_ADDRESS: Final = re.compile(r"(?:mailto|sips?|xmpp|acct):(?!/)", re.IGNORECASE)
"""Schemes whose `@` follows a name, never a password."""
_SHOWN: Final = 200
"""How many characters of a URL a message shows."""


def without_credentials(url: str) -> str:
    """*url*, valid or not, without a name and a password before its host: for records and messages.

    Stars replace everything between the scheme and the last `@`. A password may contain unescaped `/`, `?`, `#` or `@`,
    so its end is unknown. For the same reason a path with an `@` is hidden too.
    """
    before, at, host = url.rpartition("@")
    if not at or _ADDRESS.match(url):
        return url
    scheme = _SCHEME.match(before)
    return f"{scheme[0] if scheme else ''}***@{host}"


def to_install(extra: str) -> str:
    """How to install an *extra* of this package, for the end of a message."""
    return f"install the extra {extra}: pip install 'crawler[{extra}]' (in a checkout: pip install '.[{extra}]')"


def named(words: str) -> CrawlerError:
    """The error that *words* describe: the name of its class and its message, as written by another process."""
    name, _, message = words.partition(" ")
    found: Any = globals().get(name)
    if isinstance(found, type) and issubclass(found, CrawlerError) and found is not InvalidURL:
        return found(message)
    return CrawlerError(message or name)


class CrawlerError(Exception):
    """Anything this package raises on purpose; `exit_code` is the command's exit code."""

    exit_code = 2


class UsageError(CrawlerError):
    """The user gave something that cannot be used; the message says what, and how to fix it."""


class InvalidURL(UsageError):
    """A URL that cannot be crawled; `reason` is one of the counted words in `url.REFUSALS`, *meaning* explains it."""

    def __init__(self, url: str, reason: str, meaning: str = "") -> None:
        url = without_credentials(url)
        url = url if len(url) <= _SHOWN else f"{url[:_SHOWN]}..."
        super().__init__(f"{url!r} is not a URL to crawl: {f'{meaning} ({reason})' if meaning else reason}")
        self.url = url
        self.reason = reason


class FixedSetting(UsageError):
    """A setting that is fixed when a crawl is created was named again with another value."""


class RedisUnavailable(CrawlerError):
    """Redis cannot be reached, is not ready, or refuses this client."""

    exit_code = 3


class RedisAway(RedisUnavailable):
    """Redis is away for now: restarting, loading, busy, failing over. The same call may be sent again.

    *why* is one word for the kind of trouble; lasting trouble is reported once for each kind.
    """

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why


class EmbeddedRedisError(RedisUnavailable):
    """The embedded Redis cannot be found, started or shared."""


class FrontierError(CrawlerError):
    """A script of the frontier refused; nothing was written."""


class NoCrawl(FrontierError):
    """The crawl does not exist (any more), or another crawl now has its name."""


class UnreadableRecord(FrontierError):
    """A stored record cannot be read. `cursor` is its place in the order of commits; others follow it."""

    def __init__(self, message: str, cursor: str = "") -> None:
        super().__init__(message)
        self.cursor = cursor


class DamagedCrawl(FrontierError):
    """The crawl's keys are not what this version writes: another version or a foreign client wrote them."""


class CrawlExists(FrontierError):
    """A crawl of this name exists already."""


class CrawlDeleting(FrontierError):
    """The crawl is being deleted and accepts nothing."""


class OutOfMemory(FrontierError):
    """Redis is at maxmemory: pages in flight can end, nothing new is accepted."""


class LeaseLost(FrontierError):
    """The lease is no longer ours: its URL is queued again or belongs to another worker."""


class HookError(UsageError):
    """The hook given by `module:function` cannot be imported or called, or is not the one of the crawl."""


class HookFailed(CrawlerError):
    """The hook failed whenever it was called."""

    exit_code = 1


class OutputError(CrawlerError):
    """An output that was opened cannot be written: the disk is full, for example."""

    exit_code = 5


class NothingFetched(CrawlerError):
    """The crawl is over and not a single page was fetched."""

    exit_code = 4


class NoNetwork(CrawlerError):
    """No worker of the crawl could resolve or connect for longer than a host's patience; its URLs stay queued."""

    exit_code = 4
