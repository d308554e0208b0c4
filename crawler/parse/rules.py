"""Extraction rules: named values of a page by CSS selectors and JSON-LD paths, without code. Pure.

`rules_file` reads them from TOML. The first rule whose `match` is found in a page's URL is applied. A field that finds
nothing is absent; `Match` says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.parse.json_path import JsonPath
from crawler.parse.main_content import whole
from crawler.parse.markdown import render
from crawler.parse.match import Match
from crawler.parse.page import Node, Tree, clean, read, select, tag_ids, valid
from crawler.parse.references import References
from crawler.parse.structured import Document, objects
from crawler.parse.values import Order, iso_date, number
from crawler.pattern import Pattern
from crawler.text import counted

Type = Literal["", "text", "number", "date", "url", "html", "markdown"]
"""What a value becomes. Empty: text of an element, JSON-LD as it stands."""

MAX_VALUES: Final = 1_000
"""Values of one field with `all`."""
MAX_ITEMS: Final = 10_000
"""Items of one page."""
MAX_TEXT: Final = 100_000
"""Characters of one value; more is cut."""
MAX_SIZE: Final = 2 << 20
"""Characters of all values of one page."""
_MAX_HTML: Final = 256 << 10
"""Characters of an element that are read for Markdown."""
_MAX_MESSAGE: Final = 200
_MAX_SHOWN: Final = 60

_BREAKS: Final = tag_ids(
    "address article aside blockquote br caption dd details dialog div dl dt fieldset figcaption figure footer form h1"
    " h2 h3 h4 h5 h6 header hr legend li main nav ol option p pre section summary table tbody td tfoot th thead tr ul"
)
_UNSEEN: Final = tag_ids("script style template noscript")
_REFERENCES: Final = ("href", "src", "content", "data", "action")
_OWN_VALUES: Final = {"date": ("datetime", "content"), "number": ("value", "content"), "url": _REFERENCES}
_IN_PLACE: Final = {
    tag: attribute
    for name, attribute in {"meta": "content", "input": "value", "img": "alt"}.items()
    for tag in tag_ids(name)
}
"""Elements that never have text, and the attribute that says what they mean."""


@dataclass(frozen=True, slots=True)
class Field:
    """How one named value is found."""

    name: str
    css: str = ""
    """A selector; empty for the element itself, which is an item."""
    attr: str = ""
    """The attribute in place of the text."""
    own_text: bool = False
    """The text of the element without that of the elements in it."""
    path: JsonPath | None = None
    """In place of a selector: an expression for the page's JSON-LD."""
    of: str = ""
    """The type of the JSON-LD objects in which it is looked for; empty: those at the top."""
    type: Type = ""
    all: bool = False
    decimal: str = ""
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """How the items of a page are found: each element that matches is one, or each object of the JSON-LD."""

    fields: tuple[Field, ...]
    css: str = ""
    path: JsonPath | None = None
    of: str = ""
    """As in a field."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What to read of the pages whose URL matches."""

    name: str
    pattern: str = ""
    matches: Pattern | None = None
    """None: it matches every URL."""
    fields: tuple[Field, ...] = ()
    items: Items | None = None

    @property
    def names(self) -> list[str]:
        """The names of its fields, those of its items with `items.` before them."""
        of_items = () if self.items is None else self.items.fields
        return [one.name for one in self.fields] + [f"items.{one.name}" for one in of_items]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a crawl, in their order."""

    rules: tuple[Rule, ...] = ()

    def of(self, url: str) -> Rule | None:
        """The first rule that matches the canonical *url*."""
        raw = url.encode()
        return next((rule for rule in self.rules if rule.matches is None or rule.matches.search(raw)), None)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def apply(self, url: str, document: Document) -> Match | None:
        """What the first rule that matches *url* finds in *document*; None if none matches."""
        rule = self.of(url)
        return None if rule is None else _Reading(rule, document).match()


NO_RULES: Final = Rules()


class _TooLarge(Exception):
    """The values of a page together are too large."""


class _Reading:
    """One rule on one page."""

    def __init__(self, rule: Rule, document: Document) -> None:
        self._rule, self._document = rule, document
        self._room = MAX_SIZE
        self._match = Match(rule.name)

    def match(self) -> Match:
        """Apply the rule."""
        match, rule = self._match, self._rule
        try:
            for one in rule.fields:
                self._read(one, self._document.tree, match.fields, one.name)
            if rule.items is not None:
                self._read_items(rule.items)
        except ValueError as error:  # of the path of the items
            match.missing["items"] = " ".join(str(error).split())[:_MAX_MESSAGE]
        except _TooLarge:
            match.errors.append(f"its values have more than {MAX_SIZE:,} characters: the rest is left out")
        except Exception as error:  # a defect of ours, or a page that exhausts a library: the page is stored anyway
            match.errors.append(f"{type(error).__name__}: {' '.join(str(error).split())[:_MAX_MESSAGE]}")
        return match

    def _read_items(self, items: Items) -> None:
        match = self._match
        roots = select(self._document.tree, items.css) if items.path is None else self._json_ld(items.path, items.of)
        if len(roots) > MAX_ITEMS:
            match.errors.append(f"it has more than {MAX_ITEMS:,} items: the rest is left out")
        for root in roots[:MAX_ITEMS]:
            item: dict[str, Any] = {}
            for one in items.fields:
                self._read(one, root, item, f"items.{one.name}")
            if item:
                match.items.append(item)
        if not match.items:
            match.missing["items"] = f"of {counted(len(roots), 'element')} found none has any of the fields"
        for name in {name for item in match.items for name in item}:
            match.missing.pop(f"items.{name}", None)

    def _read(self, one: Field, root: Any, into: dict[str, Any], name: str) -> None:
        """Read one field of the page, or of the item *root*: its first value that can be read, or all of them."""
        values: list[Any] = []
        why = f"no element matches {one.css!r}" if one.path is None else "no object of the JSON-LD has it"
        try:
            for raw in self._raw_values(one, root):
                if len(values) == MAX_VALUES:
                    self._match.errors.append(f"field {name!r} has more than {MAX_VALUES:,} values")
                    break
                value, why = self._converted(one, raw)
                if value is not None:
                    values.append(value)
                    if not one.all:
                        break
        except ValueError as error:
            why = " ".join(str(error).split())[:_MAX_MESSAGE]
        if values:
            into[one.name] = values if one.all else values[0]
        else:
            self._match.missing.setdefault(name, why)

    def _raw_values(self, one: Field, root: Any) -> Iterable[Any]:
        """The elements, or the values of JSON-LD, that a field finds."""
        if one.path is None:
            return select(root, one.css) if one.css else [root]
        return self._json_ld(one.path, one.of) if isinstance(root, Tree) else _as_list(one.path.search(root))

    def _json_ld(self, path: JsonPath, of: str) -> list[Any]:
        """What *path* finds in the JSON-LD: in each object, else in the list of them. ValueError if it cannot look."""
        nodes: list[Any] = list(objects(self._document.jsonld, of))
        found: list[Any] = []
        problem: ValueError | None = None
        for value in nodes:
            try:
                found += _as_list(path.search(value))
            except ValueError as error:  # a function that does not take what this object has
                problem = error
        found = found or _as_list(path.search(nodes))
        if problem is not None and not found:
            raise problem
        return found

    def _converted(self, one: Field, raw: Any) -> tuple[Any, str]:
        """A value as its field's type; None if it is empty or cannot be read, and why."""
        if one.path is not None:
            text = raw
        elif one.type == "markdown" and not one.attr:
            text = self._markdown(raw)
        else:
            text = _text_for(one, raw)
        if text is None:
            return None, f"the element has no attribute {one.attr!r}"
        if text == "":
            return None, "the element is empty"
        try:
            value = self._typed(one, text)
        except (ValueError, InvalidURL) as error:
            return None, f"{_short(text)}: {error}"
        self._room -= len(value) if isinstance(value, str) else len(str(value))
        if self._room < 0:
            raise _TooLarge
        return value, ""

    def _markdown(self, node: Node) -> str:
        tree = read((node.html or "")[:_MAX_HTML].encode())[0]
        return render(whole(tree), References(self._document.base, self._document.base), MAX_TEXT)[0].strip()

    def _typed(self, one: Field, value: Any) -> Any:
        if one.type == "url" and isinstance(value, dict):
            value = value.get("url") or value.get("@id")
        if one.type == "" and one.path is not None:
            return value
        if one.type == "number" and isinstance(value, int | float) and not isinstance(value, bool):
            return value
        if not isinstance(value, str):
            if isinstance(value, dict | list | None):
                raise ValueError(f"it is no {one.type}")
            value = str(value).lower() if isinstance(value, bool) else str(value)
        if one.type == "number":
            return number(value, one.decimal)
        if one.type == "date":
            return iso_date(value, one.order, self._document.lang)
        if one.type == "url":
            return urls.resolve(value.strip(), self._document.base)
        return value


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")


