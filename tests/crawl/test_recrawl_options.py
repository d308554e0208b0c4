"""The choice of a recrawl as keyword arguments: what Python programs write."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crawler.api.recrawl import choice_of
from crawler.crawl.choice import Choice
from crawler.errors import UsageError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"status": 404}, "--status 404"),
        ({"status": [404, "failed"]}, "--status 404,failed"),
        ({"host": "a.example"}, "--host a.example"),
        ({"host": ("b.example", "a.example"), "match": None}, "--host a.example --host b.example"),
        ({"older_than": timedelta(hours=12)}, "--older-than 12h"),
        ({"older_than": 0.5}, "--older-than 0.5s"),
    ],
)
def test_what_can_be_used(options: Any, words: str) -> None:
    assert str(choice_of(options)) == words
    assert isinstance(choice_of(options), Choice)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"match": 3}, "match=3: a regular expression as text is needed"),
        ({"match": ""}, "--match is empty"),
        ({"host": 3}, "host=3: a text is needed, or several of them"),
        ({"status": 4.5}, "status=4.5: a text is needed, or several of them"),
        ({"status": [None]}, r"status=\[None\]: a text is needed"),
        ({"older_than": timedelta(days=-1)}, "--older-than .* cannot be used"),
        ({"older_than": "a week"}, "2h or 7d is needed"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choice_of(options)
