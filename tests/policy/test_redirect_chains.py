"""What is wrong with the redirects from a link's target to where they end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.findings import CODES
from crawler.policy.redirect_chains import Hop, chain_findings
from crawler.policy.target_answers import GOOD, Judgement

A, B, C = "http://example.org/a", "https://example.org/a", "https://www.example.org/a"
MISSING = Judgement("broken", "404 Not Found")

CASES: list[tuple[list[Hop], Judgement, list[tuple[str, str]]]] = [
    ([], GOOD, []),
    ([(A, 200)], GOOD, []),
    ([(A, 404)], MISSING, [("broken", "404 Not Found")]),
    ([(A, 301), (B, 200)], GOOD, [("redirect-permanent", f"301: it has moved for good to {B}")]),
    ([(A, 308), (f"{A}/", 200)], GOOD, [("redirect-permanent", f"308: it has moved for good to {A}/")]),
    ([(A, 302), (B, 200)], GOOD, []),
    ([(A, 303), (B, 200)], GOOD, []),
    ([(A, 307), (B, 200)], GOOD, []),
    ([(A, 301), (B, 301), (C, 200)], GOOD, [("redirect-chain", f"2 redirects: {A} -> {B} -> {C}")]),
    ([(A, 302), (B, 302), (C, 200)], GOOD, [("redirect-chain", f"2 redirects: {A} -> {B} -> {C}")]),
    ([(A, 301), (B, 404)], MISSING, [("broken", f"it redirects to {B}: 404 Not Found")]),
    ([(A, 301), (B, 301), (C, 404)], MISSING, [("broken", f"it redirects to {C}: 404 Not Found")]),
    ([(A, 302), (A, 302)], GOOD, [("redirect-loop", f"{A} -> {A}")]),
    ([(A, 301), (B, 302), (A, 301)], GOOD, [("redirect-loop", f"{A} -> {B} -> {A}")]),
    ([(A, 301), (B, 302), (C, 302), (B, 302)], MISSING, [("redirect-loop", f"{A} -> {B} -> {C} -> {B}")]),
    (
        [(A, 301), (B, 403)],
        Judgement("cannot-tell", "403 Forbidden"),
        [("cannot-tell", f"it redirects to {B}: 403 Forbidden")],
    ),
    (
        [(A, 301), (B, 0)],
        Judgement("not-checked", "robots.txt disallows it"),
        [("not-checked", f"it redirects to {B}: robots.txt disallows it")],
    ),
    (
        [(A, 302), (B, 200)],
        Judgement("cannot-tell", f"it redirects to a login page: {B}"),
        [("cannot-tell", f"it redirects to a login page: {B}")],
    ),
]


@pytest.mark.parametrize(("hops", "end", "findings"), CASES)
def test_findings_about_a_chain(hops: list[Hop], end: Judgement, findings: list[tuple[str, str]]) -> None:
    assert chain_findings(hops, end) == findings


def test_a_long_chain_is_cut() -> None:
    [(code, cause)] = chain_findings([(f"{B}/{n}", 302) for n in range(50)], GOOD)
    assert code == "redirect-chain" and cause.startswith("49 redirects: ") and cause.endswith(f"-> ... -> {B}/49")
    assert cause.count("->") == 10


@given(
    st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from([200, 301, 302, 404])), max_size=6),
    st.sampled_from([GOOD, MISSING, Judgement("cannot-tell", "x"), Judgement("not-checked", "y")]),
)
def test_there_is_at_most_one_finding_and_its_code_is_known(hops: list[Hop], end: Judgement) -> None:
    found = chain_findings(hops, end)
    assert len(found) <= 1 and all(code in CODES and cause for code, cause in found)
