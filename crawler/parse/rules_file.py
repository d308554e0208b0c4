"""Reads extraction rules from TOML. Pure: text in, `Rules` out; each mistake is named with its line, rule and field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn, cast, get_args

from crawler.errors import UsageError
from crawler.parse.json_path import JsonPath, compile_path
from crawler.parse.page import check_selector
from crawler.parse.rules import Field, Items, Rule, Rules, Type
from crawler.parse.values import Order
from crawler.pattern import Pattern, compile_pattern
from crawler.rule_names import MAX_RULE_SET
from crawler.text import did_you_mean

MAX_RULES: Final = 100
MAX_FIELDS: Final = 500
"""Of all rules together: each is counted in Redis."""
MAX_TEXT: Final = 1_000
"""Characters of a selector, an expression or a regular expression."""

RULE_KEYS: Final = ("name", "match", "fields", "items")
ITEMS_KEYS: Final = ("css", "jsonld", "of", "fields")
FIELD_KEYS: Final = ("css", "attr", "jsonld", "of", "type", "all", "decimal", "order")
TYPES: Final = tuple(name for name in get_args(Type) if name)
_ORDERS: Final = get_args(Order)
_NAME: Final = re.compile(r"\w(?:[\w -]{0,62}\w)?")
_PSEUDO: Final = re.compile(r"(.*)::(?:(text)|attr\(\s*([^\s()]+)\s*\))\s*", re.DOTALL)
_KIND: Final = {str: "text in quotes", bool: "true or false", dict: "a table"}

Path = tuple[str | int, ...]
"""The way to a value from the top of the file: keys, and the numbers of rules from 0."""


@lru_cache(maxsize=8)
def read_rules(text: str, source: str) -> Rules:
    """The rules in *text*. *source* is the file's name for messages. UsageError names what is wrong, and where."""
    if len(text) > MAX_RULE_SET:
        raise UsageError(f"{source}: it has more than {MAX_RULE_SET:,} characters")
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise UsageError(f"{source}: it is not TOML: {str(error)[:200]}") from None
    return _File(source, _lines(text)).rules(values)


