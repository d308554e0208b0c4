"""The table of settings: name, type, default, unit, help, kind.

The table is the fields of `Settings`. There are three kinds. *Fixed*: set when a crawl is created. *Changeable*: by
`crawler set`, or by naming them again. *Process*: never stored in Redis, because they name this machine's resources, or
may contain secrets or code. Components get plain values, never this object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, Final, cast, get_type_hints

import msgspec

from crawler import headers
from crawler import url as urls
from crawler.checked_page import OF_PAGES
from crawler.errors import DamagedCrawl, UsageError
from crawler.record import CONTENTS
from crawler.rule_names import MAX_RULE_SET, rule_names
from crawler.text import did_you_mean, option_name
from crawler.units import (
    at_most,
    count,
    duration,
    factor,
    flag,
    lasting,
    optional,
    positive,
    shown_size,
    shown_time,
    size,
)

VERSION: Final = "0.1.0"
DEFAULT_AGENT: Final = f"crawler/{VERSION} (+https://crawler.example/bot)"
ENV_PREFIX: Final = "CRAWLER_"
FILE: Final = "crawler.toml"
CHECK_PATIENCE: Final = 30.0
"""Seconds for which a host may fail in a check, unless host_patience says otherwise."""

MAX_SHARDS: Final = 256
MAX_RETRIES: Final = 14
"""Attempts are stored in half a byte."""
MAX_TEXT: Final = 16 << 20
"""Characters of one page's text."""
MAX_HOOK_NAME: Final = 200
"""Characters."""


class Kind(StrEnum):
    """When a setting may change."""

    FIXED = "fixed"
    CHANGEABLE = "changeable"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Meta:
    """What the table has for one setting besides its name and default."""

    parse: Callable[[str], Any]
    kind: Kind
    help: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    many: bool = False
    """It takes several values; one text may hold several of its `choices`, with commas."""
    switch: bool = False
    secret: bool = False
    of_check: bool = False
    """No command but `crawler check` has it as an option."""


def lease_seconds(text: str) -> float:
    """A lease term: long enough that a healthy worker extends it several times."""
    value = duration(text)
    if value < 3:
        raise ValueError("at least 3s")
    return value


def header(text: str) -> str:
    """`Name: value` or `HOST: Name: value`, without line ends (see `headers`)."""
    return str(headers.parse(text))


def agent(text: str) -> str:
    """A User-Agent line (RFC 9110 section 10.1.5)."""
    if not text.strip() or re.search(r"[^\x20-\x7e]", text):
        raise ValueError("one line of ASCII such as 'mybot/1.0 (+https://example.org/bot)' is needed")
    return text.strip()


