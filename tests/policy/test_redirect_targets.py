"""What a redirect's target makes certain, and what it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.policy.redirect_targets import Kind, meaning

A = "https://example.com"

MEANT: list[tuple[str, str, Kind]] = [
    (f"{A}/private", f"{A}/login?next=/private", "login"),
    (f"{A}/private", f"{A}/login/?next=%2Fprivate", "login"),
    (f"{A}/private?tab=1", f"{A}/login?next=%2Fprivate%3Ftab%3D1", "login"),
    (f"{A}/private/", f"{A}/accounts/login/?next=/private/", "login"),
    (f"{A}/a", f"{A}/signin?return_to=https%3A%2F%2Fexample.com%2Fa", "login"),
    (f"{A}/a", f"{A}/signin?returnUrl=https%253A%252F%252Fexample.com%252Fa", "login"),
    (f"{A}/wp-admin/", f"{A}/wp-login.php?redirect_to=https%3A%2F%2Fexample.com%2Fwp-admin%2F&reauth=1", "login"),
    (f"{A}/orders", f"{A}/Account/Login?ReturnUrl=%2Forders", "login"),
    (f"{A}/browse/X-1", f"{A}/login.jsp?os_destination=%2Fbrowse%2FX-1", "login"),
    (f"{A}/job/x/", f"{A}/login?from=%2Fjob%2Fx%2F", "login"),
    (f"{A}/projects/x", f"{A}/login?back_url=https%3A%2F%2Fexample.com%2Fprojects%2Fx", "login"),
    (f"{A}/", f"{A}/login?redirect=/", "login"),
    ("http://example.com/a", "https://www.example.com/login?continue=http://example.com/a", "login"),
    (f"{A}/group/project", f"{A}/users/sign_in", "login"),
    (f"{A}/a", "https://cas.example.org/cas/login?service=https%3A%2F%2Fexample.com%2Fa", "login"),
    (f"{A}/a", "https://idp.example.org/idp/profile/SAML2/Redirect/SSO?SAMLRequest=fZJ&RelayState=x", "login"),
    (f"{A}/a", "https://www.example.org/op?openid.mode=checkid_setup&openid.return_to=x", "login"),
    (
        f"{A}/a",
        "https://login.microsoftonline.com/x/oauth2/v2.0/authorize?client_id=1&redirect_uri=https%3A%2F%2Fexample.com&state=x",
        "login",
    ),
    (f"{A}/a", "https://login.microsoftonline.com/x/wsfed?wa=wsignin1.0&wtrealm=x", "login"),
    (
        "https://docs.google.com/document/d/1/edit",
        "https://accounts.google.com/v3/signin/identifier?continue=https://docs.google.com/document/d/1/edit&service=writely",
        "login",
    ),
    (
        "https://github.com/settings/profile",
        "https://github.com/login?return_to=https%3A%2F%2Fgithub.com%2Fsettings%2Fprofile",
        "login",
    ),
    (
        "https://www.linkedin.com/in/x",
        "https://www.linkedin.com/authwall?trk=bf&sessionRedirect=https%3A%2F%2Fwww.linkedin.com%2Fin%2Fx",
        "login",
    ),
    ("https://x.com/i/lists", "https://x.com/i/flow/login?redirect_after_login=%2Fi%2Flists", "login"),
    (f"{A}/a", f"{A}/sessions/new?return_to=%2Fa", "login"),
    (
        f"{A}/a",
        "https://sso.example.org/realms/x/protocol/openid-connect/auth?client_id=app&response_type=code&redirect_uri=y",
        "login",
    ),
    ("https://www.google.com/search?q=a", "https://www.google.com/sorry/index?continue=x", "captcha"),
    ("https://ya.ru/search?text=a", "https://ya.ru/showcaptcha?cc=1", "captcha"),
    (f"{A}/gone", f"{A}/404", "error-page"),
    (f"{A}/gone", f"{A}/404.html", "error-page"),
    (f"{A}/gone", f"{A}/en/404.html?from=/gone", "error-page"),
    (f"{A}/gone", f"{A}/error/404", "error-page"),
    (f"{A}/gone", f"{A}/errors/not-found/", "error-page"),
    (f"{A}/gone", f"{A}/page-not-found", "error-page"),
    (f"{A}/gone", f"{A}/Error404.aspx", "error-page"),
    (f"{A}/gone", f"{A}/oops?aspxerrorpath=/gone", "error-page"),
    (f"{A}/a", "https://www.hugedomains.com/domain_profile.cfm?d=example.com", "for-sale"),
    (f"{A}/a", "https://dan.com/buy-domain/Example.com?redirected=true", "for-sale"),
    (f"{A}/a", "https://www.godaddy.com/forsale/example.com?utm_source=x", "for-sale"),
]


@pytest.mark.parametrize(("url", "target", "kind"), MEANT, ids=[target for _, target, _ in MEANT])
def test_a_redirect_that_says_more(url: str, target: str, kind: Kind) -> None:
    found = meaning(url, target)
    assert found is not None and found.kind == kind and target in found.words


HARMLESS = [
    (f"{A}/a", f"{A}/"),  # a home page may be meant
    (f"{A}/a", f"{A}/b"),
    ("http://example.com/login", "https://example.com/login"),
    (f"{A}/signin", f"{A}/login"),  # a login page that has moved
    (f"{A}/signin", f"{A}/login?next=/signin"),
    (f"{A}/users/login", f"{A}/users/sign_in"),
    (f"{A}/login?next=/a", f"{A}/login/?next=/a"),
    (f"{A}/old", f"{A}/login-best-practices?next=/old"),
    (f"{A}/a", f"{A}/how-to-login?from=/a"),
    (f"{A}/a", f"{A}/login"),  # nothing says that it leads back
    (f"{A}/a", f"{A}/login?next=/other"),
    (f"{A}/a", f"{A}/login?lang=en"),
    (f"{A}/a", f"{A}/b?next=/a"),
    (f"{A}/a", "https://example.org/share?url=https%3A%2F%2Fexample.com%2Fa"),
    (f"{A}/a", "https://other.example.org/login?next=https://third.example/a"),
    (f"{A}/blog", f"{A}/blog/?client_id=7"),
    (f"{A}/a", f"{A}/?openid=1"),
    (f"{A}/posts", f"{A}/posts/404"),  # the post of that number
    (f"{A}/issues/404", f"{A}/pull/404"),
    (f"{A}/404", f"{A}/404/"),
    (f"{A}/not-found", f"{A}/404.html"),
    (f"{A}/a", f"{A}/404-ways-to-cook"),
    (f"{A}/a", f"{A}/area-404/"),
    (f"{A}/a", f"{A}/lost-and-found"),
    (f"{A}/a", "https://www.hugedomains.com/"),
    (f"{A}/a", "https://www.godaddy.com/offers?isc=example.com"),
    ("https://dan.com/a", "https://dan.com/buy-domain/dan.com"),
    ("https://www.google.com/a", "https://www.google.com/sorrow"),
    (f"{A}/a", "https://www.google.com/search?q=sorry"),
    (f"{A}/a", "https://auth.example.com/"),
    (
        "https://www.nature.com/articles/x",
        "https://idp.nature.com/authorize?response_type=cookie&client_id=grover&redirect_uri=https%3A%2F%2Fwww.nature.com"
        "%2Farticles%2Fx",
    ),
    (f"{A}/a", "https://id.example.org/authorize?client_id=1&response_type=code&prompt=none&redirect_uri=x"),
    (f"{A}/a", "https://cas.example.org/cas/login?gateway=true&service=https%3A%2F%2Fexample.com%2Fa"),
]


@pytest.mark.parametrize(("url", "target"), HARMLESS, ids=[f"{url} {target}" for url, target in HARMLESS])
def test_a_redirect_that_only_redirects(url: str, target: str) -> None:
    assert meaning(url, target) is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_urls_are_judged(path: str, query: str) -> None:
    try:
        target = urls.canonicalize(f"{A}/login?next={query}&x=[{path}")
        url = urls.canonicalize(f"https://a.example/{path}?{query}")
    except InvalidURL:
        return
    for pair in ((url, target), (target, url)):
        found = meaning(*pair)
        assert found is None or found.words
