"""Findings about pages by themselves: what they say wrongly, titles that several have, what is slow or large."""

from __future__ import annotations

from typing import Final

from crawler.check.answers import Answers
from crawler.check.drafts import Drafts, of_pages
from crawler.check.facts import Facts, Shared
from crawler.findings import CODES

_UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "bytes"))


def add_notes(drafts: Drafts, facts: Facts, answers: Answers) -> None:
    """What the pages' own parsing found."""
    for (code, text), places in facts.notes.items():
        drafts.add(code, text, CODES[code].sentence).places.append(places)
    for (code, page), (text, places) in facts.page_notes.items():
        if url := answers.url(page):
            sentence = CODES[code].sentence
            cause = text if code == "charset-wrong" and text else f"{sentence}: {text}" if text else sentence
            drafts.add(code, url, cause).places.append(places)


def add_sizes(drafts: Drafts, facts: Facts, answers: Answers) -> None:
    """Pages that are slow or large."""
    for page, ms in facts.slow.items():
        if url := answers.url(page):
            drafts.add("slow", url, f"the answer took {ms / 1000:.1f} s").pages += of_pages([page])
    for page, size in facts.large.items():
        if url := answers.url(page):
            drafts.add("large", url, f"the page has {_shown(size)}").pages += of_pages([page])


def add_shared(drafts: Drafts, facts: Facts, answers: Answers) -> None:
    """Titles and descriptions that several pages have, which are no copies of each other."""
    for code, shared, texts in (
        ("title-duplicate", facts.titles, answers.titles),
        ("description-duplicate", facts.descriptions, answers.descriptions),
    ):
        _add_shared(drafts, code, shared, texts, answers)


def _add_shared(drafts: Drafts, code: str, shared: Shared, texts: dict[int, str], answers: Answers) -> None:
    for digest, pages in shared.groups().items():
        known = [page for page in dict.fromkeys(pages) if page in answers.urls]
        contents = {answers.digests.get(page) or page for page in known}
        if len(contents) < 2:
            continue
        text = next((texts[page] for page in known if texts.get(page)), f"(not stored, its hash is {digest:012x})")
        drafts.add(code, text, f"{len(known):,} pages have it").pages += of_pages(known)


def add_certificates(drafts: Drafts, answers: Answers) -> None:
    """Hosts whose certificates expire soon."""
    for origin, expires in answers.expiring.items():
        drafts.add("certificate-expiring", f"{origin}/", f"its certificate expires on {expires[:10]}")


def _shown(size: int) -> str:
    unit, name = next((unit, name) for unit, name in _UNITS if size >= unit or unit == 1)
    return f"{size / unit:.1f} {name}" if unit > 1 else f"{size} {name}"
