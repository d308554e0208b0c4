"""A folder is served as static hosts serve it: what a path leads to, and what is never served."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crawler.check import folder as folders
from crawler.check.folder import Folder, Served
from crawler.check.folder_server import FolderServer, type_of
from crawler.check.redirect_rules import RedirectRules
from crawler.errors import UsageError


@pytest.fixture
def site(tmp_path: Path) -> Path:
    root = tmp_path / "public"
    for name in (
        "index.html",
        "about.html",
        "docs/index.html",
        "both.html",
        "both/index.html",
        "empty/a.txt",
        "a b.html",
    ):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<title>{name}</title>")
    return root


@pytest.mark.parametrize(
    ("target", "status", "end"),
    [
        ("/", 200, "index.html"),
        ("/?x=1", 200, "index.html"),
        ("/index.html", 200, "index.html"),
        ("/about", 200, "about.html"),
        ("/about.html", 200, "about.html"),
        ("/about/", 404, ""),
        ("/docs", 301, "/docs/"),
        ("/docs?x=/y", 301, "/docs/?x=/y"),
        ("/docs/", 200, "docs/index.html"),
        ("/docs/index", 200, "docs/index.html"),
        ("/both", 200, "both.html"),
        ("/both/", 200, "both/index.html"),
        ("/empty", 404, ""),
        ("/empty/", 404, ""),
        ("/empty/a.txt", 200, "empty/a.txt"),
        ("/About", 404, ""),
        ("/DOCS/", 404, ""),
        ("/a%20b", 200, "a b.html"),
        ("/a b.html", 200, "a b.html"),
        ("/docs/../about", 404, ""),
        ("/%2e%2e/public/index.html", 404, ""),
        ("//", 404, ""),
        ("/%00", 404, ""),
    ],
)
def test_what_a_path_leads_to(site: Path, target: str, status: int, end: str) -> None:
    location = end if status == 301 else ""
    assert Folder(str(site)).answer(target) == Served(status, "" if location else end, location)


def test_the_folders_own_page_for_what_is_missing(site: Path) -> None:
    (site / "404.html").write_text("nothing here")
    assert Folder(str(site)).answer("/nowhere") == Served(404, "404.html")


def test_a_case_counts_also_where_the_file_system_passes_over_it(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is known by the names in the list, not by asking for a name."""
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    assert Folder(str(site)).answer("/ABOUT.html").status == 404


