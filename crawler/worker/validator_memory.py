"""Which hosts give validators that do not tell versions apart: one ETag for several contents. Bounded in memory.

Some servers make ETags of a constant, or of nothing but the size and a fixed date. They answer 304 although the page
has changed. Their validators are neither sent nor stored.
"""

from __future__ import annotations

from typing import Final

import msgspec

from crawler.frontier.messages import Commit, Lease
from crawler.policy.validators import conditions_of
from crawler.url_state import UrlState

MAX_TAGS: Final = 32_768
"""ETags that are remembered, some 200 bytes each; then the oldest ones are forgotten."""
MAX_HOSTS: Final = 10_000


class ValidatorMemory:
    """Compares the validators and contents that pass through one worker: of states, and of new answers."""

    def __init__(self) -> None:
        self._tags: dict[int, tuple[int, str]] = {}
        """Hash of host and ETag -> digest of the content, and id of the URL."""
        self._broken: dict[str, None] = {}

    def conditions(self, lease: Lease, url_id: str, before: UrlState | None) -> tuple[tuple[str, str], ...]:
        """The conditions of a visit (see `conditions_of`); none if the validators of its host are broken."""
        if lease.no_validators:
            self._distrust(lease.host)
        if before is None:
            return ()
        self._note(lease.host, url_id, before)
        return () if lease.host in self._broken else conditions_of(before, url_id)

    def judged(self, commit: Commit) -> Commit:
        """The *commit* of a visit; without validators, and with word of it, if those of its host are broken."""
        host, before, state = commit.lease.host, commit.before, commit.state
        if before is not None and _contradicts(before, state):
            self._distrust(host)
        self._note(host, commit.id, state)
        if host not in self._broken:
            return commit
        state = msgspec.structs.replace(state, etag=None, last_modified=None)
        return msgspec.structs.replace(commit, state=state, no_validators=not commit.lease.no_validators)

    def _note(self, host: str, url_id: str, state: UrlState) -> None:
        """Remember what an ETag stands for. Another content of the same URL is no contradiction if it is weak: then the
        server says that the difference does not matter (RFC 9110 section 8.8.1).
        """
        if not state.etag or not state.digest or host in self._broken:
            return
        key = hash((host, state.etag))
        digest, of = self._tags.pop(key, (state.digest, url_id))
        if digest != state.digest and (of != url_id or not state.etag.startswith("W/")):
            self._distrust(host)
            return
        self._tags[key] = state.digest, url_id
        if len(self._tags) > MAX_TAGS:
            del self._tags[next(iter(self._tags))]

    def _distrust(self, host: str) -> None:
        self._broken[host] = None
        if len(self._broken) > MAX_HOSTS:
            del self._broken[next(iter(self._broken))]


def _contradicts(before: UrlState, state: UrlState) -> bool:
    """Whether a page has changed under the Last-Modified that it had, and has no ETag that says so."""
    if before.digest in (0, state.digest) or state.last_modified is None:
        return False
    return before.last_modified == state.last_modified and before.etag == state.etag
