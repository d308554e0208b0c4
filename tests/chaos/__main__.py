"""`python -m tests.chaos`: crawl under chaos for so long, and prove that nothing was lost. `make chaos` runs it."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.chaos.events import KINDS
from tests.chaos.faults import FAULTS, put_in
from tests.chaos.proof import CHECKS
from tests.chaos.rounds import NotDone, Options, Round, play

_FSYNC: Final = ("always", "everysec")


def main() -> int:
    """0 if all was as it must be."""
    given = _arguments()
    options = Options(
        hosts=given.hosts,
        pages=given.pages,
        pools=given.pools,
        workers=given.workers,
        delay=given.delay,
        shards=given.shards,
        kinds={kind: KINDS[kind] for kind in given.only or KINDS},
        count=given.count,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # all that was started is ended
    try:
        return _run(given, options) if given.faults is None else _catch_all(given.faults or list(FAULTS), given.seed)
    except KeyboardInterrupt:
        print("\nchaos: interrupted")
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="begin no round after so long (default 2)")
    parser.add_argument("--seed", default=str(secrets.randbelow(10_000)), help="the same seed, the same graph and plan")
    parser.add_argument("--fsync", choices=(*_FSYNC, "both"), default="both", help="appendfsync of Redis, by turns")
    parser.add_argument("--only", action="append", choices=tuple(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--count", type=int, help="events in a round at most (default: until it is done)")
    parser.add_argument("--hosts", type=int, default=Options.hosts)
    parser.add_argument("--pages", type=int, default=3000, help="URLs of a round")
    parser.add_argument("--pools", type=int, default=Options.pools)
    parser.add_argument("--workers", type=int, default=Options.workers, help="processes a pool")
    parser.add_argument("--shards", type=int, default=Options.shards, help="of the crawl, all on one Redis")
    parser.add_argument("--delay", type=float, default=Options.delay, help="seconds between two requests to a host")
    parser.add_argument(
        "--faults",
        nargs="*",
        choices=tuple(FAULTS),
        metavar="NAME",
        help="see that faults put in on purpose are caught",
    )
    return parser.parse_args()


# -- rounds ------------------------------------------------------------------------------------------------------------


def _run(given: argparse.Namespace, options: Options) -> int:
    modes = _FSYNC if given.fsync == "both" else (given.fsync,)
    until, rounds, right = time.monotonic() + given.minutes * 60, list[Round](), True
    print(f"chaos: seed {given.seed}, {given.minutes:g} minutes; repeat it with --seed {given.seed}", flush=True)
    while not rounds or time.monotonic() < until:
        seed = f"{given.seed}.{len(rounds)}"
        try:
            played = play(seed, modes[len(rounds) % len(modes)], options)
        except NotDone as error:
            print(f"chaos: NOT DONE: {error}")
            return 1
        rounds.append(played)
        right = _tell(played) and right
    _sum_up(given.seed, rounds)
    return 0 if right else 1


def _tell(played: Round) -> bool:
    refetched = played.verdict.refetched.total()
    print(
        f"round {played.seed} ({played.fsync}): {played.pages} URLs in {played.seconds:.0f} s,"
        f" {played.events.total()} events, {refetched} fetched again, {len(played.verdict.wrong)} kinds of wrong"
        f" (looked at least every {played.gap:.1f} s)",
        flush=True,
    )
    for line in played.verdict.lines():
        print(f"  WRONG {line}", flush=True)
    return not played.verdict.wrong


def _sum_up(seed: str, rounds: list[Round]) -> None:
    events, refetched, wrong = Counter[str](), Counter[str](), Counter[str]()
    for played in rounds:
        events += played.events
        refetched += played.verdict.refetched
        wrong += Counter({check: len(texts) for check, texts in played.verdict.wrong.items()})
    seconds, pages = sum(played.seconds for played in rounds), sum(played.pages for played in rounds)
    print(f"\nseed {seed}: {len(rounds)} crawls, {pages:,} URLs in {seconds:.0f} s ({pages / seconds:.0f}/s)")
    print(f"{events.total()} events, {sum(played.deaths for played in rounds)} pages were in a dying worker's hands")
    for kind, n in sorted(events.items()):
        print(f"  {n:>6}  {kind}")
    for check in CHECKS:
        if check != "refetched":
            print(f"{check:<16} {wrong[check]}")
    print(f"{'fetched again':<16} {refetched.total()}")
    for cause, n in refetched.most_common():
        print(f"  {n:>6}  {cause}")


# -- faults ------------------------------------------------------------------------------------------------------------


def _catch_all(names: list[str], seed: str) -> int:
    """Each fault has to be caught, and the code without it has to pass in the same rounds."""
    missed = [name for name in names if not _caught(name, seed)]
    print(f"{len(names) - len(missed)} of {len(names)} faults were caught" + (f"; not {missed}" if missed else ""))
    return 1 if missed else 0


def _caught(name: str, seed: str, tries: int = 4) -> bool:
    fault, began = FAULTS[name], time.monotonic()
    for n in range(tries):
        with tempfile.TemporaryDirectory(prefix="crw-") as folder:
            options = replace(fault.options, package=put_in(name, Path(folder)))
            found = _checks(f"{seed}.{n}", options)
        sound = _checks(f"{seed}.{n}", fault.options)
        if sound:
            print(f"{name}: the code without it fails as well: {sound}")
            return False
        if found & {*fault.checks, "not done"}:
            print(f"{name}: caught by {', '.join(sorted(found))} in {time.monotonic() - began:.0f} s", flush=True)
            return True
    print(f"{name}: NOT CAUGHT in {tries} rounds, {time.monotonic() - began:.0f} s", flush=True)
    return False


def _checks(seed: str, options: Options) -> set[str]:
    """The kinds of checks that found something wrong."""
    try:
        return set(play(seed, "always", options).verdict.wrong)
    except NotDone:
        return {"not done"}


if __name__ == "__main__":
    sys.exit(main())
