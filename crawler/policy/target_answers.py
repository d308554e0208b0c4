"""What an answer says about the target of a link: it is there, it is broken, or nobody can tell. Pure.

`verdict_of_answer` judges a fetch result, when `politeness.judge` has no more tries for it. `verdict_of_outcome` judges
what is stored of a URL that has ended; what it could not know from outcome and status, `stored` has put into the error.
docs/check-answers.md has the table with its reasons and sources.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from crawler import url as urls
from crawler.errors import InvalidURL, without_credentials
from crawler.fetch.fetcher import FetchError, FetchResult, Method, Response
from crawler.policy import redirect_targets
from crawler.policy.challenges import challenge
from crawler.policy.parked import is_parked
from crawler.policy.politeness import REDIRECTS, status_words
from crawler.policy.redirect_targets import MAX_SHOWN
from crawler.text import printable

Verdict = Literal["good", "get", "broken", "cannot-tell", "not-checked"]
"""get: HEAD was refused or is not to be trusted, so GET decides. not-checked: it was not, or may not be, asked."""


class Judgement(NamedTuple):
    """A verdict and its cause in words, empty where it is good."""

    verdict: Verdict
    cause: str = ""


class Ended(NamedTuple):
    """What is stored of a URL that has ended."""

    outcome: str
    """One of `record.OUTCOMES`; empty: it has not ended."""
    status: int = 0
    error: str = ""
    url: str = ""
    target: str = ""
    """Where it redirects to, if that is known."""


GOOD: Final = Judgement("good")
_UNSURE: Final = frozenset({401, 402, 403, 406, 407, 418, 429, 451, 999})
"""Statuses by which servers turn away whom they do not know, or robots: the page may be there for a person.

