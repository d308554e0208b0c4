"""The microdata of a page (HTML 5). Pure, and linear in the page apart from items that are shared by `itemref`."""

from __future__ import annotations

from typing import Any, Final

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.parse.page import Node, Tree, clean, tag_ids

MAX_NODES: Final = 20_000
"""Elements with `itemscope` or `itemprop` that are read of a page."""
MAX_VALUES: Final = 5_000
"""Values that a page's items have together. An item that is shared by `itemref` counts each time, and a long value
once more for each 200 characters.
"""
_LONG: Final = 200
MAX_DEPTH: Final = 16
"""Items within items."""
MAX_TEXT: Final = 10_000
"""Characters of one value."""
_MAX_REFERENCES: Final = 100  # by `itemref`: from one item, and to one element

_OF_SRC: Final = tag_ids("audio embed iframe img source track video")
_OF_HREF: Final = tag_ids("a area link")
_OBJECT, _TIME = (next(iter(tag_ids(name))) for name in ("object", "time"))
_OF_VALUE: Final = tag_ids("data meter")
_CYCLE: Final = "ERROR"
"""What the standard writes for an item that contains itself."""


def microdata(tree: Tree, base: str) -> list[dict[str, Any]]:
    """The items that are no property of another one, as the standard writes them as JSON (HTML 5.5.1).

    An item is `{"type": [...], "id": ..., "properties": {name: [values]}}`. URLs are absolute, white space is
    collapsed. Two habits of authors are forgiven: a property that is an item, with no item around it, is an item of the
    page; and a `content` attribute is the value of any element, not only of `<meta>`.
    """
    if tree.css_first("[itemscope]") is None:
        return []
    nodes = {node.mem_id: node for node in tree.css("[itemscope],[itemprop]")[:MAX_NODES]}  # Lexbor repeats some
    return _Items(tree, list(nodes.values()), base).top_level()


class _Items:
    """The items of one page. Elements are named by Lexbor's `mem_id`."""

    def __init__(self, tree: Tree, nodes: list[Node], base: str) -> None:
        self._base = base
        self._items = {node.mem_id: node for node in nodes if "itemscope" in node.attributes}
        self._references = self._find_references(tree)
        self._owners: dict[int, tuple[int, ...]] = {}
        """Element -> the items to which a property directly below it belongs."""
        self._properties: dict[int, list[tuple[Node, dict[str, str | None]]]] = {}
        self._parts: set[int] = set()
        """Elements that are a property of an item."""
        self._room = MAX_VALUES
        for node in nodes:
            attributes = node.attributes
            if attributes.get("itemprop"):
                for owner in self._owners_of(node):
                    self._properties.setdefault(owner, []).append((node, attributes))
                    self._parts.add(node.mem_id)

    def top_level(self) -> list[dict[str, Any]]:
        """The items that are no property of another one, in the order of the document."""
        found = []
        for item, node in self._items.items():
            if item not in self._parts and self._room > 0:
                self._room -= 1
                found.append(self._item(node, (item,)))
        return found

    def _find_references(self, tree: Tree) -> dict[int, tuple[int, ...]]:
        """Element -> the items that name its id in `itemref`. Of several elements with one id, the first counts."""
        wanted: dict[str, list[int]] = {}
        for item, node in self._items.items():
            for name in (node.attributes.get("itemref") or "").split()[:_MAX_REFERENCES]:
                wanted.setdefault(name, []).append(item)
        found: dict[int, tuple[int, ...]] = {}
        for node in tree.css("[id]") if wanted else ():
            if items := wanted.pop(node.attributes.get("id") or "", None):
                found[node.mem_id] = tuple(item for item in items[:_MAX_REFERENCES] if item != node.mem_id)
        return found

    def _owners_of(self, node: Node) -> tuple[int, ...]:
        """The items that the property *node* belongs to: that around it, and those that refer to a part around it."""
        path: list[Node] = []
        here: Node | None = node.parent
        owners: tuple[int, ...] = ()
        while here is not None:
            known = self._owners.get(here.mem_id)
            if known is not None or here.mem_id in self._items:
                owners = known if known is not None else (here.mem_id,)
                break
            path.append(here)
            here = here.parent
        for passed in reversed(path):
            if extra := self._references.get(passed.mem_id):
                owners = tuple(dict.fromkeys(owners + extra))[:_MAX_REFERENCES]
            self._owners[passed.mem_id] = owners
        return tuple(dict.fromkeys(owners + self._references.get(node.mem_id, ())))

    def _item(self, node: Node, path: tuple[int, ...]) -> dict[str, Any]:
        """An item; *path* are the items around it, itself included."""
        attributes = node.attributes
        found: dict[str, Any] = {}
        if types := (attributes.get("itemtype") or "").split():
            found["type"] = types
            if name := (attributes.get("itemid") or "").strip():
                found["id"] = self._absolute(name)
        properties: dict[str, list[Any]] = {}
        for part, of_part in self._properties.get(node.mem_id, ()):
            self._room -= 1
            if self._room < 0:
                break
            value = self._value(part, of_part, path)
            for name in dict.fromkeys((of_part["itemprop"] or "").split()):
                properties.setdefault(name, []).append(value)
        return found | {"properties": properties}

    def _value(self, node: Node, attributes: dict[str, str | None], path: tuple[int, ...]) -> Any:
        """The value of a property (HTML 5.2.4)."""
        if node.mem_id in self._items:
            if node.mem_id in path or len(path) >= MAX_DEPTH:
                return _CYCLE
            return self._item(node, (*path, node.mem_id))
        tag = node.tag_id
        name = "src" if tag in _OF_SRC else "href" if tag in _OF_HREF else "data" if tag == _OBJECT else ""
        if name:
            return self._absolute(attributes.get(name) or "")
        text = attributes.get("content")
        if text is None and tag in _OF_VALUE:
            text = attributes.get("value")
        if text is None and tag == _TIME:
            text = attributes.get("datetime")
        value = clean(node.text() if text is None else text, MAX_TEXT) or ""
        self._room -= len(value) // _LONG
        return value

    def _absolute(self, reference: str) -> str:
        """*reference* resolved; empty if it is missing or no URL, as the standard has it."""
        try:
            return urls.resolve(reference, self._base) if reference else ""
        except InvalidURL:
            return ""