# -- the text of an element --------------------------------------------------------------------------------------------


def _text_for(one: Field, node: Node) -> str | None:
    """What a field reads of an element, on one line; None if it lacks the attribute that is asked for."""
    if one.attr:
        value = node.attributes.get(one.attr, node.attributes.get(one.attr.lower()))
        return None if value is None else clean(value, MAX_TEXT) or ""
    if one.type == "html":
        return valid((node.html or "")[:MAX_TEXT])
    if one.own_text:
        return clean(" ".join(_own_texts(node)), MAX_TEXT) or ""
    for name in _OWN_VALUES.get(one.type, ()):
        if value := node.attributes.get(name):
            return clean(value, MAX_TEXT) or ""
    if name := _IN_PLACE.get(node.tag_id, ""):
        return clean(node.attributes.get(name) or "", MAX_TEXT) or ""
    return clean(text_of(node), MAX_TEXT) or ""


def _own_texts(node: Node) -> Iterator[str]:
    here = node.first_child
    while here is not None:
        if here.is_text_node:
            yield here.text_content or ""
        here = here.next


def text_of(node: Node) -> str:
    """The text of an element, without scripts and styles, with a space where a block or a line ends.

    About twice MAX_TEXT characters of it at most.
    """
    parts: list[str] = []
    size = 0
    stack: list[Node | None] = [node.first_child]
    while stack and size < 2 * MAX_TEXT:
        here = stack.pop()
        if here is None:
            parts.append(" ")
            continue
        if here.next is not None:
            stack.append(here.next)
        if here.is_text_node:
            parts.append((here.text_content or "")[: 2 * MAX_TEXT])
            size += len(parts[-1])
        elif here.is_element_node and here.tag_id not in _UNSEEN:
            if here.tag_id in _BREAKS:
                parts.append(" ")
                stack.append(None)
            if here.first_child is not None:
                stack.append(here.first_child)
    return "".join(parts)
