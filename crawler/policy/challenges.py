"""Answers that ask for proof of a person, or of a browser, in place of the page: captchas and challenges.

They say nothing about the page behind them. Services that protect sites name themselves by a header, or by markup that
only their interstitial pages have. What normal pages hold too is no sign: their scripts on every page, a captcha beside
a form, and text about captchas. Where a page must be read, it must be small and say little.
"""

from __future__ import annotations

import re
from typing import Final

from crawler.fetch.fetcher import Headers, Response

MAX_READ: Final = 64 * 1024
"""Bytes of the largest body that is looked at; interstitial pages have 1 to 30 kB."""
MAX_TEXT: Final = 3_000
"""Characters that an interstitial page shows at most; Anubis explains itself in 1,500."""
MAX_CAPTCHA_TEXT: Final = 400
"""Characters beside a captcha that fills the page."""
MAX_CAPTCHA_LINKS: Final = 2
"""Links beside it: to its terms."""

_HEADERS: Final[tuple[tuple[str, str, frozenset[str]], ...]] = (
    # developers.cloudflare.com: "Detect a Challenge Page response". The header has no other value.
    ("Cloudflare", "cf-mitigated", frozenset({"challenge"})),
    # docs.aws.amazon.com/waf: "CAPTCHA and Challenge action behavior"; the status is 405 or 202.
    ("AWS WAF", "x-amzn-waf-action", frozenset({"challenge", "captcha"})),
    ("DataDome", "x-dd-b", frozenset({"1", "2"})),  # docs.datadome.co: "Validate request". `x-datadome` says nothing.
    ("Vercel", "x-vercel-mitigated", frozenset({"challenge", "deny"})),
)

_Signs = dict[str, re.Pattern[bytes]]
_TAGS: Final[_Signs] = {
    "Anubis": re.compile(rb"""<script\b[^<>]*[\s"']id=["']?anubis_challenge\b"""),
    "DataDome": re.compile(
        rb"""<(?:script|iframe)\b[^<>]*[\s"']src=["']?(?:https:)?//(?:ct|geo)\.captcha-delivery\.com/"""
    ),
    "PerimeterX": re.compile(rb"""<div\b[^<>]*[\s"']id=["']?px-captcha\b"""),
    # The script of that name is on every page of a customer; the frame only in place of one.
    "Imperva": re.compile(rb"""<iframe\b[^<>]*[\s"']src=["']?/_Incapsula_Resource\?"""),
    "Akamai": re.compile(
        rb"""<div\b[^<>]*[\s"']id=["']?sec-if-cpt-container\b|<meta\b[^<>]*[\s"']content=["'][^<>"]{0,200}\bbm-verify="""
    ),
    "Cloudflare": re.compile(
        rb"""<form\b[^<>]*\b__cf_chl_|<div\b[^<>]*[\s"']id=["']?(?:cf-challenge-running|cf-browser-verification)\b"""
        rb"""|<script\b[^<>]*[\s"']src=["']?/cdn-cgi/challenge-platform/h/[a-z]/orchestrate/"""
    ),
    "Amazon": re.compile(rb"""<form\b[^<>]*[\s"']action=["']?/errors/validateCaptcha\b"""),
    "DDoS-Guard": re.compile(rb"""<script\b[^<>]*[\s"']src=["']?/\.well-known/ddos-guard/js-challenge/"""),
}
"""Start tags that only interstitial pages have."""
_SCRIPTS: Final[_Signs] = {
    "Cloudflare": re.compile(rb"\bwindow\._cf_chl_opt\s*="),
    "AWS WAF": re.compile(rb"\bwindow\.gokuProps\s*="),
    "Imperva": re.compile(rb"\bwindow\.onProtectionInitialized\s*="),
    "Sucuri": re.compile(rb"\bsucuri_cloudproxy_js\s*="),
}
"""Statements that only scripts of interstitial pages have."""
_CAPTCHAS: Final[_Signs] = {
    name: re.compile(rb"""<(?:script|iframe)\b[^<>]*[\s"']src=["']?(?:https:)?//""" + place)
    for name, place in {
        "hCaptcha": rb"(?:[a-z0-9-]+\.)?hcaptcha\.com/",
        "reCAPTCHA": rb"(?:www\.google\.com|www\.recaptcha\.net)/recaptcha/",
        "Turnstile": rb"challenges\.cloudflare\.com/turnstile/",
        "Arkose Labs": rb"[a-z0-9-]+\.(?:arkoselabs|funcaptcha)\.com/",
        "GeeTest": rb"static\.geetest\.com/",
    }.items()
}
"""Captchas that stand beside forms of normal pages as well."""
_HINTS: Final = (
    *(b"captcha", b"anubis_challenge", b"_Incapsula_Resource", b"sec-if-cpt-container", b"bm-verify=", b"_cf_chl_"),
    *(b"cf-challenge-running", b"cf-browser-verification", b"/orchestrate/", b"validateCaptcha", b"ddos-guard"),
    *(b"gokuProps", b"onProtectionInitialized", b"sucuri_cloudproxy_js", b"turnstile", b"arkoselabs", b"geetest"),
)
"""One is in each page with a sign: a cheap look before the others."""
_TAG: Final = re.compile(rb"<[/!a-zA-Z][^<>]*>")
_OPAQUE: Final = re.compile(rb"<(script|style|textarea|title|template|xmp|iframe)\b([^<>]*)>|<!--", re.IGNORECASE)
"""Starts of what a browser does not read as markup, or does not show."""
_SPACES: Final = re.compile(rb"(?:\s|&nbsp;)+")
_LINK: Final = re.compile(rb"<a\b[^<>]*\bhref=", re.IGNORECASE)
_FIELD: Final = re.compile(
    rb"""<(?:textarea|select)\b|<input\b(?![^<>]*\btype=["']?(?:hidden|submit|button|checkbox|image)\b)""",
    re.IGNORECASE,
)
_DATA: Final = re.compile(rb"""\btype=["']?(?!text/javascript|application/javascript|module)[a-z]""", re.IGNORECASE)
"""Of a script that does not run: JSON and the like."""


