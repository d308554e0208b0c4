"""Situations of more than one answer: see `hostile`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import trustme

from tests.fetch.conftest import tls_context
from tests.fetch.hostile import (
    HTML,
    busy_once,
    digest,
    document,
    full_queue,
    million_links,
    old_tls,
    self_signed,
    sized,
    whole,
)
from tests.servers import Behaviour, Call, head, page, raw
from tests.stories.hostile import DROPPED, HEAVY, MAX_LINKS, READ, SENT_ON, Stage
from tests.stories.sites import Site


class Scene(NamedTuple):
    """A situation of any number of hosts and answers."""

    rows: tuple[int, ...]
    play: Callable[[Stage], None]


SCENES: Final[list[Scene]] = []


def scene(*rows: int) -> Callable[[Callable[[Stage], None]], None]:
    return lambda play: SCENES.append(Scene(rows, play))


def family(stage: Stage, behaviour: Behaviour, size: int = 12) -> Site:
    """A host whose pages all have the same *behaviour*, and each must come under its own name."""
    site = stage.host()
    paths = [f"/{n}" for n in range(size)]
    for path in paths:
        site.pages[path] = behaviour
        stage.found(site.url(path), title=path, digest=digest(document(path)))
    stage.index(site, paths)
    return site


@scene(4)
def nobody_accepts(stage: Stage) -> None:
    port = stage.stack.enter_context(full_queue())
    stage.seed(f"http://127.0.0.1:{port}/", ("failed:connect", "failed:timeout"))


@scene(13)
def an_answer_behind_the_answer(stage: Stage) -> None:
    family(stage, lambda call: call.send(whole(call.seen.path) + whole("/evil")))


@scene(19)
def closed_as_it_is_used_again(stage: Stage) -> None:
    used: set[int] = set()

    def behaviour(call: Call) -> None:
        if call.seen.connection in used:
            call.close()
        else:
            used.add(call.seen.connection)
            call.send(whole(call.seen.path))

    family(stage, behaviour)


@scene(21)
def early_hints_before_each_page(stage: Stage) -> None:
    family(stage, lambda call: call.send(head(103, [("Link", "</x.css>")]) + head(102) + whole(call.seen.path)))


@scene(27)
def cookies_of_240_kb(stage: Stage) -> None:
    cookies = [("Set-Cookie", f"c{n}={'x' * 3000}; Path=/") for n in range(80)]
    site = family(stage, lambda call: call.send(whole(call.seen.path, *cookies)), size=3)
    stage.checks.append(lambda _: not any("cookie" in seen.headers for seen in site.seen))


@scene(24, 29)
def busy_with_a_nonsense_retry_after(stage: Stage) -> None:
    long_ago = "Thu, 01 Jan 1970 00:00:00 GMT"
    for status, value in ((429, "soon"), (503, "-5"), (999, ""), (429, long_ago), (503, "1e99"), (429, "\xb2")):
        site = stage.host()
        site.pages["/busy"] = busy_once(status, value)
        stage.seed(site.url("/busy"), title="/busy")
        stage.checks.append(lambda _, site=site: site.asked()["/busy"] > 1)  # type: ignore[misc]


@scene(30)
def certificates_that_do_not_fit(stage: Stage) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    good = stage.authority.issue_cert("127.0.0.2")
    site = stage.secure(tls_context(good))
    stage.seed(site.on("/trusted", lambda call: call.answer(document(call.seen.path))), title="/trusted")
    for context in (
        tls_context(stage.authority.issue_cert("127.0.0.2", not_after=past)),
        tls_context(stage.authority.issue_cert("other.test")),
        tls_context(trustme.CA().issue_cert("127.0.0.2")),
        self_signed(),
        old_tls(good),
    ):
        site = stage.secure(context)
        stage.seed(site.url("/"), ("failed:tls",))
        stage.never_asked(site)


@scene(31)
def charsets_that_are_unknown_or_wrong(stage: Stage) -> None:
    site, text = stage.host(), "Grüße aus Köln"
    plain = f"<!doctype html><title>{text}</title><p>Viele {text}".encode()
    narrow, wide = plain.decode().encode("latin-1"), plain.decode().encode("utf-16-le")
    lying = plain.replace(b"<title>", b"<meta charset=iso-8859-1><title>")
    cases = [
        (["text/html; charset=nope"], plain, text),
        ([], plain, text),
        (
            ["text/html; charset=utf-8"],
            narrow,
            text.replace("ü", "\ufffd").replace("ß", "\ufffd").replace("ö", "\ufffd"),
        ),
        (["text/html; charset=utf-8"], lying, text),
        (["text/html; charset=iso-8859-1"], b"\xef\xbb\xbf" + plain, text),
        (["text/html"], b"\xff\xfe" + wide, text),
        (["text/html; charset=utf-16le"], wide, text),
        (["text/html"], wide, None),
        (['text/html; charset="\xff'], plain, text),
    ]
    for n, (kinds, body, title) in enumerate(cases):
        lines = [("Content-Type", kind) for kind in kinds]
        site.pages[f"/{n}"] = raw(head(200, [("Content-Length", str(len(body))), *lines]), body, close=False)
        stage.found(site.url(f"/{n}"), title=title)
    stage.index(site, [f"/{n}" for n in range(len(cases))])


@scene(32)
def types_that_lie(stage: Stage) -> None:
    site, attachment = stage.host(), ("Content-Disposition", 'attachment; filename="../../x.html"')
    served = {
        "/html-as-image": ([("Content-Type", "image/png")], document("/html-as-image"), DROPPED),
        "/pdf-as-html": (HTML, b"%PDF-1.7\n\0\1\2\xff", READ),
        "/attachment": ([*HTML, attachment], document("/attachment"), READ),
        "/zip": ([("Content-Type", "application/zip"), attachment], b"PK\3\4", DROPPED),
        "/no-type": ([("Content-Type", "nonsense")], document("/no-type"), READ),
        "/doubled": ([("Content-Type", "text/html, text/html")], document("/doubled"), READ),
        "/film": ([("Content-Type", "*/*")], b"\0\0\0\x20ftypisom" * 999, DROPPED),
    }
    for path, (headers, body, outcomes) in served.items():
        stage.found(site.serve(path, body, headers=headers), outcomes, status=200)
    stage.index(site, served)


@scene(50)
def a_million_links(stage: Stage) -> None:
    site = stage.large
    site.pages["/many"] = sized(million_links("/many"))  # made now, so that the crawl need not wait for it
    stage.seed(site.url("/many"), HEAVY, title="/many", truncated=True)
    for n in range(MAX_LINKS):
        stage.found(site.url(f"/many/{n}"), ("missing", "dropped:trap"), optional=True, status=404)


# -- redirects and URLs ------------------------------------------------------------------------------------------------


def locate(site: Site, path: str, location: str | None) -> None:
    """Answer *path* by a redirect to *location*, whose characters are bytes."""
    lines = [] if location is None else [("Location", location)]
    site.pages[path] = raw(head(302, [("Content-Length", "0"), *lines]), close=False)


def sends_on(stage: Stage, site: Site, locations: Mapping[str, str], targets: Mapping[str, str]) -> None:
    """Pages of *site* that redirect, and where to: *targets*, where it is not the location itself."""
    for path, location in locations.items():
        locate(site, path, location)
        stage.found(site.url(path), SENT_ON, redirect_to=targets.get(path, location))
    stage.index(site, locations)


@scene(33)
def loops_and_a_chain_of_a_thousand(stage: Stage) -> None:
    site = stage.host()
    for n in range(1_000):
        site.redirect(f"/chain/{n}", f"/chain/{n + 1}")
    for n in range(21):
        outcomes = SENT_ON if n < 20 else (*SENT_ON, "failed:redirect-loop")
        stage.found(site.url(f"/chain/{n}"), outcomes, redirect_to=site.url(f"/chain/{n + 1}"))
    stage.closes([site.redirect(f"/loop/{n}", f"/loop/{(n + 1) % 3}") for n in range(3)])
    stage.found(site.redirect("/self", "/self"), ("failed:redirect-loop",))
    stage.index(site, ["/chain/0", "/loop/0", "/self"])


@scene(34)
def redirects_to_what_is_not_http(stage: Stage) -> None:
    wild = ("file:///etc/passwd", "javascript:alert(1)", "mailto:a@b.example", "data:text/html,x", "ftp://127.0.0.1/")
    sends_on(stage, stage.host(), {f"/{target.partition(':')[0]}": target for target in wild}, {})


@scene(35)
def redirects_to_private_addresses(stage: Stage) -> None:
    """From seeds, which may lead out of their site, but never to an address that only a seed may name."""
    site, secret = stage.host(), stage.host()
    stage.never_asked(secret)
    names = ["127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "localhost", "a.localhost"]
    names += ["[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", secret.host]
    for n, name in enumerate(names):
        stage.seed(site.redirect(f"/{n}", secret.url("/", name)), SENT_ON)


@scene(37)
def redirects_out_of_scope_and_past_robots_txt(stage: Stage) -> None:
    site, other = stage.host(), stage.host()
    site.robots = b"User-agent: *\nDisallow: /denied/\n"
    site.serve("/denied/page", document("/denied/page"))
    stage.found(site.url("/denied/page"), ("dropped:robots",))
    stage.never_asked(other)
    stage.checks.append(lambda _: "/denied/page" not in site.asked())
    sends_on(
        stage,
        site,
        {"/out": other.url("/"), "/past": "/denied/page"},
        {"/past": site.url("/denied/page")},
    )


@scene(38)
def redirects_to_what_was_seen_and_back(stage: Stage) -> None:
    site, secure = stage.host(), stage.secure(tls_context(stage.authority.issue_cert("127.0.0.2")))
    paths = {"/seen": "/", "/slash": "/slash/", "/slash/": "/slash"}
    to_https = {"/scheme": secure.on("/scheme", page(b"", 301, [("Location", site.url("/scheme"))]))}
    sends_on(stage, site, paths | to_https, {path: site.url(target) for path, target in paths.items()})
    stage.seed(secure.url("/scheme"), SENT_ON, redirect_to=site.url("/scheme"))
    stage.closes([site.url("/slash"), site.url("/slash/")])
    stage.closes([site.url("/scheme"), secure.url("/scheme")])


@scene(39)
def locations_of_every_kind(stage: Stage) -> None:
    site, u = stage.host(), "ü".encode().decode("latin-1")
    locations = {
        "/relative": "in/here?x#y",
        "/query": "?x",
        "/utf8": f"/{u}",
        "/latin1": "/\xfc",
        "/folded": "/fol\r\n\tded",
        "/slashes": "//",
        "/port": "http://127.0.0.1:99999/",
        "/bracket": "http://[::1/",
        "/blank": "http:// /",
        "/backslashes": "\\\\other.example\\x",
    }
    reached = {"/relative": "/in/here?x", "/query": "/query?x", "/utf8": "/%C3%BC", "/folded": "/fol%20ded"}
    for target in (*reached.values(), "/%FC"):
        stage.found(site.serve(target, document(target), headers=HTML), title=target)
    targets = {path: site.url(target) for path, target in (reached | {"/latin1": "/%FC"}).items()}
    sends_on(stage, site, locations, targets | {"/backslashes": "http://other.example/x"})
    for path, location in (("/missing", None), ("/empty", "")):
        locate(site, path, location)
        stage.seed(site.url(path), ("failed:http",), status=302)


@scene(40)
def line_ends_in_urls(stage: Stage) -> None:
    site = stage.host()
    split = ["/a%0D%0AEvil:%201?b%0D%0AEvil:%202", "/linkEvil:%201"]
    site.redirect("/go", split[0].lower().replace("evil", "Evil"))
    stage.found(site.url("/go"), SENT_ON, redirect_to=site.url(split[0]))
    for target in split:
        stage.found(site.serve(target, document(target), headers=HTML), title=target)
    stage.checks.append(lambda _: not any("evil" in seen.headers for seen in site.seen))
    stage.index(site, ["/go", "/link&#13;&#10;Evil: 1"])


@scene(41)
def names_and_passwords_in_urls(stage: Stage) -> None:
    site = stage.host()
    for path in ("/to-itself", "/link"):
        site.serve(path, document(path))
    site.redirect("/go", f"http://user:secret@{site.authority}/to-itself")
    stage.found(site.url("/go"), SENT_ON)
    stage.index(site, ["/go", f"http://user:secret@{site.authority}/link"])
    stage.checks.append(lambda _: not any("authorization" in seen.headers for seen in site.seen))


@scene(42)
def urls_of_megabytes(stage: Stage) -> None:
    site = stage.host()
    site.redirect("/go", "/" + "x" * 10_000)
    stage.found(site.url("/go"), SENT_ON)
    stage.index(site, ["/go", *("/" + "x" * size for size in (3_000, 10_000, 2_000_000))])


@scene(44)
def odd_characters_in_links(stage: Stage) -> None:
    site = stage.host()
    asked = {
        "/%2F": "/%2F",
        "/%2f/": "/%2F/",
        "/%41": "/A",
        "/%zz": "/%zz",
        "/%00": "/%00",
        "/%C0%AF": "/%C0%AF",
        "/a b": "/a%20b",
        "/a|b": "/a|b",
        "/a^b": "/a%5Eb",
        "/back\\slash": "/back/slash",
        "/t\tab\n": "/tab",
        "/x/../y/./z": "/y/z",
        "/%2e%2e/up": "/up",
    }
    for target in asked.values():
        stage.found(site.serve(target, document(target), headers=HTML), title=target)
    stage.index(site, asked)


# -- content -----------------------------------------------------------------------------------------------------------


@scene(46)
def one_content_under_many_urls(stage: Stage) -> None:
    site, body = stage.host(), document("the same")
    paths = ["/first", "/second", "/third"]
    for path in paths:
        stage.found(site.serve(path, body, headers=HTML), title="the same", digest=digest(body))
    stage.index(site, paths)


@scene(53)
def entities_that_lead_elsewhere(stage: Stage) -> None:
    site, secret = stage.host(), stage.host()
    stage.never_asked(secret)
    entities = f'<!ENTITY a SYSTEM "{secret.url("/a")}"><!ENTITY b SYSTEM "file:///etc/passwd">'
    body = f'<?xml version="1.0"?><!DOCTYPE html [{entities}]><html><p>&a;&b;</p></html>'.encode()
    kinds = (
        "text/html",
        "text/xml",
        "application/xml",
        "application/xhtml+xml",
        "application/rss+xml",
        "image/svg+xml",
    )
    for n, (kind, outcomes) in enumerate(zip(kinds, [READ] * 5 + [DROPPED], strict=True)):
        url = stage.found(site.serve(f"/{n}", body, headers=[("Content-Type", kind)]), outcomes)
        stage.checks.append(lambda records, url=url: "root:" not in str(records[url]))  # type: ignore[misc]
    stage.index(site, [f"/{n}" for n in range(len(kinds))])


@scene(58)
def soft_errors_and_refresh_loops(stage: Stage) -> None:
    site = stage.host()
    pages = {
        "/soft-404": document("/soft-404"),
        "/login": document("/login"),
        "/refresh/a": document("/refresh/a", meta='<meta http-equiv=refresh content="0; url=b">'),
        "/refresh/b": document("/refresh/b", meta='<meta http-equiv=refresh content="0; url=a">'),
        "/refresh/itself": document("/refresh/itself", meta='<meta http-equiv=refresh content="0">'),
        "/base": document(
            "/base", ["x"], '<base href="javascript:0"><base href="//"><base href="/sub/"><base href="/no/">'
        ),
        "/sub/x": document("/sub/x"),
    }
    for path, body in pages.items():
        stage.found(site.serve(path, body, headers=HTML), title=path)
    for n in range(5):
        stage.found(site.redirect(f"/members/{n}", "/login"), SENT_ON, redirect_to=site.url("/login"))
    members = [f"/members/{n}" for n in range(5)]
    stage.index(site, ["/soft-404", "/refresh/a", "/refresh/itself", "/base", *members])
