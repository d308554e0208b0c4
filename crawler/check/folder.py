"""A folder of files as a site: served on loopback as a static host would, under the address that it will have.

As GitHub Pages and Netlify do: `index.html`, `/dir` redirects to `/dir/`, `/about` is `about.html`,
`404.html` is the body of a 404, types by ending, no lists of folders, names in the case in which they are written.
Links that lead out of the folder are not followed, nor are names that begin with a dot served (but `.well-known`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from crawler import url as urls
from crawler.check.redirect_rules import NO_RULES, RedirectRules
from crawler.errors import InvalidURL, UsageError

ORIGIN: Final = "http://folder.invalid"
"""The address of a folder without another: no resolver knows the name (RFC 6761 section 6.4)."""
MAX_FILES: Final = 1_000_000
INDEX: Final = "index.html"
NOT_FOUND: Final = "404.html"
_RULES: Final = "_redirects"
_MAX_RULES: Final = 1 << 20
"""Bytes of the file with redirects that are read."""
_MAX_LOOKED_AT: Final = 1 << 16
"""Bytes of a file that are searched for the address that it names."""
_CANONICAL: Final = re.compile(r"""<link\b[^>]*\brel=["']?canonical\b[^>]*>""", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://[^\s/?#\"'<>]+/?")
_SHOWN_DOTS: Final = frozenset({".well-known"})
_SAFE: Final = "/:@!$&'()*+,;=-._~"
"""Characters of a path that need no escape (RFC 3986 section 3.3)."""


@dataclass(frozen=True, slots=True)
class Served:
    """The answer for a path."""

    status: int
    file: str = ""
    """Its path in the folder; empty: there is none."""
    location: str = ""
    """Where a redirect leads."""


class Folder:
    """The files of a folder, as they were listed when it was opened."""

    def __init__(self, path: str, base: str = "") -> None:
        """*base* is the URL that the folder will have. UsageError if one of them cannot be used."""
        self.given = path
        self.root = Path(path).resolve()
        self.base = _base_of(base) if base else f"{ORIGIN}/"
        self._prefix = urlsplit(self.base).path
        try:
            self._files = dict(_listed(self.root))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
        self.rules = RedirectRules.parse(self._text(_RULES, _MAX_RULES)) if _RULES in self._files else NO_RULES

    @property
    def origin(self) -> str:
        """The origin of its URLs."""
        return self.base[: self.base.index("/", 8)]

    @property
    def host(self) -> str:
        """The host of its URLs, as `url.host` spells it."""
        return urls.host(self.base)

    @property
    def crawl(self) -> str:
        """The name of the crawl that checks it: the same for the same folder and address."""
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", self.root.name).strip("-")[:40] or "folder"
        where = f"{self.root}\n{self.base}".encode("utf-8", "surrogateescape")
        return f"check-{name}-{sha1(where, usedforsecurity=False).hexdigest()[:8]}"

    @property
    def seeds(self) -> list[str]:
        """The URLs that a check begins with: the start page, else each page of the top level. UsageError if none."""
        if INDEX in self._files:
            return [self.base]
        pages = sorted(name for name in self._files if name.endswith(".html") and "/" not in name and name != NOT_FOUND)
        if not pages:
            raise UsageError(
                f"{self.given}: has neither {INDEX} nor another page to begin with; name the site's folder"
            )
        return [self.base + quote(os.fsencode(name), _SAFE) for name in pages]

    @property
    def sitemaps(self) -> list[str]:
        """Its sitemap, if it has one in the usual place."""
        return [f"{self.base}sitemap.xml"] if "sitemap.xml" in self._files else []

    @property
    def named_address(self) -> str:
        """The address that its start page names as its own, else that its sitemap names; empty: none."""
        if found := _CANONICAL.search(self._text(INDEX, _MAX_LOOKED_AT)):
            address = _ADDRESS.search(found[0])
        else:
            address = _ADDRESS.search(self._text("sitemap.xml", _MAX_LOOKED_AT).partition("<loc>")[2])
        return address[0] if address else ""

    def path_of(self, name: str) -> Path:
        """The file of a name in the folder."""
        return self._files[name]

    def answer(self, target: str) -> Served:
        """What the host answers to a request for *target*: path and query."""
        path, mark, query = target.partition("?")
        name = os.fsdecode(unquote_to_bytes(path))
        if not name.startswith(self._prefix):
            return self._missing()
        name = name.removeprefix(self._prefix)
        forced = self.rules.of(f"/{name}", forced=True)
        return (
            (self._redirected(forced, path) if forced else None)
            or self._found(name, path + mark + query)
            or ((rule := self.rules.of(f"/{name}")) and self._redirected(rule, path))
            or self._missing()
        )

    def _found(self, name: str, target: str) -> Served | None:
        if name in self._files:
            return Served(200, name)
        if not name or name.endswith("/"):
            return Served(200, name + INDEX) if name + INDEX in self._files else None
        if f"{name}.html" in self._files:
            return Served(200, f"{name}.html")
        if f"{name}/{INDEX}" in self._files:
            path, mark, query = target.partition("?")
            return Served(301, location=f"{path}/{mark}{query}")
        return None

    def _redirected(self, rule: tuple[int, str], path: str) -> Served | None:
        """What a line of `_redirects` answers; None where it names a file that is not there."""
        status, to = rule
        if 300 <= status < 400:
            location = self._prefix.rstrip("/") + to if to.startswith("/") else to
            return None if location == path else Served(status, location=location)
        found = self._found(os.fsdecode(unquote_to_bytes(to.partition("?")[0])).lstrip("/"), to)
        return Served(status, found.file) if found is not None and found.file else None

    def _missing(self) -> Served:
        return Served(404, NOT_FOUND if NOT_FOUND in self._files else "")

    def file_of(self, url: str) -> str | None:
        """The path of the file that *url* shows, as the folder was given; None: it shows none."""
        if not url.startswith(f"{self.origin}/"):
            return None
        served = self.answer(url[len(self.origin) :].partition("#")[0])
        return str(PurePosixPath(self.given) / served.file) if served.status == 200 else None

    def short(self, url: str) -> str:
        """*url* for a report: as its path, if it is one of the folder that has no address."""
        return url[len(ORIGIN) :] if url.startswith(f"{ORIGIN}/") else url

    def _text(self, name: str, most: int) -> str:
        """The beginning of a file; empty where it is not there, or may not be read."""
        try:
            with self._files[name].open("rb") as file:
                return file.read(most).decode("utf-8", "replace")
        except (KeyError, OSError):
            return ""


def is_folder(source: str) -> bool:
    """Whether a SOURCE is a folder."""
    try:
        return "://" not in source and Path(source).is_dir()
    except (OSError, ValueError):  # too long for a name, or a NUL
        return False


def _base_of(text: str) -> str:
    """The URL of the future site, with a slash at its end."""
    try:
        url = urls.canonicalize(text)
    except InvalidURL:
        raise UsageError(f"--base {text}: a URL is needed, such as https://example.org/") from None
    if "?" in url:
        raise UsageError(f"--base {text}: a URL without a query is needed")
    return url if url.endswith("/") else f"{url}/"


def _listed(root: Path) -> Iterator[tuple[str, Path]]:
    """Path in the folder, and file, of all that may be served. UsageError where there is too much."""
    count = 0
    waiting: list[tuple[str, Path, frozenset[str]]] = [("", root, frozenset({str(root)}))]
    while waiting:
        prefix, folder, above = waiting.pop()
        for entry in _entries(folder):
            if entry.name.startswith(".") and entry.name not in _SHOWN_DOTS:
                continue
            path = Path(entry.path)
            if entry.is_symlink():
                path = path.resolve()
                if not path.is_relative_to(root):
                    continue
            if path.is_dir():
                if str(path) not in above:
                    waiting.append((f"{prefix}{entry.name}/", path, above | {str(path)}))
            elif path.is_file():
                count += 1
                if count > MAX_FILES:
                    raise UsageError(f"{root}: has more than {MAX_FILES:,} files: name a smaller folder")
                yield prefix + entry.name, path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)
