"""The main content of a page, as text and as Markdown, read when it is asked for. Pure."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Final, cast

from crawler.parse.article import Article, article
from crawler.parse.code_blocks import fenced
from crawler.parse.documents import without_edges
from crawler.parse.main_content import Content, choose, whole
from crawler.parse.markdown import render
from crawler.parse.page import Page, Tree, cut, parse
from crawler.parse.references import References

_NAMES: Final = ("main", "markdown")


class MainContent:
    """What `choose` finds; all that the page shows, if that is nothing."""

    def __init__(self, tree: Callable[[], Tree], references: References, limit: int, article: Article | None) -> None:
        """*limit*: bytes of UTF-8. An *article* extractor comes first, if there is one."""
        self._tree, self._references, self._limit, self._article = tree, references, limit, article
        self.whole_page = self.truncated = False

    @cached_property
    def main(self) -> str:
        """The text, a line for each block."""
        return self._written(marks=False)

    @cached_property
    def markdown(self) -> str:
        """The content as Markdown."""
        return self._written(marks=True)

    def _written(self, marks: bool) -> str:
        text, truncated, whole_page = "", False, False
        if self._article is not None:
            text, truncated = cut(self._article(marks), self._limit)
        if not text:
            for content in self._contents:
                text, truncated = render(content, self._references, self._limit, marks)
                whole_page = content.whole_page
                if text:
                    break
        self.truncated |= truncated
        self.whole_page |= whole_page
        return text

    @property
    def _contents(self) -> Iterator[Content]:
        """What may be the content, the best first."""
        tree = self._tree()
        yield self._chosen
        yield whole(tree)
        yield whole(tree, with_hidden=True)

    @cached_property
    def _chosen(self) -> Content:
        return choose(self._tree())


class DocumentContent(MainContent):
    """That of a PDF or DOCX as HTML: all of it, without what repeats at the edges of its pages. Nothing is chosen."""

    def __init__(self, html: bytes, references: References, limit: int) -> None:
        super().__init__(lambda: parse(without_edges(html)), references, limit, None)

    @property
    def _contents(self) -> Iterator[Content]:
        yield replace(whole(self._tree()), whole_page=False)


class PlainContent:
    """That of a document which is plain *text*, or Markdown already."""

    def __init__(self, text: str, kind: str, truncated: bool) -> None:
        self.main, self.truncated, self.whole_page = text, truncated, True
        self.markdown = text if kind == "text/markdown" else "\n".join(fenced(text.rstrip("\n"), "")) if text else ""


def _weakly(page: Page) -> Callable[[], Page]:
    """*page* itself, as long as it is there. A cycle would keep its tree until the next garbage collection."""
    return cast(Callable[[], Page], weakref.ref(page))


def read_content(page: Page, references: References, limit: int, want: Collection[str], extract: str) -> None:
    """Choose the main content of an HTML *page* if it is *want*ed, else when it is asked for.

    *extract* is who finds it; see `ExtractOptions`.
    """
    if page.made is not None:
        page.content = DocumentContent(page.made, references, limit)
    else:
        found = _weakly(page)
        other = article(found) if extract == "article" else None
        page.content = MainContent(lambda: found().document(), references, limit, other)
    for name in _NAMES:
        if name in want:
            getattr(page, name)


def stored_text(page: Page, want: Collection[str]) -> str:
    """The best text of *page* that is *want*ed; "" if there is none."""
    names = [name for name in ("main", "text", "markdown") if name in want]
    return (getattr(page, names[0]) or "") if names else ""
