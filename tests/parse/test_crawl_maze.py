"""The places of the public security-crawl-maze that need no JavaScript: which kind finds each, and which none does.

The names are those of its list of results (github.com/google/security-crawl-maze, expected-results.json). The pages
are our own, with the same kinds of places.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.parse.place_pages import HTML, named, page_of

CSS = "text/css"


class Case(NamedTuple):
    """A place of the maze: a page of ours that has it, and the kind that finds it."""

    kind: str
    body: str = ""
    header: tuple[str, str] = ("X-None", "")
    media_type: str = HTML


FOUND = {
    "css/font-face": Case("font", "@font-face { src: url(/found) }", media_type=CSS),
    "headers/content-location": Case("other", header=("Content-Location", "/found")),
    "headers/link": Case("preload", header=("Link", '</found>; rel="preload"')),
    "headers/refresh": Case("refresh", header=("Refresh", "0; url=/found")),
    "html/doctype": Case("other", '<!DOCTYPE html SYSTEM "/found"><title>t</title>'),
    "html/manifest": Case("other", "<!DOCTYPE html><html manifest=/found>"),
    "html/body/background": Case("image", "<body background=/found>"),
    "html/body/a/href": Case("link", "<a href=/found>a</a>"),
    "html/body/a/ping": Case("ping", "<a ping=/found>a</a>"),
    "html/body/audio/src": Case("media", "<audio src=/found></audio>"),
    "html/body/audio/source/src": Case("media", "<audio><source src=/found></audio>"),
    "html/body/audio/source/srcset1x": Case("image", "<audio><source srcset='/found 1x, data:,b 2x'></audio>"),
    "html/body/audio/source/srcset2x": Case("image", "<audio><source srcset='data:,a 1x,\n /found 2x'></audio>"),
    "html/body/applet/archive": Case("object", "<applet archive=/found></applet>"),
    "html/body/applet/codebase": Case("other", "<applet code=Test codebase=/found></applet>"),
    "html/body/blockquote/cite": Case("cite", "<blockquote cite=/found>q</blockquote>"),
    "html/body/embed/src": Case("object", "<embed src=/found>"),
    "html/body/form/action-get": Case("form", "<form method=GET action=/found></form>"),
    "html/body/form/button/formaction": Case("form", "<form id=f><button form=f formaction=/found>b</button></form>"),
    "html/body/frameset/frame/src": Case("other", "<h1>h</h1><p><frameset><frame src=/found></frame></frameset>"),
    "html/body/iframe/src": Case("frame", "<iframe src=/found></iframe>"),
    "html/body/iframe/srcdoc": Case("image", """<iframe srcdoc="<img src='/found' alt='i'>"></iframe>"""),
    "html/body/img/dynsrc": Case("media", "<img dynsrc=/found alt=i>"),
    "html/body/img/lowsrc": Case("image", "<img lowsrc=/found alt=i>"),
    "html/body/img/longdesc": Case("other", "<img longdesc=/found alt=i>"),
    "html/body/img/src": Case("image", "<img src=/found alt=i>"),
    "html/body/img/srcset1x": Case("image", "<img srcset='/found 1x, data:,b 2x' alt=i>"),
    "html/body/img/srcset2x": Case("image", "<img srcset='data:,a 1x,\n /found 2x' alt=i>"),
    "html/body/input/src": Case("image", "<input type=image src=/found alt=i>"),
    "html/body/isindex/action": Case("other", "<isindex action=/found></isindex>"),
    "html/body/map/area/ping": Case("ping", "<map name=m><area ping=/found></map>"),
    "html/body/object/data": Case("object", "<object data=/found></object>"),
    "html/body/object/codebase": Case("other", "<object codebase=/found></object>"),
    "html/body/object/param/value": Case("object", "<object><param name=URL value=/found></object>"),
    "html/body/script/src": Case("script", "<script src=/found></script>"),
    "html/body/svg/image/xlink": Case("image", "<svg><image xlink:href=/found /></svg>"),
    "html/body/svg/script/xlink": Case("script", "<svg><script xlink:href=/found></script></svg>"),
    "html/body/table/background": Case("image", "<table background=/found></table>"),
    "html/body/table/td/background": Case("image", "<table><tr><td background=/found></table>"),
    "html/body/video/src": Case("media", "<video src=/found></video>"),
    "html/body/video/track/src": Case("media", "<video><track src=/found></video>"),
    "html/body/video/poster": Case("image", "<video poster=/found></video>"),
    "html/head/profile": Case("other", "<head profile=/found><title>t</title></head>"),
    "html/head/base/href": Case("other", "<base href=/found>"),
    "html/head/comment-conditional": Case("other", "<!--[if true]><link rel=stylesheet href=/found><![endif]-->"),
    "html/head/import/implementation": Case("other", "<IMPORT namespace=n implementation=/found />"),
    "html/head/link/href": Case("preload", "<link rel=prefetch href=/found>"),
    "html/head/meta/content-csp": Case(
        "other", "<meta http-equiv=Content-Security-Policy content=\"script-src 'self'; report-uri /found\">"
    ),
    "html/head/meta/content-pinned-websites": Case("other", "<meta name=msapplication-config content=/found>"),
    "html/head/meta/content-redirect": Case("refresh", "<meta http-equiv=refresh content='1; url=/found'>"),
    "html/misc/url/full-url": Case("link", "<a href=http://h.example/found>a</a>"),
    "html/misc/url/path-relative-url": Case("link", "<a href=../found>a</a>"),
    "html/misc/url/protocol-relative-url": Case("link", "<a href=//h.example/found>a</a>"),
    "html/misc/url/root-relative-url": Case("link", "<a href=/found>a</a>"),
}
"""Places that a kind finds."""

ELSEWHERE = {
    "headers/location": "a redirect, which the crawl follows",
    "misc/known-files/sitemap.xml": "a sitemap's location, which the crawl reads",
}
"""Places that are no part of a page."""

NOT_FOUND = {
    "html/body/form/action-post": ("<form method=POST action=/found></form>", "POST may change something"),
    "html/body/img/src-data": (
        "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><image href='/found'/></svg>\" alt=i>",
        "a picture in a data: URL loads nothing",
    ),
    "html/head/meta/content-reading-view": ("<meta name=copyright content=\"<img src='/found'>\">", "text"),
    "html/misc/string/dot-dot-slash-prefix": ("<p>../found", "text"),
    "html/misc/string/dot-slash-prefix": ("<p>./found", "text"),
    "html/misc/string/url-string": ("<p>http://h.example/found", "text"),
    "html/misc/string/string-known-extension": ("<p>/found.pdf", "text"),
    "misc/known-files/robots.txt": ("", "robots.txt disallows it"),
}
"""Places that are none: the page, and the reason."""


@pytest.mark.parametrize("name", FOUND)
def test_a_place_of_the_maze_is_found(name: str) -> None:
    case = FOUND[name]
    found = named(case.body, case.header, kind=case.media_type)
    assert (case.kind, "/found") in found


@pytest.mark.parametrize("name", NOT_FOUND)
def test_a_place_that_is_none_is_not(name: str) -> None:
    assert named(NOT_FOUND[name][0]) == []


def test_at_least_56_of_the_64_are_found() -> None:
    assert len(FOUND) + len(ELSEWHERE) + len(NOT_FOUND) == 64
    assert len(FOUND) + len(ELSEWHERE) >= 56
    assert page_of("", ("Location", "/found"), status=301).places is None
