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


def test_one_tag_for_all_contents_ends_the_trust_in_its_host_alone() -> None:
    memory = ValidatorMemory()
    assert kept(memory, "1", state('"constant"', 1))
    assert not kept(memory, "2", state('"constant"', 2))
    assert not kept(memory, "3", state('"another"', 3))
    assert memory.conditions(lease(), "1", state('"constant"', 1)) == ()
    assert kept(memory, "1", state('"constant"', 5), host="b.example")
    assert memory.conditions(lease("b.example"), "4", state('"constant"', 5))


def test_the_states_of_leased_pages_are_enough() -> None:
    memory = ValidatorMemory()
    assert memory.conditions(lease(), "1", state('W/"0"', 1)), "nothing is known yet"
    assert memory.conditions(lease(), "2", state('W/"0"', 2)) == ()
    assert memory.conditions(lease(), "3", state('"3"', 3)) == ()


def test_files_of_one_date_and_size_may_have_one_tag() -> None:
    """nginx makes ETags of both; of 3,000 pages with 400 sizes each size is there more than once."""
    memory = ValidatorMemory()
    for visit in range(3):
        for n in range(3_000):
            found = state(f'"6a03061e-{n * 7919 % 400:x}"', n + 1)
            if visit:
                assert memory.conditions(lease(), str(n), found), n
            assert kept(memory, str(n), found, found if visit else None), n


def test_one_pair_among_the_first_pages_is_no_proof() -> None:
    memory = ValidatorMemory()
    assert all(kept(memory, str(n), state(tag, n + 1)) for n, tag in enumerate(['"1"', '"2"', '"2"', '"3"', '"3"']))


def test_a_constant_that_begins_later_is_found_when_it_is_half() -> None:
    memory = ValidatorMemory()
    assert all(kept(memory, str(n), state(f'"{n}"', n + 1)) for n in range(10))
    found = [kept(memory, str(n), state('"c"', n + 1)) for n in range(10, 30)]
    assert found == [True] * 9 + [False] * 11


def test_a_host_that_the_crawl_knows_as_broken_is_so_for_this_worker_too() -> None:
    memory = ValidatorMemory()
    assert memory.conditions(lease(no_validators=True), "1", state('"1"', 1)) == ()
    assert not kept(memory, "1", state('"2"', 2))


def test_a_weak_tag_may_stand_for_variants_of_its_page_and_a_strong_one_not() -> None:
    weak, strong = ValidatorMemory(), ValidatorMemory()
    assert kept(weak, "1", state('W/"1"', 2), state('W/"1"', 1))
    assert not kept(strong, "1", state('"1"', 2), state('"1"', 1))


def test_a_date_may_stand_for_variants_of_the_boilerplate() -> None:
    def page(digest: int, text: int, method: int = 1) -> UrlState:
        return state(None, digest, 500, text_digest=text, text_method=method)

    def is_kept(before: UrlState, after: UrlState) -> bool:
        return ValidatorMemory().judged(Commit(lease(), "1", after, b"", before=before)).state == after

    assert is_kept(page(1, 7), page(2, 7))
    assert not is_kept(page(1, 7), page(2, 8))
    assert not is_kept(page(1, 7), page(2, 7, method=2))


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
