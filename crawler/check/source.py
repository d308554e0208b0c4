"""What a check is of: URLs, or one folder of files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha1
from pathlib import Path
from typing import Final

from crawler import url as urls
from crawler.check.folder import Folder, is_folder
from crawler.check.folder_server import FolderServer
from crawler.config import Loaded
from crawler.crawl.hosts import set_for
from crawler.crawl.purpose import Purpose
from crawler.crawl.seed_list import URL_MARK
from crawler.crawl.seeds import check_sources
from crawler.errors import UsageError
from crawler.frontier.frontier import Frontier
from crawler.settings import CHECK_PATIENCE

_MAX_NAME: Final = 64
_AT_ONCE: Final = 8
"""Requests to a folder at once."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a command checks; without URLs and folder: what an earlier one checked."""

    urls: Sequence[str] = ()
    sitemaps: Sequence[str] = ()
    folder: Folder | None = None

    @classmethod
    def of(cls, given: Sequence[str], sitemaps: Sequence[str] = (), base: str = "") -> Source:
        """What the SOURCEs of a command name. UsageError for what cannot be checked."""
        folders = [source for source in given if is_folder(source)]
        if base and not folders:
            raise UsageError("--base is the address that a folder will have: name the folder as SOURCE")
        if folders:
            if len(given) > 1:
                raise UsageError(f"{folders[0]} is a folder: check it by itself, and the others in checks of their own")
            folder = Folder(folders[0], base)
            return cls(folder.seeds, [*folder.sitemaps, *sitemaps], folder)
        for source in given:
            if source == "-" or (URL_MARK not in source and Path(source).is_file()):
                raise UsageError(f"{source}: name a URL, or the folder of a site: `crawler run` takes files of URLs")
        check_sources(given, sitemaps)
        return cls(given, sitemaps)

    @property
    def crawl(self) -> str:
        """The name of the crawl that checks it: the same for the same host or folder."""
        if self.folder is not None:
            return self.folder.crawl
        host = urls.host(urls.canonicalize((*self.urls, *self.sitemaps)[0].strip()))
        name = "check-" + re.sub(r"[^A-Za-z0-9_-]", "-", host)
        if len(name) <= _MAX_NAME:
            return name
        return f"{name[: _MAX_NAME - 9]}-{sha1(host.encode(), usedforsecurity=False).hexdigest()[:8]}"

    @property
    def shown(self) -> str:
        """What a report calls it."""
        if self.folder is not None:
            return self.folder.given
        return " ".join(self.urls) or " ".join(self.sitemaps)

    def purpose(self, *, add: bool) -> Purpose:
        """What is put into the crawl. A folder has a crawl of its own, so nothing of it is foreign."""
        return Purpose(tuple(self.urls), tuple(self.sitemaps), add or self.folder is not None)

    def settings_of(self, loaded: Loaded) -> Loaded:
        """The settings of the check: those of the command, and where it names none, those that fit."""
        settings, named = loaded.settings, loaded.named
        settings = replace(settings, check=True)
        if "crawl" not in named and (self.urls or self.sitemaps):
            settings = replace(settings, crawl=self.crawl)
        if "host_patience" not in named:
            settings = replace(settings, host_patience=CHECK_PATIENCE)
        if "store" not in named:  # a report needs no texts
            settings = replace(settings, store=("meta",))
        if self.folder is not None and "scope" not in named:
            settings = replace(settings, scope="host")
        return replace(loaded, settings=settings)

    @contextmanager
    def served(self, loaded: Loaded) -> Iterator[Loaded]:
        """Serve the folder, if it is one, inside the `with`; the settings of the workers that are to ask for it."""
        if self.folder is None:
            yield loaded
            return
        if loaded.settings.proxy is not None:
            raise UsageError("a folder cannot be checked through a --proxy: leave it out, and name --no-external")
        try:
            server = FolderServer(self.folder)
        except OSError as error:
            raise UsageError(f"the folder cannot be served on 127.0.0.1: {error.strerror}") from None
        with server:
            yield replace(loaded, settings=replace(loaded.settings, route=str(server.route)))

    def unhurried(self, frontier: Frontier) -> None:
        """A folder is asked without delay: the politeness of the crawl is for the hosts that it links to."""
        if self.folder is not None:
            set_for(frontier, "delay", 0.0, [self.folder.host])
            set_for(frontier, "per_host", _AT_ONCE, [self.folder.host])
