"""Hosts whose validators do not tell versions apart are found, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

from crawler.frontier.messages import Commit, Lease
from crawler.url_state import UrlState
from crawler.worker import validator_memory
from crawler.worker.validator_memory import ValidatorMemory

HOST = "a.example"


def state(etag: str | None, digest: int, last_modified: int | None = None, **more: Any) -> UrlState:
    times: dict[str, Any] = {"first_seen": 1, "checked_at": 1}
    return UrlState(
        url="http://a.example/",
        outcome="fetched",
        etag=etag,
        digest=digest,
        last_modified=last_modified,
        **times,
        **more,
    )


def lease(host: str = HOST, *, no_validators: bool = False) -> Lease:
    return Lease("t", "P", host, b"", 0, 0, "", 0.0, no_validators=no_validators)


def commit(
    memory: ValidatorMemory, url_id: str, found: UrlState, before: UrlState | None = None, host: str = HOST
) -> Commit:
    return memory.judged(Commit(lease(host), url_id, found, b"", before=before))


def kept(
    memory: ValidatorMemory, url_id: str, found: UrlState, before: UrlState | None = None, host: str = HOST
) -> bool:
    """Whether the validators of an answer are stored."""
    judged = commit(memory, url_id, found, before, host)
    assert judged.state in (found, state(None, found.digest))
    assert judged.no_validators == (judged.state != found), "the crawl hears of it"
    return judged.state == found


def test_pages_with_tags_of_their_own_keep_them() -> None:
    memory = ValidatorMemory()
    assert all(kept(memory, str(n), state(f'"{n}"', n + 1, 5)) for n in range(50))
    assert all(memory.conditions(lease(), str(n), state(f'"{n}"', n + 1)) for n in range(50))


def test_copies_may_have_one_tag() -> None:
    memory = ValidatorMemory()
    assert all(kept(memory, str(n), state('"1"', 7)) for n in range(9))


def test_one_tag_for_two_contents_ends_the_trust_in_its_host_alone() -> None:
    memory = ValidatorMemory()
    assert kept(memory, "1", state('"constant"', 1))
    assert not kept(memory, "2", state('"constant"', 2))
    assert not kept(memory, "3", state('"another"', 3))
    assert memory.conditions(lease(), "1", state('"constant"', 1)) == ()
    assert kept(memory, "1", state('"constant"', 5), host="b.example")
    assert memory.conditions(lease("b.example"), "4", state('"constant"', 5))


def test_the_states_of_two_leased_pages_are_enough() -> None:
    memory = ValidatorMemory()
    assert memory.conditions(lease(), "1", state('W/"0"', 1)), "nothing is known yet"
    assert memory.conditions(lease(), "2", state('W/"0"', 2)) == ()
    assert memory.conditions(lease(), "3", state('"3"', 3)) == ()


def test_a_host_that_the_crawl_knows_as_broken_is_so_for_this_worker_too() -> None:
    memory = ValidatorMemory()
    assert memory.conditions(lease(no_validators=True), "1", state('"1"', 1)) == ()
    assert not kept(memory, "1", state('"2"', 2))


def test_a_weak_tag_may_stand_for_variants_of_its_page_and_a_strong_one_not() -> None:
    weak, strong = ValidatorMemory(), ValidatorMemory()
    assert kept(weak, "1", state('W/"1"', 1)) and kept(weak, "1", state('W/"1"', 2))
    assert kept(strong, "1", state('"1"', 1)) and not kept(strong, "1", state('"1"', 2))


def test_a_page_that_changed_under_its_date_ends_the_trust() -> None:
    memory = ValidatorMemory()
    assert kept(memory, "1", state(None, 1, 500))
    assert kept(memory, "1", state(None, 2, 501), state(None, 1, 500))
    assert not kept(memory, "1", state(None, 3, 501), state(None, 2, 501))
    assert memory.conditions(lease(), "9", state(None, 9, 9)) == ()


def test_a_new_tag_says_more_than_an_old_date() -> None:
    memory = ValidatorMemory()
    assert kept(memory, "1", state('"2"', 2, 500), state('"1"', 1, 500))


def test_pages_may_have_one_date() -> None:
    memory = ValidatorMemory()
    assert all(kept(memory, str(n), state(None, n + 1, 500)) for n in range(9))


def test_what_it_remembers_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(validator_memory, "MAX_TAGS", 10)
    monkeypatch.setattr(validator_memory, "MAX_HOSTS", 3)
    memory = ValidatorMemory()
    for n in range(100):
        kept(memory, str(n), state(f'"{n}"', n + 1))
        commit(memory, "1", state('"c"', 1), host=f"h{n}")
        commit(memory, "2", state('"c"', 2), host=f"h{n}")
    assert len(memory._tags) <= 10
    assert list(memory._broken) == ["h97", "h98", "h99"]
