"""What a redirect's target says about the URL that redirects: a login, a captcha, an error page, a domain for sale.

Only what URLs themselves make certain. A redirect to a home page may be meant, so it says nothing.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from crawler import url as urls

Kind = Literal["login", "captcha", "error-page", "for-sale"]

_LOGIN: Final = frozenset(
    {
        *("account-login", "auth", "authenticate", "authorize", "authwall", "cas", "customer-login", "identifier"),
        *("log-in", "log-on", "log_in", "login", "logon", "member-login", "oauth", "saml", "servicelogin"),
        *("sign-in", "sign-on", "sign_in", "signin", "signon", "sso", "ucp", "user-login", "userlogin"),
        *("session", "sessions", "wp-login"),
    }
)
"""Last or last but one segment of the path of a login page, without an ending as `.php`."""
_LOGIN_HOSTS: Final = frozenset(
    {"account", "accounts", "auth", "id", "identity", "idp", "login", "oauth", "signin", "sso"}
)
"""First labels of hosts that do nothing else."""
_OWN_SESSIONS: Final = frozenset({"/users/sign_in"})
"""Login pages that keep where to return in the session, not in the URL (Devise; GitLab)."""
MAX_SHOWN: Final = 300
"""Characters of a URL in words."""
_MAX_QUERY: Final = 8_192
"""Characters of a query that are read."""
_ENDING: Final = re.compile(r"\.[a-z0-9]{1,5}$")

_ERROR_PAGE: Final = re.compile(
    r"(?:/[a-z]{2}(?:[-_][a-z]{2})?)?(?:/errors?)?"
    r"/(?:(?:error[-_]?)?404(?:[-_]?(?:error|not[-_]?found|page))?|(?:page[-_]?|http[-_]?)?not[-_]?found)(?:\.[a-z]{3,5})?/?",
    re.IGNORECASE,
)
"""The whole path of a page that says that something is not there. `/posts/404` may be the post of that number."""
_CAPTCHA: Final = re.compile(
    r"https://(?:www|ipv[46])\.google\.[a-z.]{2,6}/sorry/|https://(?:[a-z.]+\.)?(?:yandex|ya)\.[a-z.]{2,6}/showcaptcha"
    r"|https://geo\.captcha-delivery\.com/|https?://validate\.perfdrive\.com/",
)
"""Google, Yandex, DataDome, Radware: pages in place of the one that was asked for."""
_MARKETS: Final = frozenset(
    {
        *("afternic.com", "bodis.com", "brandbucket.com", "buydomains.com", "dan.com", "domaineasy.com"),
        *("domainmarket.com", "hugedomains.com", "parkingcrew.net", "parklogic.com", "perfectdomain.com"),
        *("sedo.com", "sedoparking.com", "squadhelp.com", "undeveloped.com", "uniregistry.com"),
    }
)
"""Sites that do nothing but sell domains, or show advertisements on those without content."""
_FOR_SALE: Final = "/forsale/"
"""Part of such a path at registrars (GoDaddy, Afternic)."""


class Meaning(NamedTuple):
    """What a redirect says."""

    kind: Kind
    words: str


def meaning(url: str, target: str) -> Meaning | None:
    """What it means that the canonical *url* redirects to the canonical *target*; None: nothing but that."""
    shown = target if len(target) <= MAX_SHOWN else f"{target[:MAX_SHOWN]}..."
    if _CAPTCHA.match(target):
        return Meaning("captcha", f"it redirects to a captcha: {shown}")
    if is_login(url, target):
        return Meaning("login", f"it redirects to a login page: {shown}")
    if is_error_page(target) and not is_error_page(url):
        return Meaning("error-page", f"it redirects to an error page: {shown}")
    if _is_for_sale(url, target):
        return Meaning("for-sale", f"its domain is for sale: it redirects to {shown}")
    return None


def is_login(url: str, target: str) -> bool:
    """Whether *target* is a login page that leads back to *url* afterwards.

    By that, a link to a login page which has moved is none. Protocols of single sign-on are known by their parameters:
    OAuth 2 (RFC 6749 section 4.1.1), SAML (HTTP redirect binding), OpenID 2.0, WS-Federation, CAS. Those that lead back
    without a question are no login: OpenID Connect with `prompt=none`, CAS with `gateway=true`, and what publishers of
    journals do to set a cookie (`response_type=cookie`).
    """
    if _looks_like_login(url):
        return False
    query = dict(parse_qsl(urlsplit(target).query[:_MAX_QUERY]))
    if query.get("prompt") == "none" or query.get("gateway") == "true" or query.get("response_type") == "cookie":
        return False
    if "SAMLRequest" in query or "openid.mode" in query or query.get("wa") == "wsignin1.0":
        return True
    if "client_id" in query and ("redirect_uri" in query or "response_type" in query):
        return True
    if urls.host(url) == urls.host(target) and urlsplit(target).path.rstrip("/") in _OWN_SESSIONS:
        return True
    return _looks_like_login(target) and any(_names(value, url) for value in query.values())


def _looks_like_login(url: str) -> bool:
    parts = urlsplit(url)
    if parts.netloc.partition(".")[0] in _LOGIN_HOSTS and "." in parts.netloc:
        return True
    segments = [_ENDING.sub("", segment) for segment in parts.path.lower().split("/") if segment]
    return any(segment in _LOGIN for segment in segments[-2:])


def _names(value: str, url: str) -> bool:
    """Whether *value*, of a parameter, is *url*: whole or from its path on, escaped once more or not."""
    return _is_same(value, url) or ("%" in value and _is_same(unquote(value), url))


def _is_same(value: str, url: str) -> bool:
    own = urlsplit(url)
    try:
        other = urlsplit(value)
        name = other.hostname
    except ValueError:
        return False
    if name is not None:
        is_here = urls.site_of_host(name) == urls.site_of_host(own.hostname or "")
    else:
        is_here = value[:1] == "/" or own.path != "/"
    return is_here and unquote(other.path).strip("/") == unquote(own.path).strip("/")


def is_error_page(url: str) -> bool:
    """Whether *url* is, by its name, the page that a site shows for what is not there."""
    parts = urlsplit(url)
    return "aspxerrorpath=" in parts.query or _ERROR_PAGE.fullmatch(parts.path) is not None


def _is_for_sale(url: str, target: str) -> bool:
    """Whether *target* offers the domain of *url*."""
    site, market = urls.site(url), urls.site(target)
    path = target.split("/", 3)[3]
    return site != market and (market in _MARKETS or _FOR_SALE in f"/{path}") and site in unquote(path).lower()
