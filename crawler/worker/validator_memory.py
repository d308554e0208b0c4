"""Which hosts give validators that do not tell versions apart. Bounded in memory.

Some servers give one ETag to every page, or keep the validators of a page that has changed. They answer 304 although
the page is another one. Their validators are neither sent nor stored. That two pages have one ETag is no proof: nginx
makes it of date and size, and the files of a site often have one date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from crawler.frontier.messages import Commit, Lease
from crawler.policy.validators import conditions_of
from crawler.url_state import UrlState

MAX_TAGS: Final = 32_768
"""ETags that are remembered, some 200 bytes each; then the oldest ones are forgotten."""
MAX_HOSTS: Final = 10_000


@dataclass(slots=True)
class _Tag:
    """What is known of one ETag of one host."""

    digest: int
    url_id: str
    contents: int = 1
    """How often it stood for another content than the time before."""


class ValidatorMemory:
    """Compares the validators and contents that pass through one worker: of states, and of new answers."""

    def __init__(self) -> None:
        self._tags: dict[int, _Tag] = {}
        """By the hash of host and ETag."""
        self._seen: dict[str, int] = {}
        """How many states with an ETag were seen of each host."""
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
        """Remember what an ETag stands for. If one stands for half of what was seen of a host, it is a constant.

        A third page has to confirm it, unless these are the first two.
        """
        if not state.etag or not state.digest or host in self._broken:
            return
        seen = self._seen.pop(host, 0) + 1
        key = hash((host, state.etag))
        tag = self._tags.pop(key, None) or _Tag(state.digest, url_id)
        if tag.digest != state.digest and tag.url_id != url_id:
            tag.contents += 1
        tag.digest, tag.url_id = state.digest, url_id
        self._seen[host], self._tags[key] = seen, tag
        if seen > 1 and tag.contents >= min(seen, 3) and 2 * tag.contents >= seen:
            self._distrust(host)
        _bound(self._tags, MAX_TAGS)
        _bound(self._seen, MAX_HOSTS)

    def _distrust(self, host: str) -> None:
        self._broken[host] = None
        _bound(self._broken, MAX_HOSTS)


def _bound(known: dict[Any, Any], most: int) -> None:
    """Forget the oldest one if there are more than *most*."""
    if len(known) > most:
        del known[next(iter(known))]


def _contradicts(before: UrlState, state: UrlState) -> bool:
    """Whether a page has changed under the validators that it had.

    A weak ETag may stay if the change does not matter (RFC 9110 section 8.8.1), a date if the main text is the same.
    """
    if before.digest in (0, state.digest) or not state.digest or state.etag != before.etag:
        return False
    if state.etag is not None:
        return not state.etag.startswith("W/")
    is_dated = state.last_modified is not None and state.last_modified == before.last_modified
    is_same = state.text_digest is not None and state.text_digest == before.text_digest
    return is_dated and not (is_same and state.text_method == before.text_method)
