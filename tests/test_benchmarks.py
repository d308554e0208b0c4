"""What the benchmarks conclude from what they measured; measuring itself is done by make bench and its like."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import chart, peers, report, schedule, targets
from benchmarks.crawls import Spent, Web, middle
from benchmarks.measure import Run
from crawler.record import Request

RUN = Run(pages=100, requests=101, crawling=2.0, wall=3.0, cpu=1.0, rss=50_000_000, memory=60_000_000)


def runs(*seconds: float, cpu: float = 1.0, pages: int = 100) -> list[Run]:
    """Runs that took so long."""
    return [replace(RUN, crawling=each, cpu=cpu, pages=pages) for each in seconds]


@pytest.fixture
def found() -> report.Report:
    """Three rounds of a crawler, one peer that is slow, one that is fast."""
    slow = {"crawler": runs(1, 2, 3, cpu=0.1), "scrapy": runs(16, 30, 60), "scrapy, tuned": runs(2, 4, 6)}
    fast = {
        "crawler --parse-all": runs(2, 2, 2, cpu=0.4),
        "crawler": runs(2, 2, 2),
        "crawler, 2 workers": runs(1, 1, 1),
        "floor": runs(1, 1, 1, cpu=0.3),
    }
    return report.Report("a machine; load 0", {"crawler": runs(1)}, [_result("slow", slow), _result("fast", fast)])


def _result(key: str, of: dict[str, list[Run]]) -> report.Result:
    return report.Result(key, f"the {key} pages", of)


def test_a_ratio_is_made_within_each_round() -> None:
    spread = report.spread(runs(1, 2, 3), runs(16, 30, 60), report.speed)
    assert (spread.least, spread.median, spread.most) == (15, 16, 20)
    assert report.spread(runs(1, cpu=3.0), runs(1, cpu=2.0), report.cost).median == 1.5


def test_each_target_is_reached_or_not_or_was_not_measured(found: report.Report) -> None:
    verdicts = {each.what: each.verdict for each in targets.of_peers(found)}
    assert verdicts["pages/s of one worker, times Scrapy as documented"] == "reached"
    assert verdicts["... times Scrapy tuned by hand"] == "**not reached**"
    assert verdicts["... times scrapy-redis"] == "not measured"
    assert verdicts["pages/s of one worker, times Colly a core"] == "not measured"
    assert verdicts["CPU a page, skimming, against parsing each"] == "**not reached**"
    assert verdicts["... --store text against parsing alone"] == "not measured"
    assert verdicts["pages/s of two workers, times one"] == "reached"


def test_bounds_of_all_senses() -> None:
    for sense, below, at, above in (
        ("at least", False, True, True),
        ("over", False, False, True),
        ("at most", True, True, False),
        ("under", True, False, False),
    ):
        verdicts = [targets.Target("x", sense, 2, value).verdict == "reached" for value in (1, 2, 3)]  # type: ignore[arg-type]
        assert verdicts == [below, at, above], sense


def test_results_are_read_back_as_they_were_written(found: report.Report, tmp_path: Path) -> None:
    report.write(tmp_path, found, report.table(found))
    assert report.read(tmp_path) == found
    assert "| scrapy | 15.00 - **16.00** - 20.00 |" in (tmp_path / "peers.md").read_text(encoding="utf-8")


def test_figures_of_other_benchmarks_are_held_against_their_targets(tmp_path: Path) -> None:
    figures = {"rss_mb": 149.0, "growth": 1.04}
    targets.write(tmp_path, "memory", "a machine", figures, "a table")
    assert targets.read(tmp_path, "memory") == figures
    verdicts = [each.verdict for each in targets.of_results(tmp_path) if "make" not in each.note]
    assert verdicts == ["reached", "**not reached**"]
    assert all(each.verdict == "not measured" for each in targets.of_results(tmp_path / "nothing"))


def test_every_figure_that_has_a_target_is_one_that_a_benchmark_leaves() -> None:
    for benchmark in ("frontier", "wide", "memory"):
        source = (Path(targets.__file__).parent / f"{benchmark}.py").read_text(encoding="utf-8")
        for name, figure, *_ in targets.FIGURES:
            if name == benchmark:
                stem = figure.rstrip("0123456789")
                assert f'"{stem}' in source, figure


def test_a_shortened_benchmark_replaces_no_results(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    targets.add_option(parser)
    assert targets.folder(parser.parse_args([]), whole=True) == targets.RESULTS
    assert targets.folder(parser.parse_args([]), whole=False) is None
    assert targets.folder(parser.parse_args(["--results", str(tmp_path)]), whole=False) == tmp_path


def test_who_fetched_too_few_pages_is_named() -> None:
    some = {"all": runs(1, 1), "nearly": runs(1, pages=99), "few": [*runs(1), *runs(1, pages=98)]}
    assert peers.uneven(some) == ["few"]


def test_the_picture_names_everybody_and_is_well_formed(found: report.Report) -> None:
    drawn = chart.draw(found)
    words = [text.text for text in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
    for result in found.results:
        assert set(result.runs) <= set(words)
    assert "100" in words  # pages a second of the crawler in its median round of the first set


def test_everybody_is_measured_on_the_same_pages_as_the_crawler(tmp_path: Path) -> None:
    both = {"one": tmp_path, "two": tmp_path}
    slow, fast = peers.courses(both, first_site=False)
    assert {"crawler", "floor"} <= {each.name for each in slow.contenders} & {each.name for each in fast.contenders}
    assert slow.folders == fast.folders == both
    assert list(peers.courses(both, first_site=True)[0].folders) == ["one"]


def test_only_those_with_the_name_take_part(tmp_path: Path) -> None:
    course = peers.courses({"one": tmp_path}, first_site=False)[0]
    chosen, words = peers.present(course, ["floor"])
    assert [each.name for each in chosen.contenders] == ["floor"]
    assert words == []


def test_urls_by_number_differ_and_each_host_has_its_own() -> None:
    web = Web(hosts=7, run=3)
    urls = {web.url(n) for n in range(100)}
    assert len(urls) == 100
    for host in range(7):
        mine = [web.of_host(host, n) for n in range(5)]
        assert [web.host(n) for n in mine] == [host] * 5
        assert {Request(web.url(n)).place()[0] for n in mine} == {f"www.host{host}.example"}


def test_the_rate_of_a_core_is_by_its_cpu() -> None:
    found = [Spent(100, wall=4.0, cpu=cpu) for cpu in (1.0, 2.0, 0.5)]
    assert middle(found).per_core == 100
    assert middle(found).per_second == 25


# -- the schedule ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [5, 50, 300, 2_000])
def test_the_best_schedule_spends_its_visits_and_no_more(most: float) -> None:
    rates = schedule.shares(most * sum(kind.pages for kind in schedule.KINDS))
    spent = sum(kind.pages * rates[kind.name] for kind in schedule.KINDS)
    assert spent == pytest.approx(most * sum(kind.pages for kind in schedule.KINDS), rel=0.01)
    assert rates["never"] == 0.0


def test_with_few_visits_the_best_schedule_leaves_out_what_changes_fast() -> None:
    rates = schedule.shares(20 * sum(kind.pages for kind in schedule.KINDS))
    assert rates["every 6 hours"] == rates["every day, regularly"] == 0.0
    assert rates["every 2 weeks"] > rates["every 2 months"] > 0.0


def test_a_copy_is_current_until_the_next_change() -> None:
    year = schedule.YEAR
    assert schedule.current([], [0.0]) == year
    assert schedule.current([100.0, 200.0], [0.0]) == 100.0
    assert schedule.current([100.0, 200.0], [0.0, 150.0, 180.0, 300.0]) == 100.0 + 30.0 + 20.0 + year - 300.0


def test_the_picture_of_a_simulated_year_is_well_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(replace(kind, pages=2) for kind in schedule.KINDS)
    monkeypatch.setattr(schedule, "KINDS", few)
    monkeypatch.setattr(schedule, "SEEDS", (1,))
    rows = schedule.simulate()
    drawn = ElementTree.fromstring(schedule.picture(rows))
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert set(rows) <= set(words)
    assert all(0.0 < row["all"].freshness <= 1.0 for row in rows.values())
    assert schedule.table(rows).count("\n") == len(rows) + 1 + 3 + len(few)
