"""A call of a user's hook: what it returned, what it raised and where, and the examples of docs/hooks.md."""

from __future__ import annotations

import datetime
import decimal
import functools
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from crawler import Drop
from crawler.fetch.fetcher import Headers, Response
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.page import Page
from crawler.worker import hook as hooks
from crawler.worker.hook_call import HookCalls
from crawler.worker.hook_result import HookResult
from crawler.worker.watchdog import MAX_FAILURES

URL: Final = "https://shop.example/tea"
DOCS: Final = Path(__file__).parent.parent.parent / "docs"
SHOP: Final = b"""<!doctype html><title>Green tea</title><h1> Sencha </h1><p class=price>\xe2\x82\xac12.50</p>
<script type="application/ld+json">{"@type": "Product", "name": "Sencha"}</script>
<table><tr class=offer><td>Aoki</td><td>3</td></tr><tr class=offer><td>Ito</td><td>5</td></tr></table>"""
HERE: Final = Path(__file__).name


def _page(body: bytes = SHOP, content_type: str = "text/html; charset=utf-8", url: str = URL) -> Page:
    extractor = Extractor(ExtractOptions(want=frozenset({"text"}), agent="crawler"))
    return extractor.extract(Response(url, 200, Headers([("Content-Type", content_type)]), body))


def _call(hook: Callable[[Page], Any]) -> HookResult:
    return HookCalls(hook).call(_page())


def _decoded(result: HookResult) -> Any:
    assert result.error is None
    return msgspec.json.decode(result.data)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"a": (1, 2.5, True, None)}, {"a": [1, 2.5, True, None]}),
        (iter("ab"), ["a", "b"]),
        ({1}, [1]),
        (b"a", "YQ=="),
        ("text", "text"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        ({"price": decimal.Decimal("1.20")}, {"price": "1.20"}),
    ],
)
def test_what_json_can_hold_is_stored(value: Any, stored: Any) -> None:
    result = _call(lambda page: value)
    assert _decoded(result) == stored
    assert result.tallies == {"hook_calls": 1}


def test_nothing_is_stored_as_nothing() -> None:
    assert _call(lambda page: None) == HookResult(tallies={"hook_calls": 1})


_circle: dict[str, Any] = {}
_circle["again"] = [_circle]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "what it returned"),
        ({"price": {"eur": object()}}, "data['price']['eur']"),
        ([0, {"a": [1, {2, object}]}], "data[1]['a'][1]"),
        ({"a": {(1, 2): 3}}, "data['a']"),
        ({"a": "\ud800"}, "data['a']"),
        ({"a": msgspec.Raw(b"{bad")}, "what it returned"),
        (_circle, "data['again']"),
    ],
)
def test_what_json_cannot_hold_is_an_error_that_names_the_place(value: Any, place: str) -> None:
    result = _call(lambda page: value)
    assert result.data is None
    assert (result.error or "").startswith(f"hook: TypeError: JSON cannot hold {place}")
    assert (result.tallies["hook_calls"], result.tallies["hook_errors"]) == (1, 1)


def _fails(page: Any) -> Any:
    return page.titel  # line FAILS


FAILS: Final = next(
    n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith("# line FAILS")
)


def _through_a_library(page: Page) -> Any:
    return functools.reduce(lambda so_far, call: call(page), [_fails], None)


class _Callable:
    def __call__(self, page: Page) -> Any:
        return _fails(page)


@functools.wraps(_fails)
def _wrapped(page: Page) -> Any:
    return _fails(page)


def _yields(page: Any) -> Iterator[Any]:
    yield _fails(page)


@pytest.mark.parametrize(
    "hook", [_fails, _through_a_library, _Callable(), _wrapped, _yields, functools.partial(_fails)]
)
def test_a_failure_names_the_last_line_of_the_hooks_file(hook: Callable[[Page], Any]) -> None:
    text = f"AttributeError: 'Page' object has no attribute 'titel' ({HERE}, line {FAILS})"
    assert _call(hook) == HookResult(
        error=f"hook: {text}", tallies={"hook_calls": 1, "hook_errors": 1, f"hook_error:{text}": 1}
    )


