"""The similarity hash: stable values, near for near texts, far for others."""

from __future__ import annotations

import random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.policy import similarity as similarities
from crawler.policy.similarity import LONG, METHOD, MIN_WORDS, distance, similarity

CHINESE: Final = "一二三四五六七八九十百千万上下左右中大小人口手足目耳日月水火木金土山川田天地父母子女男学生先"
THAI: Final = "กขคงจฉชซญณดตถทธนบปผฝพฟภมยรลวศสหอฮ"


def text_of(words: int, seed: int = 0, vocabulary: int = 2_000) -> list[str]:
    """Words as a page has them: few of them often, many seldom."""
    dice = random.Random(seed)
    return [f"word{int(vocabulary * dice.random() ** 2)}" for _ in range(words)]


def changed(words: list[str], part: float, seed: int = 1) -> list[str]:
    """The same with this part of its words replaced."""
    dice = random.Random(seed)
    return [f"other{dice.randrange(2_000)}" if dice.random() < part else word for word in words]


def between(one: list[str], other: list[str], space: str = " ") -> int:
    """The distance of two texts that have hashes."""
    hashes = [similarity(space.join(words)) for words in (one, other)]
    assert hashes[0] is not None
    assert hashes[1] is not None
    return distance(hashes[0], hashes[1])


def test_the_values_of_a_method_stay() -> None:
    """They are stored in Redis: where these change, METHOD has to."""
    english, chinese = " ".join(text_of(200)), "".join(random.Random(0).choices(CHINESE, k=300))
    found = [similarity(text) for text in (english, chinese, " ".join(text_of(LONG)), "naïve “words” 字 " * 20)]
    assert (METHOD, found) == (1, VALUES)


VALUES: Final = [0xD967A7643376F1F4, 0xB65E41FC55AC5819, 0x5C3E646B7755C127, 0x0B3B8749E2F710AC]


@pytest.mark.parametrize("words", [100, 400, LONG - 1, LONG, 5_000])
def test_the_distance_grows_with_the_part_that_differs(words: int) -> None:
    text = text_of(words)
    mean = [
        sum(between(text, changed(text, part, seed)) for seed in range(20)) / 20 for part in (0.0, 0.01, 0.05, 0.2, 0.5)
    ]
    assert mean[0] == 0
    assert mean[1] < 3 < mean[2] < 9 < mean[3] < mean[4]
    assert mean[4] > 22


@pytest.mark.parametrize("letters", [CHINESE, THAI])
def test_where_words_are_not_written_apart_characters_count(letters: str) -> None:
    dice = random.Random(4)
    text = dice.choices(letters, k=1_000)
    near, far = [*text], dice.choices(letters, k=1_000)
    for at in (100, 500, 900):
        near[at : at + 3] = letters[:2]
    assert between(text, near, "") <= 6
    assert between(text, far, "") > 15


def test_other_texts_are_far() -> None:
    hashes = [similarity(" ".join(text_of(300, seed))) for seed in range(60)]
    least = min(distance(one or 0, two or 0) for n, one in enumerate(hashes) for two in hashes[:n])
    assert least > 12


@pytest.mark.parametrize("space", ["\n", "\t  ", "\u00a0", "\u3000"])
def test_how_much_space_is_between_the_words_does_not_matter(space: str) -> None:
    text = text_of(100)
    assert between(text, space.join(text).split()) == 0
    assert similarity(space.join(text)) == similarity(" ".join(text))


@pytest.mark.parametrize("text", ["", " ", "word " * (MIN_WORDS - 1), "字" * MIN_WORDS])
def test_a_short_text_has_none(text: str) -> None:
    assert similarity(text) is None


@given(st.text(), st.integers(1, 400))
def test_any_text_has_a_hash_of_64_bits_or_none_and_the_same_again(text: str, times: int) -> None:
    value = similarity(text * times)
    assert value is None or 0 <= value < 1 << 64
    for table in (similarities._values, similarities._quarter):
        table.clear()
    assert similarity(text * times) == value


def test_what_is_remembered_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarities, "_MAX_KNOWN", 100)
    for table in (similarities._values, similarities._quarter):
        table.clear()
    text = " ".join([*(f"{n}" for n in range(3_000)), "x" * 100_000])
    before = similarity(text)
    assert max(len(similarities._values), len(similarities._quarter)) <= 100
    assert max(map(len, similarities._values)) <= 40
    assert similarity(text) == before