def test_nothing_outside_is_served(site: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.html").write_text("secret")
    (site / "file.html").symlink_to(secret / "key.html")
    (site / "folder").symlink_to(secret)
    (site / "within.html").symlink_to(site / "about.html")
    (site / "again").symlink_to(site / "docs")
    (site / "round").symlink_to(site)
    (site / "dangling.html").symlink_to(site / "none")
    for hidden in (".env", ".git/config", ".well-known/security.txt"):
        (site / hidden).parent.mkdir(exist_ok=True)
        (site / hidden).write_text("hidden")
    found = Folder(str(site))
    refused = ("/file.html", "/folder/key.html", "/dangling.html", "/.env", "/.git/config", "/round/index.html")
    assert [found.answer(path).status for path in refused] == [404] * len(refused)
    allowed = ("/within.html", "/again/", "/.well-known/security.txt")
    assert [found.answer(path).status for path in allowed] == [200] * len(allowed)


def test_too_many_files_are_refused(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_FILES", 3)
    with pytest.raises(UsageError, match="more than 3 files"):
        Folder(str(site))


def test_what_a_check_begins_with(site: Path) -> None:
    assert Folder(str(site)).seeds == ["http://folder.invalid/"]
    (site / "index.html").unlink()
    assert Folder(str(site)).seeds == [
        f"http://folder.invalid/{name}" for name in ("a%20b.html", "about.html", "both.html")
    ]
    assert Folder(str(site)).sitemaps == []
    (site / "sitemap.xml").write_text("<urlset/>")
    assert Folder(str(site), "https://example.org").sitemaps == ["https://example.org/sitemap.xml"]
    with pytest.raises(UsageError, match="nor another page to begin with"):
        _ = Folder(str(site / "empty")).seeds


def test_the_future_address(site: Path) -> None:
    found = Folder(str(site), "https://Example.org/project")
    assert (found.base, found.origin, found.host) == (
        "https://example.org/project/",
        "https://example.org",
        "example.org",
    )
    assert found.answer("/project/about") == Served(200, "about.html")
    assert found.answer("/project/docs") == Served(301, location="/project/docs/")
    assert found.answer("/about").status == 404
    assert found.file_of("https://example.org/project/docs/#x") == f"{site}/docs/index.html"
    assert found.file_of("https://example.org/project/none") is None
    assert found.file_of("https://other.example/") is None
    assert Folder(str(site)).crawl != found.crawl == Folder(f"{site}/", "https://example.org/project/").crawl
    for base in ("example.org", "ftp://example.org", "https://example.org/?x"):
        with pytest.raises(UsageError, match="--base"):
            Folder(str(site), base)


def test_the_address_that_a_folder_names(site: Path) -> None:
    assert Folder(str(site)).named_address == ""
    (site / "sitemap.xml").write_text(
        "<urlset xmlns='http://www.sitemaps.org/x'><url><loc>https://a.example/x</loc></url>"
    )
    assert Folder(str(site)).named_address == "https://a.example/"
    (site / "index.html").write_text("<a href='http://c.example/'><LINK href=https://b.example:8080/y rel='canonical'>")
    assert Folder(str(site)).named_address == "https://b.example:8080/"
    (site / "index.html").write_text("<link rel=canonical href='/'>")
    assert Folder(str(site)).named_address == ""


REDIRECTS = """
# comment
/old /about 301
/old-news/* /docs/:splat   # moved
/blog/:year/:slug https://blog.example/:slug?y=:year 302
/shown /about 200
/about /docs/ 302!
/index.html /elsewhere
/country / 302 Country=de
/gone /none.html 200
/loop /loop
/broken
/bad /x 999
"""


@pytest.mark.parametrize(
    ("target", "served"),
    [
        ("/old", Served(301, location="/about")),
        ("/old-news/a/b", Served(301, location="/docs/a/b")),
        ("/old-news", Served(301, location="/docs/")),
        ("/old-newspaper", Served(404)),
        ("/blog/2024/hello", Served(302, location="https://blog.example/hello?y=2024")),
        ("/shown", Served(200, "about.html")),
        ("/about", Served(302, location="/docs/")),
        ("/index.html", Served(200, "index.html")),
        ("/country", Served(404)),
        ("/gone", Served(404)),
        ("/loop", Served(404)),
        ("/bad", Served(404)),
    ],
)
def test_redirects_of_a_file(site: Path, target: str, served: Served) -> None:
    (site / "_redirects").write_text(REDIRECTS)
    assert Folder(str(site)).answer(target) == served


def test_hostile_redirects_end() -> None:
    rules = RedirectRules.parse("/" + ":a/:b/" * 200 + "* /x\n" + "/*/* /y\n" + "\x00 \xff\n" * 10)
    assert rules.of("/" + "x/" * 5_000) in (None, (301, "/x"))


# -- over HTTP ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(site: Path) -> Iterator[FolderServer]:
    with FolderServer(Folder(str(site))) as server:
        yield server


def ask(server: FolderServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    target = urlsplit(server.route.target)
    connection = http.client.HTTPConnection(target.netloc, timeout=10)
    connection.request(
        method, target.path + path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_a_file_comes_with_its_type_and_is_not_sent_twice(served: FolderServer, site: Path) -> None:
    status, headers, body = ask(served, "/about")
    assert (status, headers["content-type"], body) == (200, "text/html; charset=utf-8", b"<title>about.html</title>")
    known = {"If_None_Match": headers["etag"], "If_Modified_Since": headers["last-modified"]}
    assert ask(served, "/about", **known)[::2] == (304, b"")
    os.utime(site / "about.html", (2_000_000_000, 2_000_000_000))
    assert ask(served, "/about", **known)[0] == 304, "the same content at another time"
    (site / "about.html").write_text("<title>changed</title>")
    assert ask(served, "/about", **known)[::2] == (200, b"<title>changed</title>")


def test_head_has_no_body(served: FolderServer) -> None:
    status, headers, body = ask(served, "/about", "HEAD")
    assert (status, headers["content-length"], body) == (200, "25", b"")


def test_a_large_file_is_sent_in_pieces(served: FolderServer, site: Path) -> None:
    with (site / "about.html").open("wb") as file:
        file.truncate((8 << 20) + 1)
    status, headers, body = ask(served, "/about")
    assert (status, len(body)) == (200, (8 << 20) + 1)
    assert ask(served, "/about", If_None_Match=headers["etag"])[0] == 304


def test_a_file_that_vanishes_is_missing(served: FolderServer, site: Path) -> None:
    (site / "about.html").unlink()
    assert ask(served, "/about")[0] == 404


def test_redirects_and_missing_ones(served: FolderServer) -> None:
    assert (ask(served, "/docs")[0], ask(served, "/docs")[1]["location"]) == (301, "/docs/")
    assert ask(served, "/nowhere")[::2] == (404, b"not found\n")
    assert ask(served, "/about", "POST")[0] == 501


def test_nobody_else_can_read_it(served: FolderServer) -> None:
    netloc = urlsplit(served.route.target).netloc
    for path in ("/", "/about", "/0123456789abcdefghijkl/about", f"/{served.secret}"):
        connection = http.client.HTTPConnection(netloc, timeout=10)
        connection.request("GET", path)
        assert connection.getresponse().status == 404
        connection.close()


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("x/a.JS", "text/javascript; charset=utf-8"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.woff2", "font/woff2"),
        ("a.svg", "image/svg+xml"),
        ("a.tar.gz", "application/gzip"),
        ("sitemap.xml", "application/xml"),
        ("README", "application/octet-stream"),
        ("x.y/README", "application/octet-stream"),
    ],
)
def test_types_by_ending(name: str, type_: str) -> None:
    assert type_of(name) == type_