def name(text: str) -> str:
    """A crawl's name, which becomes part of its keys."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise ValueError("1 to 64 letters, digits, - or _ are needed")
    return text


def _setting(default: Any, parse: Callable[[str], Any], kind: Kind, help: str, **more: Any) -> Any:
    parse = flag if more.get("switch") else parse
    return field(default=default, metadata={"meta": Meta(parse, kind, help, **more)})


_F, _C, _P = Kind.FIXED, Kind.CHANGEABLE, Kind.PROCESS


@dataclass(frozen=True)
class Settings:
    """The table. Times are in seconds, sizes in bytes, None is "no limit"."""

    scope: str = _setting("site", str, _F, "which links belong to the crawl", choices=("host", "site", "prefix", "all"))
    store: tuple[str, ...] = _setting(
        ("text",), str, _F, "what to store of a page: one or more, with commas", choices=("meta", *CONTENTS), many=True
    )
    extract: str = _setting(
        "fast", str, _C, "who finds the main content; `article`: trafilatura, for news", choices=("fast", "article")
    )
    shards: int = _setting(
        1,
        at_most(positive, MAX_SHARDS),
        _F,
        "parts of the frontier; each may live on another node of a cluster",
        unit="N",
    )
    strip_tracking: bool = _setting(False, str, _F, "remove utm_*, gclid, fbclid, ... from URLs", switch=True)
    strip_sessions: bool = _setting(False, str, _F, "remove session ids (jsessionid, ...) from URLs", switch=True)
    sort_query: bool = _setting(False, str, _F, "sort the parameters of a query", switch=True)
    one_scheme: bool = _setting(False, str, _F, "treat http and https of one address as one page", switch=True)
    check: bool = _setting(
        False, str, _F, "check links, as `crawler check` does: targets are asked for", switch=True, of_check=True
    )

    delay: float = _setting(1.0, duration, _C, "minimum time between two requests to one host", unit="TIME")
    per_host: int = _setting(1, positive, _C, "concurrent requests to one host", unit="N")
    per_ip: int | None = _setting(
        None, optional(positive), _C, "concurrent requests to all hosts of one IP address", unit="N"
    )
    adaptive: float = _setting(1.0, factor, _C, "a slow host rests this many times its latency; 0: off", unit="FACTOR")
    include: tuple[str, ...] = _setting((), str, _C, "follow only links that match one", unit="REGEX", many=True)
    exclude: tuple[str, ...] = _setting((), str, _C, "follow no links that match one", unit="REGEX", many=True)
    max_depth: int | None = _setting(250, optional(count), _C, "most links between a seed and a page", unit="N")
    max_pages: int | None = _setting(None, optional(positive), _C, "most pages fetched, in each visit", unit="N")
    max_pages_per_host: int | None = _setting(None, optional(positive), _C, "most URLs per host", unit="N")
    max_pages_per_site: int | None = _setting(None, optional(positive), _C, "most URLs per site", unit="N")
    max_hosts_per_site: int | None = _setting(1000, optional(positive), _C, "most hosts per site", unit="N")
    max_time: float | None = _setting(None, optional(duration), _C, "stop after this long", unit="TIME")
    user_agent: str = _setting(DEFAULT_AGENT, agent, _C, "User-Agent; add a way to reach you", unit="TEXT")
    ignore_robots: bool = _setting(False, str, _C, "do not request robots.txt (only with permission)", switch=True)
    ignore_noindex: bool = _setting(False, str, _C, "store pages that ask not to be stored", switch=True)
    ignore_nofollow: bool = _setting(False, str, _C, "follow links that ask not to be followed", switch=True)
    canonical: str = _setting(
        "follow",
        str,
        _C,
        "rel=canonical is followed as a link, ignored, or makes the page its duplicate",
        choices=("follow", "ignore", "obey"),
    )
    ignore_sitemaps: bool = _setting(False, str, _C, "do not read the sitemaps that robots.txt names", switch=True)
    sitemap_only: bool = _setting(False, str, _C, "follow only sitemaps, no links of pages", switch=True)
    follow_duplicates: bool = _setting(False, str, _C, "follow links of pages with content seen before", switch=True)
    near_duplicates: bool = _setting(False, str, _C, "find near duplicates by all text if no main is kept", switch=True)
    ignore_traps: bool = _setting(False, str, _C, "follow what looks like a trap, quarantine nothing", switch=True)
    interval: float = _setting(
        7 * 86_400.0,
        lasting,
        _C,
        "when a page is due again: halved if it changed, 1.5 times as long if not",
        unit="TIME",
    )
    min_interval: float = _setting(3_600.0, lasting, _C, "shortest time until a page is due again", unit="TIME")
    max_interval: float = _setting(90 * 86_400.0, lasting, _C, "longest time until a page is due again", unit="TIME")
    timeout: float = _setting(30.0, lasting, _C, "limit for a whole fetch, from start to last byte", unit="TIME")
    page_timeout: float = _setting(30.0, lasting, _C, "limit for parsing one page, hook included", unit="TIME")
    lease_term: float = _setting(90.0, lease_seconds, _C, "when a silent worker's URLs are queued again", unit="TIME")
    retries: int = _setting(2, at_most(count, MAX_RETRIES), _C, "retries after a temporary error", unit="N")
    host_patience: float = _setting(600.0, duration, _C, "how long a host may fail; 0: without limit", unit="TIME")
    max_size: int = _setting(10 << 20, size, _C, "limit of a decoded body; more is cut", unit="SIZE")
    max_links: int = _setting(6_000, count, _C, "most links followed on one page", unit="N")
    max_text: int = _setting(1 << 20, at_most(size, MAX_TEXT), _C, "limit of a page's text; more is cut", unit="SIZE")
    hook_on: str = _setting(
        "pages",
        str,
        _C,
        "call the hook for pages of text with status 2xx, or for all answers but redirects; then all bodies are read",
        choices=("pages", "all"),
    )
    parse_all: bool = _setting(
        False, str, _C, "with --store meta: parse each page whole, so that its links are counted", switch=True
    )
    places: tuple[str, ...] = _setting(
        tuple(place for place in OF_PAGES if place not in ("ping", "cite", "lazy", "other")),
        str,
        _C,
        "with `crawler check`: which places of a page name what is checked",
        choices=(*OF_PAGES, "all"),
        many=True,
        of_check=True,
    )
    no_external: bool = _setting(
        False, str, _C, "with `crawler check`: ask for nothing out of scope", switch=True, of_check=True
    )
    allow_private: bool = _setting(False, str, _C, "let links lead to loopback and private addresses", switch=True)
    insecure: bool = _setting(False, str, _C, "accept any TLS certificate, key, cipher, version", switch=True)

    redis: str | None = _setting(
        None, optional(str), _P, "a shared Redis; without it: an embedded one", unit="URL", secret=True
    )
    wait: bool = _setting(False, str, _P, "wait for a Redis that cannot be reached yet", switch=True)
    crawl: str = _setting("default", name, _P, "the crawl's name on its Redis", unit="NAME")
    folder: str = _setting(".crawler", str, _P, "folder of the embedded Redis", unit="DIR")
    workers: int | None = _setting(
        None, optional(positive), _P, "worker processes (default: one per usable CPU)", unit="N"
    )
    concurrency: int = _setting(64, positive, _P, "concurrent requests per worker", unit="N")
    cache_size: int = _setting(64 << 20, size, _P, "approximate memory of each worker's caches", unit="SIZE")
    fetcher: str = _setting("curl", str, _P, "the HTTP engine", choices=("curl", "requests"))
    header: tuple[str, ...] = _setting(
        (),
        header,
        _P,
        "'Name: value' goes to the origins given as SOURCE or URL, 'HOST: Name: value' only to HOST;"
        " Accept-Language, From and similar go to all hosts",
        unit="LINE",
        many=True,
        secret=True,
    )
    proxy: str | None = _setting(None, optional(urls.proxy), _P, "fetch through this proxy", unit="URL", secret=True)
    trust_env: bool = _setting(False, str, _P, "use HTTP_PROXY and ~/.netrc", switch=True)
    hook: str | None = _setting(None, optional(str), _P, "function to call with each page", unit="MODULE:FUNCTION")
    rules: str | None = _setting(
        None, optional(str), _P, "file of extraction rules, which is stored with the crawl", unit="FILE"
    )
    no_hook: bool = _setting(False, str, _P, "work without a hook, also where the crawl has one", switch=True)
    plain: bool = _setting(
        False, str, _P, "plain lines instead of the live screen: for screen readers and slow terminals", switch=True
    )
    log_file: str | None = _setting(None, optional(str), _P, "append a log as JSON lines", unit="FILE")
    verbose: bool = _setting(False, str, _P, "the same to stderr, for people", switch=True)
    publish_urls: bool = _setting(False, str, _P, "`crawler events` shows each URL that ends, too", switch=True)
    webhook: str | None = _setting(None, optional(urls.webhook), _P, "post events there", unit="URL", secret=True)

    hook_name: str = ""
    """The name of the crawl's hook (see `hook.hook_name`): no option. The first command with a hook stores it."""
    rule_set: str = ""
    """The crawl's extraction rules: the text of the file that --rules names."""
    route: str = ""
    """Where this machine serves the crawl's site (see `fetch.route`): no option, and not stored."""

    def encode(self) -> bytes:
        """The stored kinds as JSON: the content of `meta` in Redis."""
        return msgspec.json.encode({n: getattr(self, n) for n in stored_names()})

    def with_stored(self, raw: bytes) -> Settings:
        """These settings with the stored kinds taken from *raw*; names unknown to this version are ignored.

        Raises DamagedCrawl for a value that no version stores.
        """
        name = ""
        try:
            values = msgspec.json.decode(raw, type=dict[str, Any])
            known = {}
            for name in stored_names() & values.keys():
                value = values[name]
                if name == "store" and isinstance(value, str):  # as the last release stored it
                    value = (value,)
                known[name] = msgspec.convert(value, _types()[name])
                _check_stored(name, known[name])
        except (msgspec.DecodeError, RecursionError, UsageError) as error:
            if isinstance(error, UsageError):
                name = ""  # the message names it
            where = f"{option_name(name)}: " if name else ""
            raise DamagedCrawl(
                f"the settings stored in the `meta` of crawl {self.crawl!r} cannot be used: {where}{error};"
                " a foreign client wrote there: `crawler delete` deletes the crawl"
            ) from None
        return replace(self, **known)


