"""The live screen at every width: what it shows, that nothing is cut off, and that no site can draw on it."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from crawler.frontier.status import Status
from crawler.monitor.live_screen import CELLS, LiveScreen, Rates
from tests.monitor.statuses import status

_STYLE = re.compile(r"\x1b\[[\d;]*m")
FAILING = [("shop.example", "503 Service Unavailable"), ("other.example:8080", "connection refused")]


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def drawn(seen: Status, width: int = 79, height: int = 99, looks: int = 1) -> list[str]:
    """The lines of the last of some *looks*, one a second, at a crawl that is as fast as *seen* says."""
    screen, lines = LiveScreen(), [""]
    for second in range(looks):
        lines = screen.frame(seen, float(second), width, height)
    return lines


def plain(lines: list[str]) -> str:
    return re.sub(r"\s+", " ", _STYLE.sub("", " ".join(lines)))


@pytest.mark.parametrize("width", [159, 79, 39, 20])
def test_all_of_it_is_there_at_every_width(width: int) -> None:
    seen = status(failing=5, failing_hosts=FAILING, seconds_left=1230.0, held=65)
    lines = drawn(seen, width)
    assert max(cell_len(_STYLE.sub("", line)) for line in lines) <= width
    shown = plain(lines)
    for text in (
        *("crawl 'default' running 0:00:00", "rate 12.3/s", "queue 1,200 URLs, 16 in flight, 2 workers, 5.0 MiB read"),
        *("65 held", "now waiting for politeness: 13 hosts, delay 1 s", "left about 20 min for what is queued"),
        *("503 Service Unavailable", "connection refused", "and 3 more hosts"),
        "ended 300: fetched 280, missing 12, failed:http 8",
    ):
        assert text.replace(" ", "") in shown.replace(" ", "")


def test_one_of_a_thing_is_no_plural() -> None:
    shown = plain(drawn(status(queued=1, workers=1, failing=3, failing_hosts=FAILING)))
    assert "queue 1 URL, 16 in flight, 1 worker," in shown
    assert "and 1 more host:" in shown


def test_the_most_important_lines_stay_on_a_low_terminal() -> None:
    lines = drawn(status(failing=2, failing_hosts=FAILING), height=5)
    assert len(lines) == 5
    shown = plain(lines)
    assert "running" in shown
    assert "12.3/s" in shown
    assert "queue" in shown
    assert "waiting for politeness" in shown


def test_nothing_is_shown_of_what_is_not_known() -> None:
    shown = plain(drawn(status()))
    for label in ("left", "failing", "hook", "held", "lost", "more than"):
        assert label not in shown


def test_a_hook_that_fails_is_shown() -> None:
    assert "48 of 50 calls failed" in plain(drawn(status(hook_errors=48, hook_calls=50)))


def test_a_site_cannot_draw_on_it() -> None:
    hosts = [("evil\x1b[2J.example", "\x1b]0;title\x07 503 [red]Gone[/red]\r\nfetched 9"), ("x" * 250, "y" * 1000)]
    lines = drawn(status(failing=2, failing_hosts=hosts), 159)
    text = _STYLE.sub("", "\n".join(lines))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert "[red]Gone[/red]" in text
    assert len(lines) < 16


def test_no_color_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = status(failing=1, failing_hosts=FAILING[:1])
    colors = re.compile(r"\x1b\[[\d;]*(3|4|9|10)[0-7]m")
    assert colors.search("".join(drawn(seen)))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colors.search("".join(drawn(seen)))


def test_the_rate_over_time_fits_beside_the_rate() -> None:
    screen = LiveScreen()
    for second in range(500):
        lines = screen.frame(status(ended=second * second), float(second), 79, 20)
    (rate,) = [line for line in (_STYLE.sub("", line) for line in lines) if line.startswith("rate")]
    assert re.search(r"rate +12.3/s  ▁+▂+▃+▄+▅+▆+▇+█+  highest \d{3}\.\d/s$", rate)
    assert len(rate) < 79


@pytest.mark.parametrize("cells", [CELLS, 20, 1])
def test_rates_cover_all_of_the_time_in_few_values(cells: int) -> None:
    rates = Rates()
    for second in range(100_000):
        rates.add(second / 2, second * 5)
    assert len(rates._marks) <= 2 * CELLS
    assert cells / 3 <= len(rates.last(cells)) <= cells
    assert set(rates.last(cells)) == {10.0}


def test_rates_of_a_crawl_that_has_just_begun() -> None:
    rates = Rates()
    assert rates.last(60) == []
    rates.add(0.0, 0)
    assert rates.last(60) == []
    rates.add(0.5, 7)
    rates.add(1.0, 10)
    assert rates.last(60) == [10.0]
