"""The URLs of style sheets, beside tinycss2's tokens as the reference; and of manifests and `srcset`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tinycss2
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.parse.srcset import candidates
from crawler.parse.style_sheet import sheet_references, sheet_text
from tests.parse.place_pages import lines, named, places_of

DATA = Path(__file__).parents[1] / "data" / "links"


def read(css: str) -> list[tuple[str, str, int]]:
    return [(each.kind, each.url, each.line) for each in sheet_references(css)]


@pytest.mark.parametrize(
    ("css", "wanted"),
    [
        ("a{b:url(x)}", [("css", "x", 1)]),
        ("a{b:url( x )}", [("css", "x", 1)]),
        ("a{b:url('x y')}", [("css", "x y", 1)]),
        ('a{b:URL("x"), url(y)}', [("css", "x", 1), ("css", "y", 1)]),
        ("a{b:src('x')}", [("css", "x", 1)]),
        ("a{\n\nb:url(x)}\nc{d:url(y)}", [("css", "x", 3), ("css", "y", 4)]),
        ("a{\r\nb:url(x)\r\n}\rc{d:url(y)}", [("css", "x", 2), ("css", "y", 3)]),
        ("a{\rb:url(x)\r}\rc{d:url(y)}", [("css", "x", 2), ("css", "y", 4)]),
        ("/* url(no)\n */a{b:url(x)}", [("css", "x", 2)]),
        ("a{content:'url(no)';b:url(x)}", [("css", "x", 1)]),
        ('a{content:"\\"url(no)";b:url(x)}', [("css", "x", 1)]),
        ("a{content:'not closed\n;b:url(x)}", [("css", "x", 1 + 1)]),
        ("a{b:u\\72l(x)}", [("css", "x", 1)]),
        ("a{b:u\\000072 l(x)}", [("css", "x", 1)]),
        ("a{b:url(x\\29 y)}", [("css", "x)y", 1)]),
        ("a{b:url(x\\)y)}", [("css", "x)y", 1)]),
        ("a{b:url(x y);c:url(z)}", [("css", "z", 1)]),
        ("a{b:url(x'y);c:url(z)}", [("css", "z", 1)]),
        ("a{b:url(x", [("css", "x", 1)]),
        ("a{b:url(\\\n);c:url(x)}", [("css", "x", 2)]),
        ("a{b:myurl(x)}", []),
        ("a{b:my-url(x)}", []),
        (".bg-\\[url\\(no\\)\\]{b:url(x)}", [("css", "x", 1)]),
        (".a\\'b{b:url('x')}", [("css", "x", 1)]),
        ("a{b:var(--x, url(x))}", [("css", "x", 1)]),
        ("a{--x:url(x)}", [("css", "x", 1)]),
        ("a{b:image-set('x' 1x, 'y' 2x)}", [("css", "x", 1), ("css", "y", 1)]),
        ("a{b:-webkit-image-set(url(x) 1x, url('y') 2x);c:'no'}", [("css", "x", 1), ("css", "y", 1)]),
        ("a{b:image-set('x' type('image/png'), 'y')}", [("css", "x", 1), ("css", "y", 1)]),
        ("@import 'x';", [("style", "x", 1)]),
        ("@import url(x);", [("style", "x", 1)]),
        ("@IMPORT/**/url('x') layer(a) supports(b: c) screen;", [("style", "x", 1)]),
        ("@import\n'x';", [("style", "x", 2)]),
        ("a{b:c}@import 'no';@import url(no);a{b:url(x)}", [("css", "x", 1)]),
        ("@media a{@import 'no';}", []),
        ("@layer a, b;@import 'x';", [("style", "x", 1)]),
        ("@layer a{}@import 'no';", []),
        (
            "@charset 'utf-8';/*{*/@import url(x) screen;\n@import 'y';p{}@import 'no';",
            [("style", "x", 1), ("style", "y", 2)],
        ),
        ("<!--@import 'x';-->@import 'y';", [("style", "x", 1), ("style", "y", 1)]),
        ("@namespace url(no);a{b:url(x)}", [("css", "x", 1)]),
        ("@namespace svg 'no;url(no)';a{b:url(x)}", [("css", "x", 1)]),
        ("@-moz-document url(no) {a{b:url(x)}}", [("css", "x", 1)]),
        ("@charset 'utf-8';a{b:url(x)}", [("css", "x", 1)]),
        ("@font-face{src:local('no'),url(x) format('no')}a{b:url(y)}", [("font", "x", 1), ("css", "y", 1)]),
        ("@font-face{font-family:'}';src:url(x)}", [("font", "x", 1)]),
        ("@media x{@font-face{src:url(x)}a{b:url(y)}}", [("font", "x", 1), ("css", "y", 1)]),
        ("<!-- a{b:url(x)} -->", [("css", "x", 1)]),
        ("a{b:url()}", [("css", "", 1)]),
        ("a{b:url('x\n)}c{d:url(y)}", [("css", "y", 2)]),
        ("@import 'x\n;a{b:url(y)}", [("css", "y", 2)]),
        ("a{b:image-set('x\n, 'y')}", [("css", "y", 2)]),
        ("a{b:c@;d:url(x)} \\", [("css", "x", 1)]),
    ],
)
def test_what_a_sheet_names(css: str, wanted: list[tuple[str, str, int]]) -> None:
    assert read(css) == wanted


def test_a_sheet_is_resolved_by_its_own_url() -> None:
    found = named(
        "a{b:url(../i.png);c:url(data:,x);d:url(#x);e:url()}", kind="text/css", url="http://h.example/c/a.css"
    )
    assert found == [("css", "/i.png")]


@pytest.mark.parametrize(
    ("body", "header", "text"),
    [
        ("ü".encode(), "text/css", "ü"),
        ("ü".encode("latin-1"), "text/css; charset=latin1", "ü"),
        ('@charset "latin1";ü'.encode("latin-1"), "text/css", '@charset "latin1";ü'),
        ('@charset "utf-16";ü'.encode(), "text/css", '@charset "utf-16";ü'),
        ('@charset "latin1";ü'.encode(), "text/css; charset=utf-8", '@charset "latin1";ü'),
        ("\ufeffü".encode("utf-16-le"), "text/css; charset=utf-8", "ü"),
        ("@charset 'latin1';ü".encode(), "text/css", "@charset 'latin1';ü"),
    ],
)
def test_the_encoding_of_a_sheet(body: bytes, header: str, text: str) -> None:
    assert sheet_text(body, header) == text


def urls_of(css: str) -> list[str]:
    """What tinycss2 finds in *css*, which has neither at-rules nor `image-set()`."""
    found: list[str] = []

    def walk(nodes: list[tinycss2.ast.Node]) -> None:
        for node in nodes:
            if node.type == "url":
                found.append(node.value)
            elif node.type == "function":
                inner = [each for each in node.arguments if each.type not in ("whitespace", "comment")]
                if node.lower_name in ("url", "src") and inner and inner[0].type == "string":
                    found.append(inner.pop(0).value)
                walk(inner)
            elif node.type in ("{} block", "[] block", "() block"):
                walk(node.content)

    walk(tinycss2.parse_component_value_list(css))
    return found


TOKENS = st.sampled_from(
    [
        *("a", "-b", "url(x)", "url( 'y' )", 'url("z")', "url(bad one)", "u\\72 l(e)", "URL(", ")", "(", "{", "}", ";"),
        *("'s'", '"s"', "'", '"', "\\", "\n", " ", "/*", "*/", "/", "1px", "#h", "@m", "@", "f(", "é", "\\29", "url"),
        *("<!--", "-->", "--x:", "[", "]", ",", "calc(1 + 2)", "url(\\", "url(a\\)b)", "\\'", "srC(", "%"),
    ]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(TOKENS, max_size=25).map("".join).filter(lambda css: not css.endswith("\\") and "\\\n" not in css))
def test_tokens_are_those_of_the_standard(css: str) -> None:
    """A backslash before the end of the file or of a line, which is no escape, tinycss2 reads in its own way."""
    assert [each.url for each in sheet_references(css)] == urls_of(css)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["\n", "/*\n*/", "b{c:d}", "'\\\n'"]), st.booleans()), max_size=20))
def test_lines_of_a_generated_sheet(parts: list[tuple[str, bool]]) -> None:
    css, wanted = "", []
    for number, (noise, is_quoted) in enumerate(parts):
        css += noise
        wanted.append(("css", f"/{number}", css.count("\n") + 1))
        css += f"a{{b:url('/{number}')}}" if is_quoted else f"a{{b:url(/{number})}}"
    assert read(css) == wanted


@pytest.mark.parametrize(
    "hostile",
    [
        *("a" * 400_000, "url(" * 100_000, "@import " * 50_000, "image-set(" * 50_000, "/*" * 200_000),
        *(
            "/*" + "a" * 100_000 + "*/b{}" + "@import 'a';" * 20_000,
            "@layer a;@import 'b';" * 20_000,
            "@import 'a' " * 40_000,
        ),
        *("@namespace url(" * 40_000, "\\" * 400_000, "'\\" * 200_000, "@font-face{" * 40_000, "a(" * 200_000),
    ],
    ids=lambda hostile: hostile[:12],
)
def test_a_hostile_sheet_takes_linear_time(hostile: str) -> None:
    assert len(read(hostile)) <= 50_000  # each took minutes where it was not linear


MANIFEST = """{
  "start_url": "./?a",
  "icons": [
    {"src": "icon\\/1.png"},
    {"src": "icon/2.png"}, {"src": 3}, 4
  ],
  "screenshots": [{"src": "s.png"}],
  "shortcuts": [{"url": "/go", "icons": [{"src": "icon/2.png"}]}],
  "related_applications": [{"url": "https://store.example/"}],
  "share_target": {"action": "/post"}
}"""


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("application/manifest+json", "http://h.example/m"),
        ("application/json", "http://h.example/site.webmanifest?v=1"),
        ("text/plain", "http://h.example/manifest.json"),
    ],
)
def test_what_a_manifest_names(kind: str, url: str) -> None:
    found = places_of(MANIFEST, kind=kind, url=url).places
    assert [(place.kind, place.url.removeprefix("http://h.example"), place.line) for place in found] == [
        ("link", "/?a", 2),
        ("icon", "/icon/1.png", 4),
        ("icon", "/icon/2.png", 5),
        ("image", "/s.png", 7),
        ("link", "/go", 8),
        ("icon", "/icon/2.png", 8),
        ("link", "https://store.example/", 9),
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"icons": {"src": "x"}}', '{"start_url": 1}', "[" * 100_000])
def test_what_is_no_manifest_names_nothing(text: str) -> None:
    assert lines(text, kind="application/manifest+json") == []


def test_other_json_names_nothing() -> None:
    assert lines(MANIFEST, kind="application/json") == []


CASES = [json.loads(line) for line in (DATA / "wpt_srcset.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["srcset"]))
def test_srcset_of_web_platform_tests(case: dict[str, str | None]) -> None:
    """Of candidates for one density browsers take the first."""
    found = candidates(case["srcset"] or "")
    assert (found[0] if found else None) == case["chosen_candidate_1x"]


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["", " 1x", " 2.5x", " 100w", " 10w 20h", "  3x "]))))
def test_candidates_of_a_generated_srcset(parts: list[tuple[int, str]]) -> None:
    value = ", ".join(f"/{number},{number}.png{descriptor}" for number, descriptor in parts)
    assert candidates(value) == [f"/{number},{number}.png" for number, _ in parts]


@pytest.mark.parametrize("hostile", ["," * 400_000, "a (" * 100_000, "a 1x," * 100_000, "a 1" + "0" * 10_000 + "w"])
def test_a_hostile_srcset_takes_linear_time(hostile: str) -> None:
    assert len(candidates(hostile)) <= 100_000
