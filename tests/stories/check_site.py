"""A site with planted faults of every kind, each beside others that only look like it; see `check_pages`.

`PlantedSite` serves it on several hosts. `expected` has every finding with every page and line that holds it.
"""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from typing import Any, Final

import trustme

from tests.servers import Call
from tests.stories import check_lookalikes
from tests.stories.check_pages import Expected, Page, good_page, secure, serve_file
from tests.stories.check_places import PLACES
from tests.stories.sites import Site, Sites, closed_port

XML: Final = [("Content-Type", "application/xml")]
SLOW, LARGE = "3s", "100KiB"
"""Options with which the slow and the large pages are found."""
BROKEN_STATUSES: Final = (404, 410, 400, 405, 409, 422, 500, 501, 502)
UNSURE_STATUSES: Final = (401, 402, 403, 406, 418, 451, 999)
NO_URLS: Final = (
    "http://",
    "http://exa mple.org/",
    "http://[::1/",
    "http://example.org:99999/",
    "https://%00.org/",
    "mailto:",
)


class PlantedSite:
    """The site, and the hosts that it links to."""

    def __init__(self, sites: Sites, authority: trustme.CA) -> None:
        self.expected = Expected()
        self.main, self.other, self.closed = sites.add(), sites.add("127.0.0.2"), sites.add("127.0.0.3")
        self.closed.robots = b"User-agent: *\nDisallow: /\n"
        self.https = secure(sites, "127.0.0.1", tls_of(authority))
        self._secure: dict[str, Site] = {
            "expired": secure(sites, "127.0.0.4", tls_of(authority, days=-1, name="127.0.0.4")),
            "soon": secure(sites, "127.0.0.5", tls_of(authority, days=5, name="127.0.0.5")),
            "another name": secure(sites, "127.0.0.6", tls_of(authority, name="another.example")),
            "another issuer": secure(sites, "127.0.0.7", tls_of(trustme.CA(), name="127.0.0.7")),
        }
        self._pages: list[Page] = []
        serve_file(self.main, "/fine.png")
        serve_file(self.main, "/fine.css")
        for plant in (
            *(self._broken_places, self._broken_statuses, self._broken_hosts, self._sheets, self._fragments),
            *(self._redirects, self._contents, self._doubles, self._links_between, self._addresses, self._mixed),
        ):
            plant()
        homes = check_lookalikes.serve(self.main, self.other)
        index = self.page("/")
        for url in [*homes, *(page.url for page in self._pages if page.path != "/")]:
            index.add(f'<a href="{url}">{url}</a>')
        self.main.robots = f"User-agent: *\nDisallow: /closed/\nSitemap: {self.main.url('/sitemap.xml')}\n".encode()
        for page in self._pages:
            page.serve()

    @property
    def seeds(self) -> list[str]:
        """What is to be checked."""
        return [self.main.url("/"), self.https.url("/")]

    def page(self, path: str, site: Site | None = None, **more: Any) -> Page:
        """A new page of the site, which its start page links to."""
        page = Page(site or self.main, path, self.expected, **more)
        self._pages.append(page)
        return page

    # -- targets that are not there ------------------------------------------------------------------------------------

    def _broken_places(self) -> None:
        """In each kind of place a target that is missing; two pages name the same, one of them on two lines."""
        page, again = self.page("/places"), self.page("/places-again")
        for number, place in enumerate(PLACES):
            path = f"/missing/{number}-{place.name}.{place.ending}"
            url = self.main.url(path)
            markup = place.text.format(url=path, absolute=url, relative=url.removeprefix("http:"))
            (page.add_to_head if place.in_head else page.add)(markup, ("broken", url), at=place.line)
        first = self.main.url("/missing/0-a.html")
        again.add('<p><a href="/missing/0-a.html">once</a>', ("broken", first))
        again.add(
            '<p>and <a href="missing/0-a.html#x">again</a>, <a href="/missing/0-a.html">twice</a>', ("broken", first)
        )

    def _broken_statuses(self) -> None:
        """Answers that say no, of pages and of targets elsewhere; and those that say nothing."""
        page = self.page("/statuses")
        for code, statuses in (("broken", BROKEN_STATUSES), ("cannot-tell", UNSURE_STATUSES)):
            for site in (self.main, self.other):
                for status in statuses:
                    if status == 999 and site is self.main:  # a host of whose pages one answers so is left alone
                        continue
                    url = site.serve(f"/answers/{status}", b"no", status)
                    page.add(f'<a href="{url}">{status}</a>', (code, url))
        login = self.other.redirect("/members", "/login?next=%2Fmembers")
        good_page(self.other, "/login?next=%2Fmembers", ['<form method="post"><input type="password"></form>'])
        page.add(f'<a href="{login}">members</a>', ("cannot-tell", login))
        wall = self.other.serve("/wall", b"<title>Just a moment...</title>", 403, [("cf-mitigated", "challenge")])
        page.add(f'<a href="{wall}">wall</a>', ("cannot-tell", wall))

    def _broken_hosts(self) -> None:
        """Hosts that are not there, or not whom they say they are; and what may not be asked."""
        page = self.page("/hosts")
        for url in (f"http://127.0.0.1:{closed_port()}/gone", "http://nosuch.invalid/x"):
            page.add(f'<a href="{url}">x</a>', ("broken", url))
        for name, site in self._secure.items():
            url = good_page(site, "/page")
            code = "certificate-expiring" if name == "soon" else "certificate"
            if name == "soon":  # of a host, not of links
                self.expected.places[code, site.url("/")] = set()
                page.add(f'<a href="{url}">{name}</a>')
            else:
                page.add(f'<a href="{url}">{name}</a>', (code, site.url("/")))
        url = good_page(self.closed, "/page")
        page.add(f'<img src="{url}" alt="">', ("not-checked", url))

    def _sheets(self) -> None:
        """A style sheet, a manifest and a header name targets, too."""
        sheet = '/* url(/never.png) */\n.a { background: url(/missing/sheet.png) }\n@import "/missing/more.css";\n'
        url = self.main.serve("/sheet.css", sheet.encode(), headers=[("Content-Type", "text/css")])
        self.expected.add("broken", self.main.url("/missing/sheet.png"), url, 2)
        manifest = '{"icons": [{"src": "/fine.png"},\n {"src": "/missing/manifest.png"}]}'
        named = self.main.serve(
            "/app.webmanifest", manifest.encode(), headers=[("Content-Type", "application/manifest+json")]
        )
        self.expected.add("broken", self.main.url("/missing/manifest.png"), named, 2)
        page = self.page("/sheets", headers=[("Link", "</missing/header.css>; rel=stylesheet")])
        page.is_wrong("broken", self.main.url("/missing/header.css"))
        page.add_to_head('<link rel="stylesheet" href="/sheet.css">').add_to_head(
            '<link rel="manifest" href="/app.webmanifest">'
        )
        refresh = self.page("/refresh")
        refresh.add_to_head(
            '<meta http-equiv="refresh" content="60; url=/missing/refresh">',
            ("broken", self.main.url("/missing/refresh")),
        )

    def _fragments(self) -> None:
        """Names after the # that no element has."""
        good_page(self.main, "/named", ['<p id="a">a</p>', '<p id="ü">b</p>', '<a name="c">c</a>', "<p id='d e'>d</p>"])
        self.main.redirect("/to-named", "/named")
        page = self.page("/fragments")
        for fragment, name in {"b": "b", "A": "A", "%C3%A4": "ä", "a%20": "a ", "e": "e", "f:~:text=a": "f"}.items():
            url = self.main.url(f"/named#{name}")
            page.add(f'<a href="/named#{fragment}">a</a>', ("broken-fragment", url))
        page.add('<a href="/to-named#gone">a</a>', ("broken-fragment", self.main.url("/to-named#gone")))
        page.add('<a href="#nothing">a</a>', ("broken-fragment", f"{page.url}#nothing"))
        good_page(self.main, "/fragments?", ['<p id="something">a</p>'])
        page.add('<a href="?#something">a</a>').add(
            '<a href="?#nothing">a</a>', ("broken-fragment", f"{page.url}?#nothing")
        )

    def _redirects(self) -> None:
        """Chains, circles, moves for good, and redirects that end where nothing is."""
        good_page(self.main, "/end")
        page, main = self.page("/redirects"), self.main
        for name, statuses in {"two": (302, 302), "three": (302, 301, 307)}.items():
            for step, status in enumerate(statuses):
                last = step == len(statuses) - 1
                main.redirect(f"/chain/{name}/{step}", "/end" if last else f"/chain/{name}/{step + 1}", status)
            page.add(f'<a href="/chain/{name}/0">a</a>', ("redirect-chain", main.url(f"/chain/{name}/0")))
        (
            main.redirect("/circle/1", "/circle/2"),
            main.redirect("/circle/2", "/circle/1"),
            main.redirect("/circle/0", "/circle/0"),
        )
        for number in (0, 1):
            page.add(f'<a href="/circle/{number}">a</a>', ("redirect-loop", main.url(f"/circle/{number}")))
        for status in (301, 308):
            url = main.redirect(f"/moved/{status}", "/end", status)
            page.add(f'<a href="/moved/{status}">a</a>', ("redirect-permanent", url))
            away = self.other.redirect(f"/moved/{status}", "/fine.png", status)
            page.add(f'<img src="{away}" alt="">', ("redirect-permanent", away))
        url = main.redirect("/folder", "/folder/", 301)
        good_page(main, "/folder/")
        page.add('<a href="/folder">a</a>', ("redirect-permanent", url))
        for status in (301, 302):
            url = main.redirect(f"/to-nothing/{status}", "/missing/behind", status)
            page.add(f'<a href="/to-nothing/{status}">a</a>', ("broken", url))
        serve_file(self.other, "/fine.png")

    # -- pages ---------------------------------------------------------------------------------------------------------

    def _contents(self) -> None:
        """What a page lacks, or has too much of."""
        lacks: dict[str, dict[str, Any]] = {
            "title-missing": {"title": None},
            "description-missing": {"description": None},
            "h1-missing": {"heading": "<h2>A small heading</h2>"},
        }
        for code, more in lacks.items():
            page = self.page(f"/contents/{code}", **more)
            page.is_wrong(code, page.url)
        empty = self.page("/contents/empty-title", title=" ")
        empty.is_wrong("title-missing", empty.url)
        page = self.page("/contents/h1-multiple")
        page.add("<p>text</p>\n<h1>Another one</h1>", ("h1-multiple", page.url), at=1)
        page = self.page("/contents/alt-missing")
        for number, markup in enumerate(
            ("<img src='{0}'>", "<p>\n<img src='{0}' width=20>", "<input type=image src='{0}'>")
        ):
            serve_file(self.main, f"/images/{number}.png")
            url = self.main.url(f"/images/{number}.png")
            page.add(markup.format(f"/images/{number}.png"), ("alt-missing", url), at=markup.count("\n"))
        self._weights()
        page = self.page("/contents/charset", headers=[])
        text = "Grüße aus Köln, schöne Übersicht über die Straße. " * 8
        source = page.source().replace(b"</body>", f"<p>{text}</p></body>".encode("latin-1"))
        page.serve = lambda: self.main.serve(page.path, source, headers=[("Content-Type", "text/html; charset=utf-8")])  # type: ignore[method-assign]
        page.is_wrong("charset-wrong", page.url)

    def _weights(self) -> None:
        """A slow page and a large one."""
        page = self.page("/contents/large").add("<p>" + "much text " * 20_000)
        page.is_wrong("large", page.url)
        page = self.page("/contents/slow")
        page.is_wrong("slow", page.url)
        page.serve = _late(self.main, page)  # type: ignore[method-assign]

    def _doubles(self) -> None:
        """Titles and descriptions that several pages have."""
        for number in range(3):
            page = self.page(f"/doubles/{number}", title="The same title", description="The same description")
            page.add(f"<p>page {number}").is_wrong("title-duplicate", "The same title")
            page.is_wrong("description-duplicate", "The same description")

    def _links_between(self) -> None:
        """Pages that contradict each other."""
        main = self.main
        orphans = [good_page(main, f"/orphans/{n}", [f'<a href="/orphans/{n}">itself</a>']) for n in range(2)]
        missing = main.url("/missing/in-sitemap")
        urls = "\n".join(f"<url><loc>{url}</loc></url>" for url in [main.url("/places"), *orphans, missing])
        named = main.serve("/sitemap.xml", f"<urlset>\n{urls}\n</urlset>".encode(), headers=XML)
        self.expected.add("broken", missing, named, None)
        for url in orphans:
            self.expected.add("orphan", url, named, None)
        page, hidden = (
            self.page("/between"),
            good_page(main, "/hidden", head=['<meta name="robots" content="noindex">']),
        )
        page.add('<a href="/hidden">a</a>', ("linked-noindex", hidden))
        page.add('<a href="/closed/page">a</a>', ("linked-disallowed", main.url("/closed/page")))
        for name, target in {"broken": "/missing/canonical", "moved": "/moved/302", "hidden": "/hidden"}.items():
            of = self.page(f"/canonical/{name}")
            of.add_to_head(f'<link rel="canonical" href="{main.url(target)}">', ("canonical-broken", main.url(target)))
        main.redirect("/moved/302", "/end", 302)
        english, german = self.page("/en"), self.page("/de")
        english.add_to_head(
            f'<link rel="alternate" hreflang="de" href="{german.url}">', ("hreflang-unreturned", german.url)
        )

    def _addresses(self) -> None:
        """What is no URL."""
        page = self.page("/addresses")
        for text in NO_URLS:
            page.add(f'<a href="{text}">a</a>', ("url-invalid", text))

    def _mixed(self) -> None:
        """A page of https that loads by http. What is on loopback may be loaded so: browsers trust it."""
        page = self.page("/", self.https)
        for number, markup in enumerate(
            (
                '<link rel="stylesheet" href="{0}">',
                '<img src="{0}" alt="">',
                '<p style="background: url({0})">a</p>',
                '<iframe src="{0}"></iframe>',
                '<script src="{0}"></script>',
                '<video poster="{0}"></video>',
            )
        ):
            url = f"http://nosuch.invalid/mixed/{number}"
            page.add(markup.format(url), ("mixed-content", url), ("broken", url))
            page.add(markup.format(self.main.url("/fine.png" if number else "/fine.css")))
        page.add(
            '<a href="http://nosuch.invalid/link">a link may lead there</a>', ("broken", "http://nosuch.invalid/link")
        )


def _late(site: Site, page: Page) -> Callable[[], str]:
    source = page.source()

    def answer(call: Call) -> None:
        call.wait(3.5)
        call.answer(source)

    def serve() -> str:
        site.pages[page.path] = answer
        return page.url

    return serve


def tls_of(authority: trustme.CA, days: int = 365, name: str = "127.0.0.1") -> ssl.SSLContext:
    """The server's side of TLS, with a certificate that holds for so many days from now."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=until - datetime.timedelta(days=400), not_after=until).configure_cert(context)
    return context
