"""docs/hostile.md names tests that are there, and the situations of the live crawl are those that it calls live."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.stories.hostile import ANSWERS
from tests.stories.hostile_scenes import SCENES

TESTS: Final = Path(__file__).parent.parent
TEXT: Final = (TESTS.parent / "docs" / "hostile.md").read_text(encoding="utf-8")
ROW: Final = re.compile(r"^\| (\d+) \|.*\| ([^|]+) \|$", re.MULTILINE)
SHOWN: Final = {int(number): shown_by for number, shown_by in ROW.findall(TEXT)}
"""The number of each row, and its last column."""
NAMED: Final = sorted(set(re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", TEXT)))


@cache
def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "function"), NAMED, ids="::".join)
def test_each_test_that_is_named_is_there(file: str, function: str) -> None:
    path = TESTS / file
    assert path.exists()
    assert not function or function in functions(path)


def test_the_rows_are_numbered_without_a_gap_and_each_says_where_it_is_shown() -> None:
    assert sorted(SHOWN) == list(range(1, len(SHOWN) + 1))
    assert not [number for number, shown_by in SHOWN.items() if "live" not in shown_by and ".py" not in shown_by]


def test_what_is_called_live_is_played_in_the_live_crawl() -> None:
    played = {answer.row for answer in ANSWERS} | {row for scene in SCENES for row in scene.rows}
    assert played == {number for number, shown_by in SHOWN.items() if shown_by.startswith("live")}


def test_each_situation_has_words_of_its_own() -> None:
    words = [answer.words for answer in ANSWERS]
    assert len(set(words)) == len(words)
