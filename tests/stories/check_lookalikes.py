"""What looks like a fault of a site and is none: a check has to say nothing of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

from tests.servers import Call, head, raw
from tests.stories.check_pages import good_page, serve_file
from tests.stories.check_places import PLACES
from tests.stories.sites import Site

NO_PLACES: Final = (
    "<!-- <a href='/never/comment'>a</a> -->",
    "<!--[if lt IE 9]><script src='/never/conditional.js'></script><![endif]-->",
    "<script>var a = \"<a href='/never/script'>a</a>\"; var b = '/never/string.png';</script>",
    '<script type="application/ld+json">{"url": "/never/json", "image": "/never/json.png"}</script>',
    "<style>/* url(/never/css.png) */ p::before { content: 'url(/never/string.png)' }</style>",
    "<textarea><a href='/never/textarea'>a</a></textarea>",
    "<p title=\"<a href='/never/attribute'>\">a</p>",
    "<p>&lt;a href='/never/text'&gt; and http://127.0.0.1:9/never/plain</p>",
    "<p data-url='/never/data' href='/never/p'>a</p>",
    "<a>no address</a>",
    "<a name='anchor'></a>",
    "<a href='data:text/html,<p>a'>a</a>",
    "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' alt=''>",
    "<img srcset='data:image/gif;base64,R0lGODlhAQABAAAAACw= 2x' src='/fine.png' alt=''>",
    "<p style='background: url(data:image/png;base64,iVBORw0KGgo=)'>a</p>",
    "<a href='mailto:somebody@example.org?subject=a%20b'>a</a>",
    "<a href='tel:+49-30-123'>a</a>",
    "<a href='sms:+4930123'>a</a>",
    "<a href='javascript:void(0)'>a</a>",
    "<a href='JavaScript:open(\"/never/js\")'>a</a>",
    "<a href='about:blank'>a</a>",
    "<iframe src='about:blank'></iframe>",
    "<a href='whatsapp://send?text=a'>a</a>",
    "<a href='blob:http://127.0.0.1/never'>a</a>",
    "<form action='/never/post' method='post'><button>go</button></form>",
    "<form method='POST'><button formaction='/never/post2'>go</button></form>",
    "<a ping='/never/ping' href='/'>a</a>",
    "<blockquote cite='/never/cite'>a</blockquote>",
    "<img data-src='/never/lazy.png' src='/fine.png' alt=''>",
    "<svg xmlns='http://www.w3.org/2000/svg' xmlns:x='http://never.invalid/ns'><g id='in-svg'/></svg>",
    "<template><a href='/never/template'>a</a></template>",
    "<details><summary>a</summary><p>b</p></details>",
    "<img src='/fine.png' alt=''>",
    "<img src='/fine.png' alt role='presentation'>",
    "<img src='/fine.png' aria-hidden='true'>",
    "<img src='/fine.png' width=1 height=1>",
    "<h2>One more heading</h2>",
)
"""`/never/...` must never be asked for."""
IN_HEAD: Final = (
    "<link rel='preconnect' href='http://never.invalid'>",
    "<link rel='dns-prefetch' href='//never.invalid'>",
    "<link rel='profile' href='http://never.invalid/profile'>",
    "<meta property='og:url' content='http://127.0.0.1:9/never/og'>",
    "<meta name='url' content='/never/meta'>",
)
FRAGMENTS: Final = (
    *(
        "#",
        "#top",
        "#TOP",
        "#:~:text=a",
        "#here",
        "#here:~:text=a",
        "#/route",
        "#!/route",
        "#in-svg",
        "#b%20c",
        "#%C3%BC",
    ),
    *("#&uuml;", "#&#252;", "#old-anchor", "#a.b:c", "#100", "#x=1&y=2"),
)
ELSEWHERE: Final = (
    "/named#a",
    "/named#%C3%BC",
    "/named#ü",
    "/named#c",
    "/named#d%20e",
    "/to-named#a",
    "/named",
    "/fine.png#xywh=1,2,3,4",
)

ODD: Final = {
    "/odd/a%20b": ("/odd/a b", "/odd/a%20b", "/odd/a&#32;b"),
    "/odd/%C3%BC": ("/odd/ü", "/odd/%C3%BC", "/odd/&uuml;", "/odd/%c3%bc"),
    "/odd/q?a=1&b=2": ("/odd/q?a=1&b=2", "/odd/q?a=1&amp;b=2"),
    "/odd/q?x=a%20b": ("/odd/q?x=a b",),
    "/odd/(a),b;c": ("/odd/(a),b;c",),
    "/odd/a%2Fb": ("/odd/a%2Fb",),
    "/odd/dots": ("/odd/./x/../dots", "\\odd\\dots", "/odd/do\nts"),
    "/odd/~user": ("/odd/~user", "/odd/%7Euser"),
    "/odd/'q'": ("/odd/'q'",),
}
"""Paths, and spellings that browsers read as them."""
HEAD_REFUSED: Final = (400, 403, 404, 405, 406, 500, 501, 502)
"""Answers to HEAD where GET is good."""
COUNT: Final = sum(
    (
        *map(len, (PLACES, NO_PLACES, IN_HEAD, FRAGMENTS, ELSEWHERE)),
        *map(len, ODD.values()),
        2 * len(HEAD_REFUSED),
        len(
            (
                "302",
                "303",
                "307",
                "busy",
                "away",
                "breaks-head",
                "body-to-head",
                "empty",
                "captchas",
                "hreflang",
                "copy",
            )
        ),
    )
)


def serve(main: Site, other: Site) -> list[str]:
    """Serve all; the pages that are to be linked."""
    pages = [
        good_page(main, "/harmless/places", NO_PLACES, IN_HEAD),
        _good_places(main),
        _fragments(main),
        _spellings(main),
        _redirects(main),
        _answers(main, other),
        *_hreflang(main),
        *_copies(main),
        _base(main),
        good_page(
            main, "/harmless/canonical", head=[f'<link rel="canonical" href="{main.url("/harmless/canonical")}">']
        ),
    ]
    good_page(main, "/harmless/unlinked", head=['<meta name="robots" content="noindex">'])
    return pages


def _good_places(main: Site) -> str:
    """Each kind of place with a target that is there."""
    heads: list[str] = []
    bodies: list[str] = []
    for number, place in enumerate(PLACES):
        path = f"/there/{number}-{place.name}.{place.ending}"
        url = main.url(path)
        if place.ending == "html":
            good_page(main, path)
        else:
            serve_file(main, path)
        (heads if place.in_head else bodies).append(
            place.text.format(url=path, absolute=url, relative=url.removeprefix("http:"))
        )
    return good_page(main, "/harmless/there", bodies, heads)


def _fragments(main: Site) -> str:
    names = [
        '<p id="here">a</p>',
        '<p id="b c">a</p>',
        '<p id="ü">a</p>',
        '<a name="old-anchor">a</a>',
        '<p id="a.b:c">a</p>',
    ]
    names += ['<p id="100">a</p>', '<svg><g id="in-svg"/></svg>']
    links = [f'<a href="{fragment}">a</a>' for fragment in (*FRAGMENTS, *ELSEWHERE)]
    return good_page(main, "/harmless/fragments", [*names, *links])


def _spellings(main: Site) -> str:
    """Targets with odd names, each in a spelling that browsers read."""
    links = []
    for path, spellings in ODD.items():
        good_page(main, path)
        links += [f'<a href="{spelling}">a</a>' for spelling in spellings]
    good_page(main, "/odd/%7Euser")
    serve_file(main, "/odd/a,b.png")
    links.append('<img srcset="/odd/a,b.png 1x, /fine.png 2x" src="/fine.png" alt="">')
    return good_page(main, "/harmless/spellings", links)


def _redirects(main: Site) -> str:
    """Redirects for the time being are no findings."""
    for status in (302, 303, 307):
        main.redirect(f"/passing/{status}", "/end", status)
    return good_page(main, "/harmless/redirects", [f'<a href="/passing/{status}">a</a>' for status in (302, 303, 307)])


def _answers(main: Site, other: Site) -> str:
    """Servers that answer HEAD otherwise than GET, or ask to wait."""
    links = []
    for site, status in itertools.product((main, other), HEAD_REFUSED):
        path = f"/head/{status}.png"
        site.pages[path] = lambda call, status=status: call.answer(b"x", status if call.seen.method == "HEAD" else 200)  # type: ignore[misc]
        links.append(f'<img src="{site.url(path)}" alt="">')
    for name, status in {"busy": 429, "away": 503}.items():
        other.pages[f"/{name}"] = _once(status)
        links.append(f'<a href="{other.url(f"/{name}")}">a</a>')
    other.pages["/breaks-head"] = lambda call: call.close() if call.seen.method == "HEAD" else call.answer(b"x")
    links.append(f'<a href="{other.url("/breaks-head")}">a</a>')
    other.pages["/body-to-head"] = raw(head(200, [("Content-Length", "1")]) + b"x")
    links.append(f'<a href="{other.url("/body-to-head")}">a</a>')
    links.append(f'<a href="{other.serve("/empty", b"", 204)}">a</a>')
    links.append(f'<a href="{other.serve("/captchas", b"<title>About captchas</title><p>captcha, hcaptcha")}">a</a>')
    return good_page(main, "/harmless/answers", links)


def _once(status: int) -> Callable[[Call], object]:
    """An answer that asks to wait for a second, and then the page."""
    asked: list[Call] = []

    def answer(call: Call) -> None:
        asked.append(call)
        if len(asked) == 1:
            call.answer(b"", status, [("Retry-After", "1")])
        else:
            call.answer(b"now")

    return answer


def _hreflang(main: Site) -> list[str]:
    """Pages that name each other, and themselves."""
    paths = {"en": "/harmless/en", "fr": "/harmless/fr", "x-default": "/harmless/en"}
    links = [f'<link rel="alternate" hreflang="{tag}" href="{main.url(path)}">' for tag, path in paths.items()]
    return [good_page(main, path, head=links) for path in sorted(set(paths.values()))]


def _copies(main: Site) -> list[str]:
    """One page under two addresses: the second names the first as canonical, and titles are not doubled."""
    link = f'<link rel="canonical" href="{main.url("/harmless/first")}">'
    source = good_page(main, "/harmless/first", head=[link])
    again = main.serve("/harmless/first?from=mail", b"", 200)
    main.pages["/harmless/first?from=mail"] = main.pages["/harmless/first"]
    return [source, again]


def _base(main: Site) -> str:
    """A page whose links are resolved by its base."""
    serve_file(main, "/deep/er/image.png")
    return good_page(main, "/harmless/base", ['<img src="image.png" alt="">'], ['<base href="/deep/er/">'])