TABLE: Final[dict[str, Meta]] = {f.name: cast(Meta, f.metadata["meta"]) for f in fields(Settings) if f.metadata}


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(Settings)


def _check_stored(setting: str, value: Any) -> None:
    """Raise UsageError for a stored value that no command accepts: bounds are those of the command line."""
    if setting == "hook_name":
        if len(value) > MAX_HOOK_NAME or not value.isprintable():
            raise UsageError("hook-name: it is none")
        return
    if setting == "rule_set":  # whoever applies the rules checks them
        if len(value) > MAX_RULE_SET:
            raise UsageError("rule-set: it is too long")
        return
    for item in value if isinstance(value, tuple) else (value,):
        if item is not None and not isinstance(item, bool):
            parse(setting, format(Decimal(item), "f") if isinstance(item, int | float) else item)


def stored_names() -> frozenset[str]:
    """Names of the settings that belong to the crawl, not to a process."""
    return frozenset(n for n, meta in TABLE.items() if meta.kind is not Kind.PROCESS) | {"hook_name", "rule_set"}


def parse(setting: str, text: str) -> Any:
    """*text* as a value of *setting* (one item, if it takes several); UsageError says what is wrong."""
    meta = TABLE[setting]
    if meta.choices and text not in meta.choices:
        raise UsageError(f"{option_name(setting)}: {text!r} is not one of {', '.join(meta.choices)}")
    try:
        return meta.parse(text)
    except ValueError as error:
        shown = "the value" if meta.secret else repr(text if len(text) <= 80 else f"{text[:80]}...")
        raise UsageError(f"{option_name(setting)}: {shown} cannot be used: {error}") from None


