"""Rules: what they find on a page, why a field found nothing, and how each mistake in their file is named."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import UsageError
from crawler.parse.match import Match
from crawler.parse.page import read
from crawler.parse.rules import MAX_ITEMS, MAX_SIZE, MAX_VALUES
from crawler.parse.rules_file import FIELD_KEYS, RULE_KEYS, TYPES, read_rules
from crawler.parse.structured import Document
from crawler.rule_names import MAX_RULE_SET, rule_names

RULE = '[[rule]]\nname = "r"\n'
URL = "http://a.example/shop/12.html"
PRODUCT = """\
[[rule]]
name = "product"
match = '/shop/\\d+\\.html$'
[rule.fields]
name = "h1"
price = { css = ".price", type = "number" }
tags = { css = ".tag", all = true }
sku = "meta[itemprop=sku]::attr(content)"
since = { css = "time::attr(datetime)", type = "date" }
brand = { jsonld = "brand.name" }
[rule.items]
css = "table.offers tr.offer"
[rule.items.fields]
seller = "td:nth-child(1)"
amount = { css = "td:nth-child(2)", type = "number" }
"""
PAGE = """<html lang="de"><head><meta itemprop="sku" content="S-1">
<script type="application/ld+json">[{"@type": "Organization", "name": "Shop"},
{"@type": "Product", "name": "Tea", "brand": {"name": "Wick"}, "image": {"url": "/tea.png"}, "inStock": true,
"offers": [{"@type": "Offer", "price": "12.50"}, {"@type": "Offer", "price": 13}]}]</script></head>
<body><h1> Tea <b>pot</b>!</h1><p class="price">1.234,56 €<p class="tag">x<p class="tag">y</p>
<time datetime="2024-01-05">in January</time>
<div id="text">one<br>two <i>3</i>.<script>no</script><ul><li>four<li>five</ul></div>
<a class="next" href="?p=2#top">next</a><img src="a.png" alt="A pot"><data value="7">seven</data>
<table class="offers"><tr><th>Seller<tr class="offer" id="r1"><td>Ann<td>1,5<tr class="offer"><td>Bob<td>sold
<tr class="offer"></table></body></html>"""


def match(rules: str, page: str = PAGE, url: str = URL, lang: str = "de") -> Match | None:
    return read_rules(rules, "r.toml").apply(url, Document(read(page.encode())[0], url, lang))


def field(field: str, page: str = PAGE, lang: str = "de") -> tuple[Any, str]:
    """The value of one field, and why it has none."""
    found = match(f'[[rule]]\nname = "r"\nfields.x = {field}\n', page, lang=lang)
    assert found is not None
    assert found.errors == []
    return found.fields.get("x"), found.missing.get("x", "")


def test_the_example_of_the_documentation() -> None:
    found = match(PRODUCT)
    assert found is not None
    assert found.data == {
        "name": "Tea pot!",
        "price": 1234.56,
        "tags": ["x", "y"],
        "sku": "S-1",
        "since": "2024-01-05",
        "brand": "Wick",
        "items": [{"seller": "Ann", "amount": 1.5}, {"seller": "Bob"}],
    }
    assert (found.rule, found.missing, found.errors) == ("product", {}, [])


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ('"#text"', "one two 3. four five"),
        ('"#text::text"', "one two ."),
        ('{ css = "h1", type = "text" }', "Tea pot!"),
        ('{ css = "h1", type = "html" }', "<h1> Tea <b>pot</b>!</h1>"),
        ('{ css = "h1", type = "markdown" }', "# Tea **pot**!"),
        ('{ css = "a.next", type = "markdown" }', "[next](http://a.example/shop/12.html?p=2#top)"),
        ('{ css = "#text", type = "markdown" }', "one  \ntwo _3_.\n\n- four\n- five"),
        ('{ css = "a.next", type = "url" }', "http://a.example/shop/12.html?p=2#top"),
        ('{ css = "img", type = "url" }', "http://a.example/shop/a.png"),
        ('"img"', "A pot"),
        ('"meta[itemprop=sku]"', "S-1"),
        ('{ css = "a.next", attr = "HREF" }', "?p=2#top"),
        ('"a.next::attr( href )"', "?p=2#top"),
        ('{ css = "time", type = "date" }', "2024-01-05"),
        ('{ css = "data", type = "number" }', 7),
        ('{ css = ".price", type = "number", decimal = "." }', None),
        ('{ css = "td", type = "number", all = true }', [1.5]),
        ('{ css = "h1, b, h1 b", all = true }', ["Tea pot!", "pot"]),
        ('{ css = "h2, h1" }', "Tea pot!"),
        ('{ jsonld = "name" }', "Shop"),
        ('{ jsonld = "name", of = "Product" }', "Tea"),
        ('{ jsonld = "price", of = "Offer", type = "number", all = true }', [12.5, 13]),
        ('{ jsonld = "offers[].price", all = true }', ["12.50", 13]),
        ('{ jsonld = "offers[].price" }', "12.50"),
        ('{ jsonld = "brand" }', {"name": "Wick"}),
        ('{ jsonld = "image", type = "url" }', "http://a.example/tea.png"),
        ('{ jsonld = "inStock" }', True),
        ('{ jsonld = "inStock", type = "text" }', "true"),
        ('{ jsonld = "[?\\"@type\\"==\'Product\'].name" }', "Tea"),
    ],
)
def test_a_value(rule: str, value: Any) -> None:
    assert field(rule)[0] == value


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ('"h2"', "no element matches 'h2'"),
        ('"h1::attr(id)"', "the element has no attribute 'id'"),
        ('"h1::attr(class)"', "the element has no attribute 'class'"),
        ('{ css = "h1", type = "number" }', "'Tea pot!': it has no number"),
        ('{ css = "h1", type = "date" }', "'Tea pot!': it has no date that can be read"),
        ('{ jsonld = "nothing" }', "no object of the JSON-LD has it"),
        ('{ jsonld = "name", of = "Book" }', "no object of the JSON-LD has it"),
        ('{ jsonld = "brand", type = "text" }', "\"{'name': 'Wick'}\": it is no text"),
        ('{ jsonld = "sum(offers)" }', "In function sum(), invalid type for value"),
    ],
)
def test_a_field_that_finds_nothing_says_why(rule: str, why: str) -> None:
    value, words = field(rule)
    assert value is None
    assert words.startswith(why)


def test_the_language_of_the_page_decides_what_a_date_means() -> None:
    page = "<p>5/6/2024</p>"
    rule = '{ css = "p", type = "date" }'
    assert [field(rule, page, lang)[0] for lang in ("en-US", "de", "en")] == ["2024-05-06", "2024-06-05", None]
    assert "order" in field(rule, page, "en")[1]
    assert field('{ css = "p", type = "date", order = "mdy" }', page, "")[0] == "2024-05-06"


def test_the_first_rule_that_matches_holds() -> None:
    rules = "[[rule]]\nname = 'none'\nmatch = '/shop/9'\n[[rule]]\nname = 'skip'\nmatch = '/shop/'\n" + PRODUCT
    found = match(rules)
    assert found is not None
    assert (found.rule, found.data) == ("skip", {})
    assert match(PRODUCT, url="http://a.example/about.html") is None


def test_an_item_may_read_its_own_element() -> None:
    found = match(
        '[[rule]]\nname = "r"\n[rule.items]\ncss = "tr.offer"\nfields = { id = "::attr(id)", own = "::text" }'
    )
    assert found is not None
    assert found.items == [{"id": "r1"}]
    assert found.missing == {"items.own": "the element is empty"}


def test_without_items_the_reason_is_given() -> None:
    found = match('[[rule]]\nname = "r"\n[rule.items]\ncss = "tr"\nfields = { id = "video" }')
    assert found is not None
    assert found.missing["items"] == "of 4 elements found none has any of the fields"


def test_items_may_be_objects_of_the_json_ld() -> None:
    rules = 'items = { jsonld = "offers", of = "Product", fields = { price = { jsonld = "price", type = "number" } } }'
    found = match(RULE + rules)
    assert found is not None
    assert found.items == [{"price": 12.5}, {"price": 13}]
    found = match(RULE + 'items = { jsonld = "@", of = "Offer", fields = { kind = \'"@type"\', no = "x" } }')
    assert found is not None
    assert (found.items, list(found.missing)) == ([{"kind": "Offer"}, {"kind": "Offer"}], ["items.no"])
    found = match(RULE + 'items = { jsonld = "sum(offers)", fields = { x = "x" } }')
    assert found is not None
    assert "sum()" in found.missing["items"]


# -- hostile pages -----------------------------------------------------------------------------------------------------


def test_a_page_with_too_much_gives_what_fits_and_an_error() -> None:
    page = "<p>" + "<b>x</b>" * (MAX_ITEMS + 1)
    found = match(
        '[[rule]]\nname = "r"\nfields.x = { css = "b", all = true }\nitems = { css = "b", fields = { y = "::text" } }',
        page,
    )
    assert found is not None
    assert (len(found.fields["x"]), len(found.items)) == (MAX_VALUES, MAX_ITEMS)
    assert found.errors == [
        f"field 'x' has more than {MAX_VALUES:,} values",
        f"it has more than {MAX_ITEMS:,} items: the rest is left out",
    ]


def test_the_values_of_a_page_are_bounded_together() -> None:
    page = ("<p>" + "x" * 90_000) * 200
    found = match('[[rule]]\nname = "r"\nfields.x = "p"\nfields.y = { css = "p", all = true }', page)
    assert found is not None
    assert len(found.fields["x"]) == 90_000
    assert len(msgspec.json.encode(found.data)) < MAX_SIZE + 100_000
    assert "the rest is left out" in found.errors[0]


def test_text_within_text_does_not_multiply_the_time() -> None:
    page = "<div>" * 500 + "<i>x</i> " * 200_000
    began = time.process_time()
    match('[[rule]]\nname = "r"\nfields.y = { css = "div", all = true }', page)
    assert time.process_time() - began < 20


ALL_TYPES = (
    RULE
    + """[rule.fields]