class _Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SystemExit(), "SystemExit"),
        (_Speechless(), "_Speechless"),
        (ValueError("one\ntwo \ud800"), "ValueError: one two ?"),
        (ValueError("x" * 1_000), f"ValueError: {'x' * 199}…"),
    ],
)
def test_an_error_of_any_kind_becomes_one_short_line(error: BaseException, text: str) -> None:
    def hook(page: Page) -> None:
        raise error

    assert re.sub(r" \(.*, line \d+\)$", "", _call(hook).error or "") == f"hook: {text}"


def test_the_first_failure_of_each_type_and_line_is_reported() -> None:
    reported: list[tuple[str, str]] = []
    numbers = iter(range(100))

    def hook(page: Page) -> None:
        n = next(numbers)
        if n % 2:
            raise KeyError(n)
        raise ValueError(n)

    calls = HookCalls(hook, lambda url, text: reported.append((url, text)))
    results = [calls.call(_page()) for _ in range(6)]
    assert [url for url, _ in reported] == [URL, URL]
    assert [text.partition(" (")[0] for _, text in reported] == ["ValueError: 0", "KeyError: 1"]
    assert {name for result in results for name in result.tallies} == {
        *("hook_calls", "hook_errors"),
        *(f"hook_error:{text}" for _, text in reported),
    }
    assert (results[4].error or "").startswith("hook: ValueError: 4 (")  # the record has its own


def test_a_worker_names_few_failures_and_counts_all() -> None:
    reported: list[str] = []
    numbers = iter(range(100))
    calls = HookCalls(lambda page: [next(numbers), object()], lambda url, text: reported.append(text))
    kinds = HookCalls(lambda page: exec(f"raise type('E{next(numbers)}', (Exception,), {{}})"), lambda *pair: None)
    for one in (calls, kinds):
        tallies = [one.call(_page()).tallies for _ in range(20)]
        assert sum(tally["hook_errors"] for tally in tallies) == 20
        assert len({name for tally in tallies for name in tally} - {"hook_calls", "hook_errors"}) <= MAX_FAILURES
    assert len(reported) == 1


@pytest.mark.parametrize("how", ["raised", "returned", "yielded", "its class"])
def test_a_page_is_dropped(how: str) -> None:
    def hook(page: Page) -> Any:
        if how == "returned":
            return Drop("no tea")
        raise Drop if how == "its class" else Drop("no tea")

    def yields(page: Page) -> Iterator[int]:
        yield 1
        raise Drop("no tea")

    result = _call(yields if how == "yielded" else hook)
    reason = None if how == "its class" else "no tea"
    assert result == HookResult(error=reason, is_dropped=True, tallies={"hook_calls": 1})


# -- docs/hooks.md -----------------------------------------------------------------------------------------------------

EXAMPLES: Final = dict(
    re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", (DOCS / "hooks.md").read_text(), re.MULTILINE | re.DOTALL)
)
RESULTS: Final = {
    "product.py:item": {"name": "Sencha", "price": 12.5},
    "offers.py:offers": {"items": [{"seller": "Aoki", "amount": 3}, {"seller": "Ito", "amount": 5}]},
    "next_page.py:entries": {"items": [{"seller": "Aoki"}, {"seller": "Ito"}]},
    "tea_only.py:item": {"title": "Green tea"},
    "keep.py:body": {"file": "its hash", "whole": True},
    "json_ld.py:blocks": {"items": [{"@type": "Product", "name": "Sencha"}]},
    "to_sqlite.py:title": None,
}


def test_all_examples_of_the_page_are_tested() -> None:
    assert [spec.partition(":")[0] for spec in RESULTS] == list(EXAMPLES)


@pytest.mark.parametrize("spec", list(RESULTS))
def test_an_example_of_the_page(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    name = spec.partition(":")[0]
    Path(name).write_text(EXAMPLES[name])
    calls = HookCalls(hooks.load_hook(spec))
    result = calls.call(_page())
    assert result.error is None
    data: Any = None if result.data is None else msgspec.json.decode(result.data)
    if name == "keep.py":
        assert Path("bodies", data["file"]).read_bytes() == SHOP
        data["file"] = "its hash"
    assert data == RESULTS[spec]
    if name == "tea_only.py":
        assert calls.call(_page(b"<title>Coffee</title>")).error == "not about tea"
    if name == "keep.py":
        assert calls.call(_page(b"%PDF-1.4", "application/pdf")).data is not None