def parse_values(setting: str, texts: Iterable[str]) -> tuple[Any, ...]:
    """*texts* as the value of a *setting* that takes several; UsageError says what is wrong."""
    choices = TABLE[setting].choices
    if not choices:
        return tuple(parse(setting, text) for text in texts)
    named = {parse(setting, item.strip()) for text in texts for item in text.split(",")}
    named |= {"main"} if "diff" in named else set()  # what the next visit is compared with
    found = [choice for choice in choices if choice in named]
    if not found:
        raise UsageError(f"{option_name(setting)}: name at least one of {', '.join(choices)}")
    return tuple(found[1:] if found[0] == "meta" and len(found) > 1 else found)  # `meta` is stored in any case


def stored_key(name: str) -> str:
    """The key of a setting of the crawl that `crawler set` names; UsageError, with a guess, if there is none."""
    key = name.removeprefix("--").replace("-", "_")
    if key in stored_names():
        return key
    shown = repr(name if len(name) <= 80 else f"{name[:80]}...")
    if key in TABLE:
        raise UsageError(f"{shown} belongs to a command, not to the crawl: give it as --{option_name(key)}")
    known = [option_name(key) for key in TABLE if key in stored_names()]
    raise UsageError(f"{shown} is no setting of a crawl: {did_you_mean(name, known, '`crawler set` shows all')}")


def parse_change(key: str, values: tuple[str, ...]) -> Any:
    """The value that `crawler set` gives to a setting; UsageError if that setting cannot change."""
    key = stored_key(key)
    name = option_name(key)
    if TABLE[key].kind is Kind.FIXED:
        raise UsageError(
            f"{name} was fixed when the crawl was created; start over with `crawler run --fresh --{name} ...`"
        )
    if not values or (len(values) > 1 and not TABLE[key].many):
        raise UsageError(f"{name} takes {'values' if TABLE[key].many else 'one value'}: crawler set {name} VALUE")
    if TABLE[key].many:
        return () if values in (("none",), ("",)) else parse_values(key, values)
    return parse(key, values[0])


def coerce(setting: str, value: Any) -> Any:
    """A Python *value* as one of *setting*: `10` or `"10m"` for a time, a list for those that take several."""
    if setting not in TABLE:
        guessed = did_you_mean(setting, TABLE, "docs/settings.md lists them")
        raise UsageError(f"{setting!r} is no setting: {guessed}")
    meta = TABLE[setting]
    if meta.many:
        items = [value] if isinstance(value, str) else value or ()
        return parse_values(setting, map(str, items))
    if value is None:
        return parse(setting, "none")
    return parse(setting, ("yes" if value else "no") if isinstance(value, bool) else str(value))


def format_value(setting: str, value: Any) -> str:
    """A value as a person writes it; secrets are not shown. *setting* is one of TABLE or `stored_names`."""
    if setting == "hook_name":
        return value or "none"
    if setting == "rule_set":
        return ", ".join(rule_names(value)) or "none"
    meta = TABLE[setting]
    if meta.secret and value:
        return "(set)"
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ("," if meta.choices else ", ").join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if meta.unit == "TIME":
        return shown_time(value)
    if meta.unit == "FACTOR":
        return f"{value:g}"
    return shown_size(value) if meta.unit == "SIZE" else str(value)