text = { css = "*", all = true }
own = { css = "*::text", all = true }
number = { css = "*", type = "number", all = true }
date = { css = "*", type = "date", all = true }
url = { css = "*", type = "url", all = true }
html = { css = "p", type = "html" }
markdown = { css = "*", type = "markdown", all = true }
json = { jsonld = "@", all = true }
typed = { jsonld = "*", type = "url", all = true }
[rule.items]
css = "p, a"
fields = { text = "::text", link = { css = "", type = "url" }, number = { css = "b", type = "number" } }
"""
)
PARTS = st.lists(
    st.sampled_from(
        [
            *(
                "<p>",
                "</p>",
                "<a href='",
                "'>",
                "<b>1.",
                "2,",
                "3 €",
                "2024-",
                "05-",
                "06",
                "\ud7ff\ufffd\0",
                "&#xd800;",
            ),
            *(
                '<script type="application/ld+json">',
                '{"a": [1, "',
                '\\ud800"]}',
                "</script>",
                "http://[",
                "<br>",
                "<!--",
            ),
            *("<time datetime='5/6/2024'>", "<meta content=x>", "<template>", "<svg>", "<table><td>", "<noscript>"),
        ]
    )
    | st.text(max_size=5),
    max_size=20,
)


@given(PARTS)
def test_whatever_a_page_has_becomes_json(parts: list[str]) -> None:
    found = match(ALL_TYPES, "".join(parts).encode("utf-8", "replace").decode())
    assert found is not None
    assert found.errors == []
    assert msgspec.json.decode(msgspec.json.encode(found.data)) == found.data


# -- mistakes in the file ----------------------------------------------------------------------------------------------

MISTAKES = [
    ("[[rule]]", "[rule]", "r.toml: a file of rules has tables that begin with [[rule]], in two brackets"),
    ("[[rule]]", "x = 1\n[[rule]]", "r.toml, line 1: unknown key 'x': known are rule"),
    ('name = "product"', "", "r.toml, line 1: rule 1: name is missing"),
    ('"product"', '"a.b"', "r.toml, line 2: rule 1: 'a.b' is no name"),
    ('"product"', '"product"\n[[rule]]\nname = "product"', "r.toml, line 4: there are two rules 'product'"),
    ("match", "mtach", "r.toml, line 3: rule 'product': unknown key 'mtach': did you mean match?"),
    ("'/shop/", "'(/shop/", "r.toml, line 3: rule 'product': match: '(/shop/"),
    ("'/shop/", "'/größe/", "line 3: rule 'product': match: canonical URLs are ASCII"),
    ("'/shop/", "'(?=/shop/)", "look-around and back-references cannot be used"),
    ("[rule.fields]", "[rule.field]", "r.toml, line 4: rule 'product': unknown key 'field': did you mean fields?"),
    (
        "[rule.fields]",
        "[rule.fields",
        "r.toml: it is not TOML: Expected ']' at the end",
    ),
    ('"h1"', '"h1["', "r.toml, line 5: rule 'product': field 'name': 'h1[' is not a CSS selector"),
    ('"h1"', '""', "r.toml, line 5: rule 'product': field 'name': the selector is empty"),
    ('"h1"', '"::text"', "r.toml, line 5: rule 'product': field 'name': the selector is empty"),
    ('"h1"', '"h1::before"', "of pseudo-elements, ::text and ::attr(NAME) may stand at its end"),
    ('"h1"', "5", "field 'name': 5 is neither a selector in quotes nor a table such as { css = ... }"),
    ('name = "h1"', 'items = "h1"', "field 'items': this name is that of the items: [rule.items]"),
    (
        '"number"',
        '"nummer"',
        "line 6: rule 'product': field 'price': unknown type 'nummer': did you mean number?",
    ),
    (
        "all = true",
        'all = "yes"',
        "line 7: rule 'product': field 'tags': all: true or false is needed, not yes",
    ),
    ("all = true", 'order = "dmy"', "r.toml, line 7: rule 'product': field 'tags': order needs type = \"date\""),
    ("all = true", 'jsonld = "x"', "field 'tags': either css or jsonld is needed"),
    ("all = true", 'of = "Product"', "field 'tags': of needs jsonld"),
    ("all = true", "css = 5", "r.toml: it is not TOML"),
    ('"time::attr(datetime)"', '"time::text", attr = "x"', "the selector names an attribute or ::text already"),
    (
        '"brand.name"',
        '"brand."',
        "line 10: rule 'product': field 'brand': 'brand.' is not a JMESPath expression",
    ),
    ('"brand.name"', '"summ(x)"', "it has no function summ: JMESPath knows abs, "),
    ('"brand.name"', '""', "r.toml, line 10: rule 'product': field 'brand': jsonld is empty"),
    ('"brand.name"', '"x", type = "html"', "type needs css, if it is html"),
    ('css = "table.offers tr.offer"', "", "r.toml, line 11: rule 'product': items: either css or jsonld is needed"),
    ("[rule.items.fields]", "", "r.toml, line 14: rule 'product': items: unknown key 'seller': known are css, "),
    ('"td:nth-child(1)"', '{ jsonld = "x" }', "the items are found by css, so their fields take css, too"),
    ('css = "table.offers tr.offer"', 'css = "tr"\nof = "Offer"', "line 13: rule 'product': items: of needs jsonld"),
    (
        'css = "table.offers tr.offer"',
        'jsonld = "a["',
        "field 'seller': 'td:nth-child(1)' is not a JMESPath",
    ),
    (
        PRODUCT.partition("[rule.items]")[2],
        '\njsonld = "a["\nfields.x = "y"',
        "line 12: rule 'product': items: 'a[' is not",
    ),
    (
        PRODUCT.partition("[rule.items]")[2],
        '\njsonld = "a"\nfields.x = {jsonld = "y", of = "Z"}',
        "of belongs to the items",
    ),
    ('"h1"', f'"{"a" * 1001}"', "css has more than 1,000 characters"),
    ("[[rule]]", "#" * MAX_RULE_SET, f"r.toml: it has more than {MAX_RULE_SET:,} characters"),
    (
        "[[rule]]",
        "[[rule]]\nname = 'a'\nfields = 3\n[[rule]]",
        "line 3: rule 'a': fields: a table is needed, not 3",
    ),
    ("[[rule]]", "a = " + "[" * 5000, "r.toml: it is not TOML"),
]


@pytest.mark.parametrize(("before", "after", "problem"), MISTAKES, ids=[case[2][:60] for case in MISTAKES])
def test_a_mistake_is_named_with_its_place(before: str, after: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_rules(PRODUCT.replace(before, after, 1), "r.toml")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("r.toml")


def test_too_many_rules_or_fields_are_refused() -> None:
    many = "".join(f'[[rule]]\nname = "r{n}"\n' for n in range(101))
    with pytest.raises(UsageError, match="more than 100 rules"):
        read_rules(many, "r.toml")
    with pytest.raises(UsageError, match="more than 500 fields"):
        read_rules('[[rule]]\nname = "r"\n[rule.fields]\n' + "".join(f'f{n} = "p"\n' for n in range(501)), "r.toml")


def test_the_names_of_rules_are_read_from_whatever_is_stored() -> None:
    assert rule_names(PRODUCT) == ["product"]
    for damaged in ("", "x", "rule = 3", "rule = [3]", "[[rule]]\nname = 3", "\x00", "a = " + "[" * 5000):
        assert rule_names(damaged) in ([], ["3"])


# -- what the documentation says ---------------------------------------------------------------------------------------


def test_the_page_of_rules_shows_rules_that_work_and_names_each_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert [rule.name for block in blocks for rule in read_rules(block, "docs").rules] == [
        "product",
        "release",
        "product",
        "list",
    ]
    tables = [set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)) for part in text.split("\n\n")]
    for keys in (RULE_KEYS, FIELD_KEYS, TYPES):
        assert set(keys) in tables


def test_the_example_has_rules_that_work() -> None:
    text = (Path(__file__).parents[2] / "examples" / "rules.toml").read_text(encoding="utf-8")
    assert [rule.name for rule in read_rules(text, "rules.toml").rules] == ["api", "release", "product"]