class _File:
    """Turns the tables of a file into rules. Each method checks one kind of value."""

    def __init__(self, source: str, lines: Mapping[Path, int]) -> None:
        self._source, self._lines = source, lines
        self._words = ""
        """Which rule and field is being read, for messages."""
        self._fields = 0

    def rules(self, values: dict[str, Any]) -> Rules:
        self._refuse_unknown((), values, ("rule",))
        tables = values.get("rule")
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._fail(("rule",), "a file of rules has tables that begin with [[rule]], in two brackets")
        if len(tables) > MAX_RULES:
            self._fail((), f"it has more than {MAX_RULES} rules")
        rules: list[Rule] = []
        for number, table in enumerate(tables):
            rules.append(self._rule(("rule", number), table))
            if any(rule.name == rules[-1].name for rule in rules[:-1]):
                self._words = ""
                self._fail(("rule", number, "name"), f"there are two rules {rules[-1].name!r}")
        if self._fields > MAX_FIELDS:
            self._fail((), f"its rules have more than {MAX_FIELDS} fields")
        return Rules(tuple(rules))

    def _rule(self, at: Path, table: dict[str, Any]) -> Rule:
        self._words = f"rule {at[1] + 1}: " if isinstance(at[1], int) else ""
        name = self._name((*at, "name"), self._text(at, table, "name", needed=True))
        self._words = f"rule {name!r}: "
        self._refuse_unknown(at, table, RULE_KEYS)
        pattern, matches = self._pattern(at, table)
        fields = self._fields_of((*at, "fields"), table)
        self._words = f"rule {name!r}: "
        items = None
        if "items" in table:
            items = self._items((*at, "items"), self._table((*at, "items"), table["items"], "items"))
        return Rule(name, pattern, matches, fields, items)

    def _pattern(self, at: Path, table: dict[str, Any]) -> tuple[str, Pattern | None]:
        text = self._text(at, table, "match")
        if not text.isascii():
            self._fail(
                (*at, "match"), "match: canonical URLs are ASCII: write é as %C3%A9, in the name of a host as xn--"
            )
        try:
            return text, compile_pattern(text) if text else None
        except ValueError as error:
            self._fail((*at, "match"), f"match: {text!r} is not a regular expression that can be used: {error}")

    def _items(self, at: Path, table: dict[str, Any]) -> Items:
        words, self._words = self._words, f"{self._words}items: "
        self._refuse_unknown(at, table, ITEMS_KEYS)
        self._refuse_both(at, table)
        by = "jsonld" if "jsonld" in table else "css"
        if "of" in table and by == "css":
            self._fail((*at, "of"), "of needs jsonld")
        fields = self._fields_of((*at, "fields"), table, of_items=by)
        self._words = f"{words}items: "
        if not fields:
            self._fail(at, "they have no fields: name them under [rule.items.fields]")
        if by == "jsonld":
            return Items(fields, path=self._path(at, table), of=self._text(at, table, "of"))
        css = self._text(at, table, "css", needed=True)
        self._selector((*at, "css"), css)
        return Items(fields, css)

    def _fields_of(self, at: Path, table: dict[str, Any], *, of_items: str = "") -> tuple[Field, ...]:
        """The fields of a page, or *of_items* that are found by `css` or `jsonld`."""
        words, found = self._words, []
        for name, value in self._table(at, table.get("fields", {}), "fields").items():
            self._words = f"{words}field {name!r}: "
            self._name((*at, name), name)
            if name == "items":
                self._fail((*at, name), "this name is that of the items: [rule.items]")
            found.append(self._field((*at, name), name, value, of_items=of_items))
        self._fields += len(found)
        return tuple(found)

    def _field(self, at: Path, name: str, value: Any, *, of_items: str) -> Field:
        table = {of_items or "css": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            self._fail(at, f"{_shown(value)} is neither a selector in quotes nor a table such as {{ css = ... }}")
        self._refuse_unknown(at, table, FIELD_KEYS)
        self._refuse_both(at, table)
        self._refuse_useless(at, table)
        if of_items and of_items not in table:
            self._fail(at, f"the items are found by {of_items}, so their fields take {of_items}, too")
        one = self._of_json(at, name, table) if "jsonld" in table else self._of_css(at, name, table)
        if one.of and of_items:
            self._fail((*at, "of"), "the path is looked for in the item: of belongs to the items")
        if one.path is None and not one.css and not of_items:
            self._fail((*at, "css"), "the selector is empty")
        return one

    def _of_css(self, at: Path, name: str, table: dict[str, Any]) -> Field:
        css, attr = self._text(at, table, "css"), self._text(at, table, "attr")
        own_text = False
        if pseudo := _PSEUDO.fullmatch(css):
            if attr:
                self._fail((*at, "attr"), "the selector names an attribute or ::text already")
            css, own_text, attr = pseudo[1].strip(), pseudo[2] is not None, pseudo[3] or ""
        if css:
            self._selector((*at, "css"), css)
        return Field(name, css, attr, own_text, **self._common(at, table))

    def _of_json(self, at: Path, name: str, table: dict[str, Any]) -> Field:
        return Field(name, path=self._path(at, table), of=self._text(at, table, "of"), **self._common(at, table))

    def _common(self, at: Path, table: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": cast(Type, self._choice(at, table, "type", TYPES)),
            "all": self._value((*at, "all"), table.get("all", False), bool, "all"),
            "decimal": self._choice(at, table, "decimal", (".", ",")),
            "order": cast("Order | None", self._choice(at, table, "order", _ORDERS) or None),
        }

    # -- single values -------------------------------------------------------------------------------------------------

    def _refuse_unknown(self, at: Path, table: dict[str, Any], known: Collection[str]) -> None:
        for key in table:
            if key not in known:
                guessed = did_you_mean(key, known, f"known are {', '.join(known)}")
                self._fail((*at, key), f"unknown key {key[:80]!r}: {guessed}")

    def _refuse_both(self, at: Path, table: dict[str, Any]) -> None:
        if ("css" in table) == ("jsonld" in table):
            self._fail(at, "either css or jsonld is needed")

    def _refuse_useless(self, at: Path, table: dict[str, Any]) -> None:
        """Keys that would change nothing beside the others."""
        kind = table.get("type")
        for key, is_useful, needs in (
            ("attr", "css" in table, "css"),
            ("of", "jsonld" in table, "jsonld"),
            ("decimal", kind == "number", 'type = "number"'),
            ("order", kind == "date", 'type = "date"'),
            ("type", kind not in ("html", "markdown") or "css" in table, f"css, if it is {kind}"),
        ):
            if key in table and not is_useful:
                self._fail((*at, key), f"{key} needs {needs}")

    def _value(self, at: Path, value: Any, kind: type, name: str) -> Any:
        if not isinstance(value, kind):
            self._fail(at, f"{name}: {_KIND[kind]} is needed, not {_shown(value)}")
        return value

    def _table(self, at: Path, value: Any, name: str) -> dict[str, Any]:
        table: dict[str, Any] = self._value(at, value, dict, name)
        return table

    def _text(self, at: Path, table: dict[str, Any], key: str, *, needed: bool = False) -> str:
        if key not in table and needed:
            self._fail(at, f"{key} is missing")
        text: str = self._value((*at, key), table.get(key, ""), str, key)
        if not text.strip() and needed:
            self._fail((*at, key), f"{key} is empty")
        if len(text) > MAX_TEXT:
            self._fail((*at, key), f"{key} has more than {MAX_TEXT:,} characters")
        return text

    def _choice(self, at: Path, table: dict[str, Any], key: str, choices: Collection[str]) -> str:
        value = self._text(at, table, key)
        if key in table and value not in choices:
            guessed = did_you_mean(value, choices, f"known are {', '.join(choices)}")
            self._fail((*at, key), f"unknown {key} {value[:80]!r}: {guessed}")
        return value

    def _name(self, at: Path, name: str) -> str:
        if not _NAME.fullmatch(name):
            self._fail(at, f"{name[:80]!r} is no name: up to 64 letters, digits, _, - and spaces within")
        return name

    def _path(self, at: Path, table: dict[str, Any]) -> JsonPath:
        expression = self._text(at, table, "jsonld", needed=True)
        try:
            return compile_path(expression)
        except ValueError as error:
            self._fail((*at, "jsonld"), f"{expression!r} is not a JMESPath expression: {error}")

    def _selector(self, at: Path, css: str) -> None:
        try:
            check_selector(css)
        except ValueError:
            hint = "; of pseudo-elements, ::text and ::attr(NAME) may stand at its end" if "::" in css else ""
            self._fail(at, f"{css!r} is not a CSS selector{hint}")

    def _fail(self, at: Path, problem: str) -> NoReturn:
        while at and at not in self._lines:
            at = at[:-1]
        line = f", line {self._lines[at]}" if at else ""
        raise UsageError(f"{self._source}{line}: {self._words}{problem}")


def _shown(value: Any) -> str:
    text = "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


# -- lines -------------------------------------------------------------------------------------------------------------

_KEY: Final = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_KEYS: Final = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*({_KEYS})\s*\]")
_ENTRY: Final = re.compile(rf"\s*({_KEYS})\s*=")


def _lines(text: str) -> dict[Path, int]:
    """Where the tables and keys of a file stand, each by its own line; keys of inline tables are not found.

    tomllib does not say. Within strings of several lines this may find a key that is none: it serves messages alone.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    rules = 0
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            keys = _split(header[2])
            rules += header[1] == "[[" and keys == ("rule",)
            table = ("rule", max(rules - 1, 0), *keys[1:]) if keys[0] == "rule" else keys
            found.setdefault(table, number)
        elif entry := _ENTRY.match(line):
            keys = _split(entry[1])
            for end in range(1, len(keys) + 1):
                found.setdefault((*table, *keys[:end]), number)
    return found


def _split(keys: str) -> Path:
    return tuple(key.strip("\"'") for key in re.findall(_KEY, keys))