def challenge(response: Response) -> str:
    """The name of what asks for proof in this answer; empty if nothing does."""
    return _by_header(response.headers) or (_by_body(response) if response.body else "")


def _by_header(headers: Headers) -> str:
    return next((name for name, key, values in _HEADERS if (headers.get(key) or "").strip().lower() in values), "")


def _by_body(response: Response) -> str:
    """What the body asks for, if it is HTML."""
    body = response.body
    if len(body) > MAX_READ or not any(hint in body for hint in _HINTS):
        return ""
    if not response.computed_type.startswith(("text/html", "application/xhtml")):
        return ""
    markup, scripts = markup_and_scripts(body)
    shown = len(_SPACES.sub(b" ", _TAG.sub(b" ", markup)).strip())
    if shown > MAX_TEXT:
        return ""
    name = _first(_TAGS, markup) or next((name for script in scripts if (name := _first(_SCRIPTS, script))), "")
    if name or response.truncated or shown > MAX_CAPTCHA_TEXT:
        return name
    is_alone = not _FIELD.search(markup) and len(_LINK.findall(markup)) <= MAX_CAPTCHA_LINKS
    return _first(_CAPTCHAS, markup) if is_alone else ""


def _first(signs: _Signs, text: bytes) -> str:
    return next((name for name, sign in signs.items() if sign.search(text)), "")


def markup_and_scripts(body: bytes) -> tuple[bytes, list[bytes]]:
    """The markup of *body*, without comments and without what is in opaque elements; and the scripts that run.

    It takes one pass, whatever is left open.
    """
    lower, at = body.lower(), 0
    markup: list[bytes] = []
    scripts: list[bytes] = []
    while start := _OPAQUE.search(body, at):
        name = (start[1] or b"").lower()
        markup.append(body[at : start.end() if name else start.start()])
        end = lower.find(b"</" + name if name else b"-->", start.end())
        at = len(body) if end < 0 else end + (0 if name else 3)
        if name == b"script" and not _DATA.search(start[2]):
            scripts.append(body[start.end() : at])
    return b"".join([*markup, body[at:]]), scripts