401, 403, 406, 407, 429, 451: RFC 9110 section 15.5, RFC 6585, RFC 7725. 402: Cloudflare's answer to crawlers that do
not pay. 418: of douban.com and others to robots. 999: LinkedIn's.
"""
_FINAL_FOR_HEAD: Final = frozenset({407, 429, 451, 999})
"""Statuses that GET would not change. Whoever asks to wait is not asked twice."""
_THERE: Final = frozenset({300, 304})
"""Multiple Choices, and Not Modified: redirects that need no Location, of something that is there."""
_NOT_SATISFIABLE: Final = 416
"""The range that was asked for begins after the end of what is there (RFC 9110 section 15.5.17): it is empty."""
_WORDS: Final = {
    418: "418 I'm a teapot, an answer to robots",
    520: "520, the server behind Cloudflare gives no valid answer",
    521: "521, the server behind Cloudflare is down",
    522: "522, the server behind Cloudflare does not accept connections",
    523: "523, the server behind Cloudflare cannot be reached",
    524: "524, the server behind Cloudflare does not answer in time",
    525: "525, no TLS connection between Cloudflare and the server behind it",
    526: "526, the server behind Cloudflare has no valid certificate",
    530: "530, the name of the server behind Cloudflare does not resolve",
    999: "999 Request denied, an answer to robots",
}
"""Where RFC 9110 has no phrase, or the phrase says too little."""
_OF_HOST: Final = "its host "
"""How errors begin that say themselves that the host fails (see worker/refusals.py)."""
_NO_NAME: Final = "its host's name does not resolve"
_CANNOT_TELL: Final = "cannot tell: "
_NOT_CHECKED: Final = "not checked: "
_PREFIXES: Final[dict[str, Verdict]] = {_CANNOT_TELL: "cannot-tell", _NOT_CHECKED: "not-checked"}
_NOT_ASKED: Final = {
    "dropped:robots": "robots.txt disallows it",
    "failed:robots": "its host's robots.txt could not be read",
    "dropped:trap": "it looks like a trap without end",
    "dropped:limit": "a limit of the crawl was reached",
    "dropped:scope": "it is outside of the crawl's scope",
    "failed:bad-entry": "its entry in the queue was damaged",
}
_ANSWERED: Final = frozenset({"fetched", "checked", "redirected", "dropped:type", "dropped:noindex", "dropped:hook"})
_OF_ANSWER: Final = frozenset({"checked", "redirected"})
"""Outcomes of answers that may be broken all the same: a parked domain, a redirect to what is no URL. Their error says
so."""
_UNREADABLE: Final = {
    "failed:hang": "reading it takes too long",
    "failed:crash": "reading it ends the crawler's worker",
}


def verdict_of_answer(result: FetchResult, method: Method, ranged: bool = False) -> Judgement:
    """What *result*, of a request by *method*, says about its URL. *ranged*: the request had a `Range`.

    Waiting comes first: the answer to a busy host's 429 or 503 is judged when all tries are spent.
    """
    if isinstance(result, FetchError):
        return _of_failure(result, method)
    if name := challenge(result):
        return Judgement("cannot-tell", f"{_words(result.status)}: {name} asks for proof of a person or a browser")
    if result.status in REDIRECTS and result.headers.get("location"):
        return _of_redirect(result)
    if result.status == 200 and is_parked(result):
        return Judgement("broken", "its domain is parked: it shows advertisements, or is for sale")
    if 200 <= result.status < 300 or result.status in _THERE or (ranged and result.status == _NOT_SATISFIABLE):
        return GOOD
    if method == "HEAD" and result.status not in _FINAL_FOR_HEAD:
        return Judgement("get", f"HEAD: {_words(result.status)}")
    return _of_status(result.status)


def _of_failure(error: FetchError, method: Method) -> Judgement:
    if error.lack:
        return Judgement("not-checked", f"this machine could not ask: {error.detail}")
    match error.kind:
        case "refused" | "expired":
            return Judgement("not-checked", error.detail)
        case "dns":
            return Judgement("broken", _NO_NAME)
        case "tls":
            return Judgement("broken", error.detail)
    if method == "HEAD" and error.sent:
        return Judgement("get", f"HEAD: {error.detail}")
    return Judgement("broken", _failed(error.kind, error.detail))


def _failed(kind: str, detail: str) -> str:
    """The words for a connection or an answer that fails."""
    if kind == "timeout" or detail.startswith(_OF_HOST):
        return detail
    return (
        f"{'no connection to its host, or it broke' if kind == 'connect' else 'its answer is not valid HTTP'}: {detail}"
    )


def _of_redirect(response: Response) -> Judgement:
    """One redirect: good, if what it leads to is. Of a chain, each answer is judged by itself."""
    location = response.headers.get("location") or ""
    try:
        target = urls.canonicalize(location, response.url)
    except InvalidURL as error:
        where = f"it redirects to {printable(without_credentials(location))[:MAX_SHOWN]}"
        if error.reason == "scheme":
            return Judgement("cannot-tell", f"{where}, which is not for HTTP")
        return Judgement("broken", f"{where}, which is no URL")
    return _of_target(response.url, target)


def _of_target(url: str, target: str) -> Judgement:
    found = redirect_targets.meaning(url, target)
    if found is None:
        return GOOD
    return Judgement("cannot-tell" if found.kind in ("login", "captcha") else "broken", found.words)


def _of_status(status: int) -> Judgement:
    """What a status other than 2xx and a redirect says, as the last answer to GET."""
    return Judgement("cannot-tell" if status in _UNSURE else "broken", _words(status))


def _words(status: int) -> str:
    if status in REDIRECTS:
        return f"{status_words(status)} without a Location"
    return _WORDS.get(status) or status_words(status)


def stored(judgement: Judgement) -> str | None:
    """What to keep as the `error` of the URL's record, so that `verdict_of_outcome` says the same; None: nothing."""
    prefix = next((prefix for prefix, verdict in _PREFIXES.items() if verdict == judgement.verdict), "")
    return f"{prefix}{judgement.cause}" or None


def verdict_of_outcome(ended: Ended) -> Judgement:
    """What is stored of a URL says about links to it. Never "get"."""
    outcome, status, error = ended.outcome, ended.status, ended.error
    for prefix, verdict in _PREFIXES.items():
        if error.startswith(prefix):
            return Judgement(verdict, error.removeprefix(prefix))
    if outcome in _NOT_ASKED or not outcome:
        return Judgement("not-checked", _NOT_ASKED.get(outcome, "it has not been asked yet"))
    if outcome in _UNREADABLE:
        return Judgement("cannot-tell", _UNREADABLE[outcome])
    if outcome in _OF_ANSWER and error and not ended.target:
        return Judgement("broken", error)
    if outcome in _ANSWERED:
        return _of_target(ended.url, ended.target) if ended.url and ended.target else GOOD
    if outcome == "failed:redirect-loop":
        return Judgement("broken", error or "its redirects do not end")
    if outcome == "failed:dns":
        return Judgement("broken", _NO_NAME)
    if status:
        return _of_status(status)
    return Judgement("broken", _without_status(outcome.removeprefix("failed:"), error))


def _without_status(kind: str, error: str) -> str:
    """The words for a failure that has no status."""
    if kind == "tls":
        return error or "no TLS connection to its host"
    return _failed(kind, error or kind)
