"""Templates and fingerprints: what URLs have in common, and whether their pages hold anything new."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.fetch.fetcher import Headers, Response
from crawler.parse.page import Page
from crawler.policy import traps
from crawler.policy.traps import fingerprint, template
from crawler.worker.trap_sampler import ALL_UP_TO, EACH, MAX_PRINTS, MIN_PAGES, TrapSampler

A = "http://a.example"


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/", None),
        ("/0", "/#"),
        ("/about/how-we-work.html", None),
        ("/1", "/#"),
        ("/cal/2031-04-03/", "/cal/#-#-#/"),
        ("/cal?year=2031&month=4", "/cal?month=*&year=*"),
        ("/cal?month=4&year=2031", "/cal?month=*&year=*"),
        ("/cal?month=4;year=2031", "/cal?month=*&year=*"),
        ("/?p", "/?p=*"),
        ("/x;jsessionid=0A1B2C", "/x;jsessionid=*"),
        ("/s/0123456789abcdef/x", "/s/*/x"),
        ("/s/Zm9vYmFyMTIzNDU2Nzg5/x", "/s/*/x"),
        ("/u/123e4567-e89b-12d3-a456-426614174000", "/u/*"),
        ("/facade/deadbeefs", None),
        ("/a-b-c-d-e-f-g-h-i-j-k-l-m-n-o", None),
        ("/python3.11/doc", "/python#.#/doc"),
        ("/?a1=x&a2=y", "/?a#=*"),
    ],
)
def test_templates(path: str, shape: str | None) -> None:
    assert template(A + path) == (None if shape is None else f"a.example{shape}")


def test_hosts_and_schemes() -> None:
    """The host is part of a template, with its port; the scheme is not."""
    assert template("http://a.example:81/1") == "a.example:81/#"
    assert template("https://a.example/1") == template("http://a.example/2")


@given(st.text("/;?&=.-_%ab019AZ:#", max_size=60))
def test_any_url_has_a_template_or_none(text: str) -> None:
    """Never longer than its limit, and the same for the URL's own template."""
    try:
        url = urls.canonicalize(f"{A}/{text}")
    except InvalidURL:
        return
    name = template(url)
    assert name is None or (name.startswith("a.example/") and len(name) <= traps.MAX_TEMPLATE)


def test_a_long_url_is_cut() -> None:
    assert len(template(f"{A}/{'x-' * 1500}1") or "") == traps.MAX_TEMPLATE


def alike(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two pages, each a path and a text, hold the same."""
    return fingerprint(A + one[0], one[1]) == fingerprint(A + other[0], other[1])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("/item/1", "Item 1 is sold out"), ("/item/2", "Item 2 is sold out"), True),
        (("/item/1", "Item 1 costs 45"), ("/item/2", "Item 2 costs 90"), False),
        (("/item/1", "a red one"), ("/item/2", "a blue one"), False),
        (("/cal?y=2031&m=4", "April 2031 2030 2032"), ("/cal?y=2044&m=4", "April 2044 2043 2045"), True),
        (("/cal?y=2031&m=4", "April"), ("/cal?y=2031&m=5", "May"), False),
        (("/find?q=shoes", "Nothing is called shoes"), ("/find?q=red+hats", "Nothing is called red hats"), True),
        (("/x;s=a8", "Welcome"), ("/x;s=b9", "Welcome"), True),
        (("/1", "many   spaces\n"), ("/2", "many spaces"), True),
    ],
)
def test_what_the_url_says_does_not_count(one: tuple[str, str], other: tuple[str, str], same: bool) -> None:
    assert alike(one, other) is same


def test_pictures_count() -> None:
    """A gallery may have nothing else."""
    bodies = [f'<a href=/1><img src="/photo{n}.jpg"> <IMG SRC = x{n}.png>'.encode() for n in range(2)]
    assert traps.sources(bodies[0]) == [b"/photo0.jpg", b"x0.png"]
    prints = {fingerprint(f"{A}/{n}", "Photo", traps.sources(body)) for n, body in enumerate(bodies)}
    assert len(prints) == 2


@given(st.text(max_size=200), st.binary(max_size=200))
def test_any_text_has_a_fingerprint(text: str, body: bytes) -> None:
    assert fingerprint(f"{A}/1?q={'9' * 400}", text, traps.sources(body)).isdigit()


# -- what a worker tells -----------------------------------------------------------------------------------------------


def page_at(n: int) -> tuple[str, Page]:
    """A page without links under one template."""
    url = f"{A}/{n}"
    return url, Page(url, Response(url, 200, Headers(), b"x"), text="the same", is_html=True)


def test_few_pages_of_a_template_are_not_told() -> None:
    harvest = TrapSampler()
    for n in range(MIN_PAGES):
        harvest.page(*page_at(n))
    harvest.page(f"{A}/about", page_at(0)[1])
    assert harvest.take(due=True) == []
    harvest.page(*page_at(MIN_PAGES))
    (sample,) = harvest.take(due=True)
    assert (sample.template, len(sample.prints)) == ("a.example/#", 1)
    assert harvest.take(due=True) == []


def test_much_of_one_template_is_told_at_once() -> None:
    harvest = TrapSampler()
    for n in range(MIN_PAGES + MAX_PRINTS - 1):
        harvest.page(*page_at(n))
    assert harvest.take(due=False) == []
    harvest.page(*page_at(1000))
    (sample,) = harvest.take(due=False)
    assert len(sample.prints) == MAX_PRINTS
    assert len(set(sample.prints)) == 1


def test_of_very_many_only_a_sample_is_told() -> None:
    harvest = TrapSampler()
    for n in range(ALL_UP_TO + 10 * EACH):
        harvest.page(*page_at(n))
    (sample,) = harvest.take(due=True)
    assert len(sample.prints) == ALL_UP_TO - MIN_PAGES + 10


def test_what_is_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.worker.trap_sampler._TEMPLATES", 5)
    harvest = TrapSampler()
    for n in range(100):
        harvest.page(f"{A}/{'x' * n}1", page_at(0)[1])
    assert len(harvest._counts) <= 6
