"""Findings about what pages name: what is broken, redirects, may not be asked for, or asks not to be indexed."""

from __future__ import annotations

from typing import Final, NamedTuple

from crawler import url as urls
from crawler.check.answers import Answer, Answers
from crawler.check.drafts import Drafts
from crawler.check.facts import NAME_BITS, Facts
from crawler.check.links import Wanted
from crawler.check.names import Names
from crawler.check.places import Places, Room
from crawler.check.verdicts import Verdict
from crawler.policy.redirect_chains import Hop, chain_findings
from crawler.policy.target_answers import Judgement

_OF_REDIRECTS: Final = ("redirect-chain", "redirect-permanent")
_LOW: Final = (1 << NAME_BITS) - 1
_NOINDEX: Final = "it asks not to be indexed"


class Trouble(NamedTuple):
    """What is wrong with a target."""

    code: str
    cause: str
    target: str
    """Of the finding: its URL, or the origin whose certificate is not valid."""


class Judge:
    """What is wrong with a target, by what it answered and where it redirects to."""

    def __init__(self, answers: Answers, own_sites: frozenset[str]) -> None:
        """*own_sites*: the sites that are checked."""
        self._answers, self._own_sites = answers, own_sites
        self._known: dict[int, Trouble | None] = {}

    def trouble(self, target: int) -> Trouble | None:
        """Of the target with this id; None if it is well, or not known."""
        if target not in self._answers.by_id:
            return None
        if target not in self._known:
            self._known[target] = self._of(target)
        return self._known[target]

    def redirects_to(self, target: int) -> str | None:
        """The URL that *target* ends at, if it redirects and that is known."""
        way = self._answers.chain(target)[0]
        return self._answers.url(way[-1]) if len(way) > 1 else None

    def _of(self, target: int) -> Trouble | None:
        way, _ = self._answers.chain(target)
        hops: list[Hop] = []
        for one in way:
            answer = self._answers.by_id.get(one)
            hops.append((self._answers.url(one) or "another URL", 0 if answer is None else answer.status))
            if answer is None or hops[-1][0] in [url for url, _ in hops[:-1]]:
                break
            verdict, cause = answer.verdict(self._answers.url(answer.target or 0) or "")
            if verdict != "good":
                return self._of_answer(answer, verdict, cause, hops)
        if error := self._error_of(way):
            return Trouble("broken", error, hops[0][0])
        return _of_chain(hops, Judgement("good"))

    def _error_of(self, way: list[int]) -> str:
        """Why the last redirect was not followed."""
        known = [answer for one in way if (answer := self._answers.by_id.get(one)) is not None]
        is_followed = known[-1].redirects and self._answers.has_ended(way[-1])
        return "" if is_followed else known[-1].error

    def _of_answer(self, answer: Answer, verdict: Verdict, cause: str, hops: list[Hop]) -> Trouble | None:
        """Of the first answer on the way of redirects that is not good."""
        match verdict:
            case "certificate":
                host, scheme, _ = urls.split(answer.url)
                return Trouble("certificate", cause, f"{urls.origin(host, scheme)}/")
            case "loop":
                return Trouble("redirect-loop", cause, hops[0][0])
            case "disallowed":
                found = _of_chain(hops, Judgement("not-checked", cause))
                is_own = found is not None and urls.site(answer.url) in self._own_sites
                return found._replace(code="linked-disallowed") if found is not None and is_own else found
            case "broken" | "cannot-tell" | "not-checked":
                return _of_chain(hops, Judgement(verdict, cause))
        return None


def _of_chain(hops: list[Hop], end: Judgement) -> Trouble | None:
    """What is wrong with the redirects from the first of *hops* on, or with where they end."""
    found = chain_findings(hops, end)
    return Trouble(*found[0], hops[0][0]) if found else None


def want(answers: Answers, judge: Judge, facts: Facts, names: Names, room: Room) -> Wanted:
    """Of what the last pass is to collect the places."""
    wanted = Wanted()
    for target in answers.by_id:
        if (trouble := judge.trouble(target)) is not None:
            wanted.links[target] = Places(room)
            if _breaks_canonical(trouble):
                wanted.canonicals[target] = Places(room)
        elif len(answers.chain(target)[0]) > 1:
            wanted.canonicals[target] = Places(room)
    for page in facts.noindex:
        wanted.linking[page] = Places(room)
        wanted.canonicals.setdefault(page, Places(room))
    wanted.in_sitemaps = {page: Places(room) for page in names.orphans}
    wanted.fragments = {key: Places(room) for key in names.missing}
    wanted.translations = {pair: Places(room) for pair in names.unreturned}
    wanted.users = {sheet: set() for sheet in names.sheets}
    return wanted


def _breaks_canonical(trouble: Trouble) -> bool:
    return trouble.code in ("broken", "redirect-loop", "certificate", *_OF_REDIRECTS)


def add_links(drafts: Drafts, wanted: Wanted, answers: Answers, judge: Judge) -> None:
    """What is wrong with targets that pages name, and with start pages."""
    for target, places in wanted.links.items():
        trouble, answer = judge.trouble(target), answers.by_id[target]
        if trouble is None or not (places or (answer.is_start and trouble.code not in _OF_REDIRECTS)):
            continue
        code = "not-checked" if trouble.code == "linked-disallowed" and not places else trouble.code
        draft = drafts.add(code, trouble.target, trouble.cause)
        draft.places.append(places)
        draft.urls.add(answer.url)
    for target, places in wanted.canonicals.items():
        url = answers.url(target)
        if not places or url is None:
            continue
        draft = drafts.add("canonical-broken", url, _cause_of_canonical(target, answers, judge))
        draft.places.append(places)


def _cause_of_canonical(target: int, answers: Answers, judge: Judge) -> str:
    trouble, end = judge.trouble(target), judge.redirects_to(target)
    if trouble is not None and trouble.code not in _OF_REDIRECTS:
        return trouble.cause
    return f"redirects to {end}" if target in answers.by_id else _NOINDEX


def add_pages(drafts: Drafts, wanted: Wanted, answers: Answers) -> None:
    """Pages that are linked and ask not to be indexed, that only sitemaps name, that are not named back."""
    for page, places in wanted.linking.items():
        if places and (url := answers.url(page)):
            draft = drafts.add("linked-noindex", url, _NOINDEX)
            draft.places.append(places)
            draft.urls.add(url)
    for page, places in wanted.in_sitemaps.items():
        if places and (url := answers.url(page)):
            drafts.add("orphan", url, "no page links to it").places.append(places)
    for (_, target), places in wanted.translations.items():
        url = answers.url(target)
        if places and url:
            drafts.add("hreflang-unreturned", url, "it does not name the page that names it").places.append(places)


def add_fragments(drafts: Drafts, wanted: Wanted, answers: Answers, names: Names) -> None:
    """Fragments that no element of their page has as its name."""
    for key, places in wanted.fragments.items():
        target = key >> NAME_BITS
        end = names.ends.get(target, target)
        page, url = answers.url(end), answers.url(target) or answers.url(end)
        if not places or url is None:
            continue
        where = "the page" if url == page or page is None else f"{page}, where it redirects to,"
        draft = drafts.add("broken-fragment", url, f"no element of {where} has this name", key & _LOW)
        draft.places.append(places)
        draft.urls.add(url)
