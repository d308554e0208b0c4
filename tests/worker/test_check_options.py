"""What the setting `check` means for a worker, and who shows it."""

from __future__ import annotations

from crawler.checked_page import OF_PAGES, PLACES
from crawler.cli.app import cli
from crawler.settings import TABLE, Settings
from crawler.worker.options import fetcher_options_of, plan_of

_RARE = {"ping", "cite", "lazy", "other"}


def test_a_check_reads_each_page_whole_and_obeys_no_canonical() -> None:
    plan = plan_of(Settings(check=True, store=("meta", "main"), canonical="obey", near_duplicates=True))
    assert (plan.check, plan.skims, plan.all_links) == (True, False, True)
    assert (plan.obey_canonical, plan.near_duplicates, plan.extract.obey_noindex) == (False, False, False)
    assert plan.sitemaps
    assert fetcher_options_of(Settings(check=True)).certificates


def test_a_crawl_that_is_no_check_is_as_ever() -> None:
    plan = plan_of(Settings(store=("meta",), canonical="obey", near_duplicates=True))
    assert (plan.check, plan.skims, plan.all_links, plan.obey_canonical) == (False, True, False, True)
    assert (plan.near_duplicates, plan.extract.obey_noindex, plan.extract.places) == (True, True, frozenset())
    assert not fetcher_options_of(Settings()).certificates


def test_places_are_those_that_are_named() -> None:
    assert plan_of(Settings(check=True)).extract.places == set(OF_PAGES) - _RARE
    assert plan_of(Settings(check=True, places=("image", "ping"))).extract.places == {"image", "ping"}
    assert plan_of(Settings(check=True, places=("all",))).extract.places == set(PLACES)


def test_no_other_command_has_the_options_of_a_check() -> None:
    of_check = {name for name, meta in TABLE.items() if meta.of_check}
    assert of_check == {"check", "places", "no_external"}
    for name, command in cli.commands.items():
        if name != "check":
            assert of_check.isdisjoint(param.name for param in command.params), name
