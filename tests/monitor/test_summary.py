"""What a summary and `crawler status` say of visits."""

from __future__ import annotations

from crawler.monitor import screen
from tests.monitor.statuses import status


def test_answers_are_those_of_all_visits() -> None:
    assert "  answers by status: 200: 280, 404: 12, 503: 8" in screen.summary(status(), 300, 10.0)
    later = screen.summary(status(visit=2), 300, 10.0)
    assert "  answers by status, in all visits: 200: 280, 404: 12, 503: 8" in later


def test_an_interrupted_recrawl_is_continued_by_the_same_command() -> None:
    assert screen.swept(status()) == ""
    assert screen.swept(status(sweep=0.25, sweeper="a-1")) == "25% looked at"
    assert screen.swept(status(sweep=0.25)) == "25% looked at; interrupted: the same command goes on"
